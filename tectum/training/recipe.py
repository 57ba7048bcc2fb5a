"""Training recipes: everything a run depends on, in one YAML file."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from tectum.errors import RecipeError
from tectum.systems.base import Crops
from tectum.training.augmentation import Strengths
from tectum.training.footage import Footage, read_footage
from tectum.training.pairs import Mixture


@dataclass(frozen=True)
class Optimiser:
    """AdamW with a linear warm-up, then a cosine, and a running average of the weights.

    Attributes:
        rate: highest learning rate.
        floor: share of it at the end.
        warmup: batches until the highest rate.
        weight_decay: of AdamW.
        clip: largest norm of the gradient.
        averaging: share of the averaged weights kept at each step; 0 for no averaging.
    """

    rate: float = 1e-3
    floor: float = 0.02
    warmup: int = 200
    weight_decay: float = 0.02
    clip: float = 1.0
    averaging: float = 0.999


@dataclass(frozen=True)
class FootageFolders:
    """Where real material lies; with neither stills nor clips all pairs are procedural.

    Attributes:
        root: folder that the others are relative to.
        stills: folders with `rgb/` and `thermal/` pictures of the same names.
        clips: folders with `rgb/`, `groundtruth.txt` and `mask/`.
    """

    root: str | None = None
    stills: list[str] = field(default_factory=list)
    clips: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Recipe:
    """One training run.

    Attributes:
        system: preset to train.
        second: the sense beside RGB, for systems that take one.
        seed: of weights and pairs.
        batches: length of the run.
        batch_size: pairs in a batch.
        template_size: side of the template crop in pixels.
        search_size: side of the search crop in pixels.
        template_factor: of the template window.
        search_factor: of the search window.
        lone: share of batches with RGB alone.
        workers: processes that make pairs; 0 makes them in the training process.
        precision: `fp32` or `bf16`.
        settle: share of the run, at its end, in which batch normalisation uses fixed statistics, as in tracking.
        optimiser: how weights move.
        footage: real material.
        mixture: which pairs.
        strengths: of photometric changes.
        checkpoint_every: batches between checkpoints.
    """

    system: str = "nano"
    second: str = "thermal"
    seed: int = 1
    batches: int = 1000
    batch_size: int = 32
    template_size: int = 128
    search_size: int = 256
    template_factor: float = 2.0
    search_factor: float = 4.0
    lone: float = 0.6
    workers: int = 1
    precision: str = "fp32"
    settle: float = 0.0
    optimiser: Optimiser = field(default_factory=Optimiser)
    footage: FootageFolders = field(default_factory=FootageFolders)
    mixture: Mixture = field(default_factory=Mixture)
    strengths: Strengths = field(default_factory=Strengths)
    checkpoint_every: int = 200

    @property
    def crops(self) -> Crops:
        """The windows that pairs are made with."""
        return Crops(self.template_size, self.search_size, self.template_factor, self.search_factor)

    def read_footage(self) -> Footage:
        """Reads the real material that the recipe names.

        Raises:
            RecipeError: if it names folders but no root, or a folder is not there.
        """
        folders = self.footage
        if (folders.stills or folders.clips) and folders.root is None:
            raise RecipeError("The recipe trains on real footage: say where it lies with --footage DIR.")
        root = Path(folders.root or ".")
        return read_footage([root / each for each in folders.stills], [root / each for each in folders.clips])


def read_recipe(name: str, changes: list[str] | None = None) -> Recipe:
    """Reads a recipe by its file or by the name of one that ships with Tectum.

    Args:
        name: path of a YAML file, or a name such as `nano`.
        changes: settings such as `batches=500` or `optimiser.rate=0.001` that replace the file's.

    Raises:
        RecipeError: if there is no such recipe, or a setting is unknown or of the wrong kind.
    """
    try:
        loaded = OmegaConf.create(_text(name))
        merged = OmegaConf.merge(OmegaConf.structured(Recipe), loaded, OmegaConf.from_dotlist(changes or []))
        recipe = OmegaConf.to_object(merged)
    except (OmegaConfBaseException, YAMLError, ValueError) as error:
        sentence = str(error).splitlines()[0]
        place = getattr(error, "full_key", None)
        raise RecipeError(
            f"The recipe {name} cannot be used{f' at {place}' if place else ''} ({sentence}): write settings as "
            "NAME=VALUE, with names and kinds of values as in the recipe nano."
        ) from None
    assert isinstance(recipe, Recipe)
    return _checked(recipe, name)


def _text(name: str) -> str:
    path = Path(name)
    if path.is_file():
        return path.read_text()
    recipes = resources.files("tectum.training") / "recipes"
    known = {each.name.removesuffix(".yaml"): each for each in recipes.iterdir()}
    if name in known:
        return known[name].read_text()
    raise RecipeError(f"There is no recipe '{name}': give a YAML file or one of {', '.join(sorted(known))}.")


def _checked(recipe: Recipe, name: str) -> Recipe:
    if recipe.precision not in ("fp32", "bf16"):
        raise RecipeError(f"The recipe {name} asks for precision '{recipe.precision}': use fp32 or bf16.")
    if not 0 <= recipe.settle <= 1:
        raise RecipeError(f"The recipe {name} sets settle to {recipe.settle}: it is a share, from 0 to 1.")
    for setting in ("batches", "batch_size", "checkpoint_every"):
        if getattr(recipe, setting) < 1:
            raise RecipeError(f"The recipe {name} sets {setting} to {getattr(recipe, setting)}: it must be 1 or more.")
    return recipe


def written(recipe: Recipe) -> str:
    """The recipe as YAML, complete with what was left at its default."""
    return OmegaConf.to_yaml(OmegaConf.structured(recipe))
