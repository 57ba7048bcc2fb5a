"""Tectum's own weight files: safetensors that say which system they are for."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialised
from torch import Tensor

from tectum.errors import WeightsError
from tectum.frames import Modality
from tectum.systems.base import System, second_sense
from tectum.systems.catalogue import build, known_presets, read_second
from tectum.systems.options import Options
from tectum.weights.checkpoints import read_published, readable
from tectum.weights.fitting import from_published
from tectum.weights.origins import bundled_file, bundled_senses, how_to_get, how_to_train

FORMAT = "tectum"
"""The metadata entry by which our own files are known: it names the preset."""

USUAL = "nano"
"""The preset where neither a name nor weights are given."""


def save(system: System, path: str | Path, preset: str, half: bool = False, options: Options | None = None) -> Path:
    """Writes a system's weights; an older file of that name is replaced only once the new one is complete.

    Args:
        system: what to save.
        path: a `.safetensors` file; its folder is made where needed.
        preset: the name that builds this system.
        half: whether to store matrices and kernels as float16; vectors, such as norms, stay as they are.
        options: with which the preset builds this system.

    Raises:
        WeightsError: if the path does not end in `.safetensors` or is a folder.
    """
    path = Path(path)
    if path.suffix != ".safetensors" or path.is_dir():
        raise WeightsError(f"Weights cannot be saved to {path}: give the name of a file ending in .safetensors.")
    tensors = {
        name: (tensor.half() if half and tensor.is_floating_point() and tensor.dim() > 1 else tensor).contiguous()
        for name, tensor in system.state_dict().items()
    }
    metadata = {
        FORMAT: preset,
        "senses": ",".join(sense for sense in Modality if sense in system.senses),
        "version": _version(),
        "sha256": digest(tensors),
        **({"options": json.dumps(options)} if options else {}),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.write_bytes(serialised(tensors, metadata))
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return path


def load(
    preset: str | None = None,
    weights: str | Path | None = None,
    second: Modality | str | None = None,
    options: Options | None = None,
) -> System:
    """Builds a trained system, ready to track.

    Args:
        preset: a name such as `nano` or `ostrack-b256-ce`; by default the one that the weights were saved for, `nano`
            without weights.
        weights: a file that `save` wrote, the folder of a run of `tectum train` or a published checkpoint; the bundled
            weights if `None`.
        second: the sense beside RGB, for systems that take one; by default the one that the file was saved for,
            thermal where it does not say.
        options: changes of what the system is made of; by default those with which the file was saved.

    Returns:
        The system on the CPU, in evaluation mode.

    Raises:
        WeightsError: if there are no such weights, or they are unsafe, damaged, or of another system.
        UnknownNameError: if there is no such preset or sense.
        OptionError: if there is no such option, or it cannot have that value.
    """
    preset = preset_for(weights) if preset is None else preset
    check_preset(preset)
    path = readable(bundled(preset, second) if weights is None else weights)
    metadata = read_metadata(path)
    if FORMAT not in metadata:
        system = from_published(preset, read_published(path), second or Modality.THERMAL, str(path), options=options)
        return system.eval()
    if metadata[FORMAT] != preset:
        raise WeightsError(
            f"{path} holds weights of '{metadata[FORMAT]}', not of '{preset}': ask for '{metadata[FORMAT]}' or give "
            "another file."
        )
    second = second or _second(metadata) or Modality.THERMAL
    system = build(preset, second, _options(metadata, path) if options is None else options)
    senses = ",".join(sense for sense in Modality if sense in system.senses)
    if metadata.get("senses", senses) != senses:
        raise WeightsError(
            f"{path} holds weights for {metadata['senses'].replace(',', ' and ')}, not for "
            f"{senses.replace(',', ' and ')}: name the sense that it was trained with."
        )
    restore(system, path, metadata)
    return system.eval()


def preset_for(weights: str | Path | None) -> str:
    """The preset to take with some weights where none is named: the one that they were saved for.

    Args:
        weights: a file or a run's folder; the usual preset if `None`.

    Raises:
        WeightsError: if they do not say.
    """
    if weights is None:
        return USUAL
    path = readable(weights)
    metadata = read_metadata(path)
    if FORMAT not in metadata:
        read_published(path)  # says what is wrong with a file that no preset could open
        raise WeightsError(f"{path} does not say which system it holds: name its preset, such as ostrack-b256.")
    return metadata[FORMAT]


def second_for(weights: str | Path) -> Modality | None:
    """The one sense beside RGB that some weights were saved for; `None` if they name none or several.

    Args:
        weights: a file or a run's folder.

    Raises:
        WeightsError: if there is no such file, or it is damaged.
    """
    return _second(read_metadata(readable(weights)))


def options_for(weights: str | Path) -> dict[str, Any]:
    """The options of the system that some weights were saved for, none of which are the preset's own.

    Args:
        weights: a file or a run's folder.

    Raises:
        WeightsError: if there is no such file, or it is damaged.
    """
    path = readable(weights)
    return _options(read_metadata(path), path)


def bundled(preset: str, second: Modality | str | None = None) -> Path:
    """The weights of a preset that ship with Tectum.

    Args:
        preset: a name such as `nano`.
        second: the sense beside RGB, for systems whose weights are made for one; thermal if `None`.

    Raises:
        WeightsError: if there are none.
        UnknownNameError: if there is no such preset or sense.
    """
    sense = read_second(second) if second is not None else Modality.THERMAL
    for path in (bundled_file(preset, sense), bundled_file(preset)):
        if path.is_file():
            return path
    check_preset(preset)
    second_sense(sense)
    if others := bundled_senses(preset):
        raise WeightsError(
            f"Weights of '{preset}' come with Tectum for {' and '.join(others)} alone, not for {sense.value}: "
            f"{how_to_train(preset, sense)}, or take another preset."
        )
    raise WeightsError(f"No weights of '{preset}' come with Tectum: {how_to_get(preset, sense)}.")


def check_preset(preset: str) -> None:
    """Makes sure that a preset exists, without building it.

    Raises:
        UnknownNameError: if it does not.
    """
    if preset not in known_presets():
        build(preset)


def read_metadata(path: Path) -> dict[str, str]:
    """What a safetensors file says of itself; nothing for any other kind of file.

    Raises:
        WeightsError: if it is a damaged safetensors file.
    """
    if path.suffix != ".safetensors":
        return {}
    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError, ValueError):
        raise WeightsError(f"{path} is damaged or no safetensors file: copy or download it again.") from None


def digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names and bytes of all tensors, in the order of their names."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        total.update(name.encode())
        total.update(tensors[name].detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()


def restore(system: System, path: Path, metadata: Mapping[str, str]) -> None:
    """Loads one of our own files into the system that it names, whatever senses it was saved for.

    Args:
        system: of the preset of the file.
        path: the file.
        metadata: what it says of itself.

    Raises:
        WeightsError: if the file is damaged, or the system has another shape.
    """
    tensors = read_published(path)
    if metadata.get("sha256") != digest(tensors):
        raise WeightsError(f"{path} is damaged: its contents do not match its checksum; copy or download it again.")
    try:
        system.load_state_dict(tensors)
    except RuntimeError:
        raise WeightsError(
            f"{path} holds a '{metadata[FORMAT]}' of another shape than this Tectum builds (saved by version "
            f"{metadata.get('version', 'unknown')}, opened by {_version()}): use the version that saved it, "
            "or train again."
        ) from None


def _options(metadata: Mapping[str, str], path: Path) -> dict[str, Any]:
    """The options of the system that a file was saved for.

    Args:
        metadata: what the file says of itself.
        path: the file, for messages.

    Raises:
        WeightsError: if they cannot be read.
    """
    try:
        options = json.loads(metadata.get("options", "{}"))
    except ValueError:
        options = None
    if not isinstance(options, dict):
        raise WeightsError(f"{path} says nothing readable of its system's options: save it again, or train it anew.")
    return options


def _second(metadata: Mapping[str, str]) -> Modality | None:
    """The second sense that a file was saved for; `None` where it names none or several."""
    others = [sense for sense in metadata.get("senses", "").split(",") if sense and sense != Modality.RGB]
    return read_second(others[0]) if len(others) == 1 else None


def _version() -> str:
    try:
        return version("tectum")
    except PackageNotFoundError:
        return "from source"
