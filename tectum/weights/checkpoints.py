"""Opens checkpoint files from anywhere without running anything that they hold."""

from __future__ import annotations

import pickletools
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from tectum.errors import WeightsError

ENTRIES = ("net", "state_dict", "model")
"""Under which names training codes of the field keep a network in a checkpoint."""

HARMLESS = re.compile(
    r"torch(\.[A-Za-z0-9_]+)+|collections\.(OrderedDict|Counter|defaultdict)|(__builtin__|builtins)\.(set|bytearray|complex)"
)
"""Names that PyTorch's restricted reader may judge for itself: it lets through only what holds tensors."""

STOOD_IN = re.compile(r"(lib|ltr|pytracking|numpy)(\.[A-Za-z0-9_]+)+|argparse\.Namespace|_codecs\.encode")
"""Statistics and settings of the field's training codes: nothing of them is used, an empty object takes their place."""

TRAINED = ("best.safetensors", "last.safetensors")
"""Weights in the folder of a run of `tectum train`, the ones to prefer first."""

TRAINING = frozenset({"recipe", "system", "optimiser"})
"""Names that stand together in the checkpoint from which a run of `tectum train` goes on."""

LEGACY_PICKLES = 5
"""How many pickles stand one after the other in a file of PyTorch before 1.6."""


class StandIn:
    """An empty object in place of one of a class that is not to be run; whatever it is told, it ignores."""

    def __new__(cls, *values: object, **named: object) -> StandIn:
        """Makes an empty object."""
        return super().__new__(cls)

    def __init__(self, *values: object, **named: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


def read_published(path: str | Path) -> dict[str, Tensor]:
    """Reads the network's tensors from a checkpoint, and nothing else.

    Nothing from the file is run: PyTorch's restricted reader opens it, and objects other than tensors and plain
    containers are either known statistics and settings of the field's training codes, which an empty object
    replaces, or a reason to refuse the file.

    Args:
        path: a file of `torch.save` (usually `.pth`, `.pth.tar` or `.pt`), a `.safetensors` file, or a run's folder.

    Returns:
        Tensors on the CPU by name, without a `module.` in front.

    Raises:
        WeightsError: if it is no file, is empty or damaged, asks for code to run, or holds no network.
    """
    path = readable(path)
    if path.suffix == ".safetensors":
        return _safetensors(path)
    return _network(path, _load(path, _stood_in(path)))


def readable(path: str | Path) -> Path:
    """The path of a file with something in it.

    Args:
        path: the file, or the folder of a run of `tectum train`, whose best weights are taken, else its last ones.

    Raises:
        WeightsError: if there is no such file.
    """
    path = Path(path)
    if path.is_dir():
        path = _trained(path)
    if not path.exists():
        raise WeightsError(f"There is no file {path}: check the path to the weights.")
    if path.stat().st_size == 0:
        raise WeightsError(f"{path} is empty: copy or download it again.")
    return path


def _trained(folder: Path) -> Path:
    """The weights that a run left in its folder."""
    found = next((path for name in TRAINED if (path := folder / name).is_file()), None)
    if found is None:
        raise WeightsError(
            f"{folder} is a folder without {' or '.join(TRAINED)}: give the checkpoint file itself, or the folder of a "
            "training that has stored its weights."
        )
    return found


def _safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError):
        raise WeightsError(_damaged(path)) from None


def _stood_in(path: Path) -> set[str]:
    """The names in a checkpoint that need a stand-in, once it is clear that no others would run."""
    named: set[str] = set()
    broken = False
    try:
        for name in _names(path):
            named.add(name)
    except (ValueError, EOFError, OSError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error):
        broken = True
    foreign = sorted(name for name in named if not HARMLESS.fullmatch(name) and not STOOD_IN.fullmatch(name))
    if foreign:
        raise WeightsError(_unsafe(path, foreign))
    if broken:
        raise WeightsError(_damaged(path))
    return {name for name in named if STOOD_IN.fullmatch(name)}


def _names(path: Path) -> Iterator[str]:
    """Every class or function that the file's pickles name, as `module.name`; found by parsing alone."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            pickles = [name for name in archive.namelist() if name.endswith("data.pkl")]
            if len(pickles) != 1:
                raise ValueError(f"{len(pickles)} pickles in {path}")
            with archive.open(pickles[0]) as stream:
                yield from _globals(stream)
        return
    with path.open("rb") as stream:
        for _ in range(LEGACY_PICKLES):
            yield from _globals(stream)


def _globals(stream: IO[bytes]) -> Iterator[str]:
    """Names in one pickle; those that it puts together at run time count as `an unnamed class`."""
    for opcode, argument, _ in pickletools.genops(stream):
        if opcode.name in ("GLOBAL", "INST"):
            yield str(argument).replace(" ", ".")
        elif opcode.name in ("STACK_GLOBAL", "EXT1", "EXT2", "EXT4"):
            yield "an unnamed class"


def _load(path: Path, stood_in: set[str]) -> object:
    stand_ins: list[Any] = [(StandIn, name) for name in sorted(stood_in)]
    try:
        with torch.serialization.safe_globals(stand_ins):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:  # a damaged pickle makes the reader fail in any way at all
        if "GLOBAL" in str(error):
            raise WeightsError(_unsafe(path, re.findall(r"GLOBAL ([\w.]+)", str(error)))) from None
        raise WeightsError(_damaged(path)) from None


def _network(path: Path, content: object) -> dict[str, Tensor]:
    """The state dict in a checkpoint's content, its tensors copied out of the mapped file."""
    found = content
    if isinstance(content, Mapping):
        if content.keys() >= TRAINING:
            raise WeightsError(
                f"{path} is the state from which a training goes on, not its weights: give {' or '.join(TRAINED)} "
                "beside it, or their folder."
            )
        found = next((content[key] for key in ENTRIES if isinstance(content.get(key), Mapping)), content)
    tensors = {str(name): value for name, value in found.items()} if isinstance(found, Mapping) else {}
    if not tensors or not all(isinstance(value, Tensor) for value in tensors.values()):
        entries = ", ".join(f"'{entry}'" for entry in ENTRIES)
        raise WeightsError(f"{path} holds no network: its tensors should stand at the top or under one of {entries}.")
    return {name.removeprefix("module."): tensor.clone() for name, tensor in tensors.items()}


def _damaged(path: Path) -> str:
    return f"{path} is damaged or no checkpoint: copy or download it again."


def _unsafe(path: Path, names: list[str]) -> str:
    listed = ", ".join(names[:3]) or "an unknown class"
    return (
        f"{path} asks for code to run when it is opened ({listed}), and Tectum runs none: "
        "save its tensors alone, as a state dict, and give that file."
    )
