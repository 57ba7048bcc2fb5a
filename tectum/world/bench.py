"""`world-bench`: sixty fixed scenes, twelve for RGB alone and for RGB with each second sense or a sentence."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import FileLock

from tectum.errors import BenchmarkError, UnknownNameError
from tectum.frames import Modality
from tectum.world.layouts import write_scene
from tectum.world.plan import Plan
from tectum.world.scene import Scene
from tectum.world.script import Script
from tectum.world.staging import written

RENDERER = 2
"""To be raised whenever plans are written into other scripts, or scripts rendered into other pixels."""

LENGTH = 100
"""Frames in each sequence."""

SIZE = (384, 288)
"""Width and height of its images in pixels."""

SPLITS: dict[str, frozenset[Modality]] = {
    "rgb": frozenset({Modality.RGB}),
    "rgbt": frozenset({Modality.RGB, Modality.THERMAL}),
    "rgbd": frozenset({Modality.RGB, Modality.DEPTH}),
    "rgbe": frozenset({Modality.RGB, Modality.EVENT}),
    "rgbl": frozenset({Modality.RGB}),
}
"""The senses of each split; sequences of all splits have a sentence, those of `rgbl` need it."""

ALL = "all"
"""What stands for all splits."""

CONTENTS = "contents.json"
"""The file that says which version lies in a folder, and which sequences it has."""


@dataclass(frozen=True)
class Entry:
    """One sequence.

    Attributes:
        split: one of `SPLITS`.
        number: from 1 in its split.
        plan: what it holds.
        seed: of its script.
    """

    split: str
    number: int
    plan: Plan
    seed: int

    @property
    def name(self) -> str:
        """Such as `rgbt-03-night-person`."""
        what = self.plan.kind or self.plan.place
        return f"{self.split}-{self.number:02d}-{self.plan.light}-{what}"

    @property
    def script(self) -> Script:
        """Its description."""
        return written(self.seed, self.plan, LENGTH, SIZE, self.name)

    @property
    def scene(self) -> Scene:
        """It as a recording."""
        return Scene(self.script, SPLITS[self.split])


_STREET = Plan(place="street", alike=2, strangers=2, occluders=1)
_FIELD = replace(_STREET, place="field", strangers=1)
_ROOM = replace(_STREET, place="room", strangers=1)
_AIR = replace(_STREET, place="air", strangers=1)
_NIGHT = replace(_STREET, light="night", camera=0.4)

_PLANS: dict[str, tuple[Plan, ...]] = {
    "rgb": (
        replace(_STREET, kind="person"),
        replace(_STREET, kind="car", scaling=True),
        replace(_STREET, kind="cyclist", camera=1.0),
        replace(_STREET, kind="bus", leaves=True, alike=1),
        replace(_FIELD, kind="dog", occluders=2),
        replace(_FIELD, kind="horse", fog=True),
        replace(_FIELD, kind="bird", fast=True),
        replace(_ROOM, kind="ball", scaling=True),
        replace(_ROOM, kind="bottle", cluttered=True),
        replace(_AIR, kind="car", small=True),
        replace(_AIR, kind="boat", camera=1.0),
        replace(_STREET, kind="person", light="dusk", small=True),
    ),
    "rgbt": (
        replace(_NIGHT, kind="person"),
        replace(_NIGHT, kind="car"),
        replace(_NIGHT, kind="cyclist", camera=0.8),
        replace(_NIGHT, kind="dog", scaling=True),
        replace(_NIGHT, kind="person", occluders=2),
        replace(_NIGHT, kind="person", place="air"),
        replace(_STREET, kind="person", crossover=True),
        replace(_STREET, kind="car", crossover=True, scaling=True),
        replace(_FIELD, kind="horse", fog=True),
        replace(_STREET, kind="cyclist", glare=True),
        replace(_STREET, kind="person", cluttered=True),
        replace(_FIELD, kind="dog", light="dusk", leaves=True),
    ),
    "rgbd": tuple(
        replace(_ROOM, kind=kind, other_depth=True, twins=1.0, alike=3, **more)
        for kind, more in (
            ("person", {}),
            ("person", {"occluders": 2}),
            ("ball", {}),
            ("ball", {"fast": True}),
            ("bottle", {}),
            ("bottle", {"cluttered": True}),
            ("box", {"camera": 0.9}),
            ("box", {"scaling": True}),
            ("dog", {}),
            ("dog", {"leaves": True}),
            ("balloon", {}),
            ("drone", {"light": "dusk"}),
        )
    ),
    "rgbe": (
        replace(_STREET, kind="car", fast=True),
        replace(_STREET, kind="person", fast=True),
        replace(_FIELD, kind="bird", fast=True),
        replace(_ROOM, kind="ball", fast=True),
        replace(_NIGHT, kind="cyclist"),
        replace(_NIGHT, kind="person"),
        replace(_NIGHT, kind="car", fast=True),
        replace(_NIGHT, kind="dog", place="field"),
        replace(_STREET, kind="cyclist", glare=True),
        replace(_STREET, kind="bus", glare=True, alike=1),
        replace(_FIELD, kind="horse", glare=True, fast=True),
        replace(_ROOM, kind="drone", fast=True, camera=0.9),
    ),
    "rgbl": tuple(
        replace(base, kind=kind, alike=4, twins=twins, strangers=2)
        for base, kind, twins in (
            (_STREET, "person", 0.0),
            (_STREET, "person", 0.5),
            (_STREET, "car", 0.0),
            (_STREET, "car", 0.5),
            (_STREET, "cyclist", 0.0),
            (_FIELD, "dog", 0.0),
            (_FIELD, "dog", 1.0),
            (_FIELD, "horse", 0.0),
            (_ROOM, "ball", 0.5),
            (_ROOM, "bottle", 0.0),
            (_ROOM, "balloon", 1.0),
            (_AIR, "car", 0.0),
        )
    ),
}

ENTRIES: tuple[Entry, ...] = tuple(
    Entry(split, number, plan, 1000 * order + number)
    for order, split in enumerate(SPLITS, 1)
    for number, plan in enumerate(_PLANS[split], 1)
)
"""All sequences in order."""


def version() -> str:
    """Eight hexadecimal digits that change with any plan, any seed and the renderer."""
    return hashlib.sha256(repr((RENDERER, LENGTH, SIZE, ENTRIES)).encode()).hexdigest()[:8]


def bench_folder() -> Path:
    """Where it is kept unless another folder is given."""
    return Path.home() / ".cache" / "tectum" / f"world-bench-{version()}"


def chosen_splits(name: str | None) -> tuple[str, ...]:
    """The splits that a name stands for: itself, or all of them for `all` and `None`.

    Raises:
        UnknownNameError: if there is no such split.
    """
    if name is None or name == ALL:
        return tuple(SPLITS)
    if name not in SPLITS:
        raise UnknownNameError(f"world-bench has no split '{name}': use one of {', '.join((*SPLITS, ALL))}.")
    return (name,)


def render_bench(
    folder: Path | None = None, splits: tuple[str, ...] = tuple(SPLITS), advanced: Callable[[], None] | None = None
) -> Path:
    """Renders what is missing of the benchmark, in the plain layout: `FOLDER/SPLIT/NAME`.

    `FOLDER/contents.json` says what it is, for its reader. Of two processes at once, one waits for the other.

    Args:
        folder: where to; `bench_folder()` by default.
        splits: which of `SPLITS`.
        advanced: called after each frame.

    Returns:
        The folder.

    Raises:
        BenchmarkError: if the files cannot be written, or the folder holds another version.
    """
    root = folder or bench_folder()
    if _is_signed(root) and not any(missing(root, splits)):
        return root
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / ".lock"):
            _sign(root)
            for entry in missing(root, splits):
                write_scene(root / entry.split, entry.scene, advanced=advanced)
    except OSError as error:
        raise BenchmarkError(f"world-bench cannot be rendered into {root} ({error.strerror}).") from None
    return root


def missing(root: Path, splits: tuple[str, ...] = tuple(SPLITS)) -> Iterator[Entry]:
    """The sequences of some splits that a folder lacks."""
    for entry in ENTRIES:
        if entry.split in splits and not (root / entry.split / entry.name).is_dir():
            yield entry


def _is_signed(root: Path) -> bool:
    """Whether a folder says that it holds this version; raises if it says anything else."""
    path = root / CONTENTS
    if not path.is_file():
        return False
    if path.read_text("utf-8") != _contents():
        raise BenchmarkError(f"{root} holds another world-bench than version {version()}: give another folder.")
    return True


def _sign(root: Path) -> None:
    if not _is_signed(root):
        unfinished = root / f".{CONTENTS}.part"
        unfinished.write_text(_contents(), "utf-8")
        unfinished.replace(root / CONTENTS)


def _contents() -> str:
    """The version, and the sequences of each split."""
    splits = {split: [entry.name for entry in ENTRIES if entry.split == split] for split in SPLITS}
    return json.dumps({"version": version(), "splits": splits}, indent=1) + "\n"
