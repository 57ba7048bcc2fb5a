"""The weights that a training starts from, and those that it leaves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tectum.systems.base import System
    from tectum.training.recipe import Recipe


@dataclass(frozen=True)
class Start:
    """A weights file.

    Attributes:
        path: where it is.
        sha256: of its bytes.
    """

    path: Path
    sha256: str


def named_weights(recipe: Recipe, data: Path | None) -> Start | None:
    """The file that a recipe starts from; `None` for random weights.

    Args:
        recipe: names a file, a run's folder, or a preset whose bundled weights are taken.
        data: the folder that files are relative to.

    Raises:
        RecipeError: if the file is not the one that the recipe means.
        WeightsError: if there is no such file.
    """
    import hashlib

    from tectum.errors import RecipeError
    from tectum.systems.catalogue import known_presets
    from tectum.weights.checkpoints import readable
    from tectum.weights.files import bundled

    wanted = recipe.initial
    if wanted.weights is None:
        return None
    named = (data or Path()) / wanted.weights
    is_preset = wanted.weights in known_presets() or not (named.suffix or named.is_dir())
    path = readable(bundled(wanted.weights, recipe.second) if is_preset else named)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if wanted.sha256 is not None and digest != wanted.sha256:
        raise RecipeError(
            f"{path} is not the file that the recipe starts from: its SHA-256 is {digest}, not {wanted.sha256}; "
            "download it again, or change initial.sha256."
        )
    return Start(path, digest)


def initial_system(recipe: Recipe, start: Start | None) -> System:
    """The system with its initial weights, ready to train.

    Args:
        recipe: says which system.
        start: weights of the very system, of one that it grew from, or of a plain ViT for its transformers.

    Raises:
        WeightsError: if the weights do not fit.
    """
    from tectum.systems.catalogue import build
    from tectum.weights import from_published, read_published
    from tectum.weights.files import FORMAT, read_metadata, restore
    from tectum.weights.foundation import is_foundation, start_from

    system = build(recipe.system, recipe.second, recipe.options)
    if start is None:
        return system
    tensors = read_published(start.path)
    if is_foundation(tensors):
        start_from(system, tensors, start.path)
        return system
    metadata = read_metadata(start.path)
    if metadata.get(FORMAT) == recipe.system:
        # What was learnt from one sense may well begin another.
        restore(system, start.path, metadata)
        return system
    return from_published(
        recipe.system, tensors, recipe.second, origin=str(start.path), start=True, options=recipe.options
    )


def keep(recipe: Recipe, system: System, path: Path) -> None:
    """Writes the weights that a run leaves, as they ship.

    Args:
        recipe: of the run.
        system: with its weights.
        path: a `.safetensors` file.
    """
    from tectum.weights import save

    save(system, path, recipe.system, half=True, options=recipe.options)
