"""TrackingNet: thirty thousand RGB sequences for training, and 511 for testing, scored by the benchmark's server."""

from __future__ import annotations

import os
from pathlib import Path

from tectum.benchmarks.base import Lists
from tectum.benchmarks.folder import FolderBenchmark
from tectum.benchmarks.images import SortedImages
from tectum.benchmarks.layout import Place
from tectum.errors import BenchmarkError, UnknownNameError
from tectum.frames import Modality
from tectum.sources import natural_key

_PARTS = tuple(f"TRAIN_{number}" for number in range(12))


class TrackingNet(FolderBenchmark):
    """`PART/anno/NAME.txt` holds a sequence's boxes and `PART/frames/NAME/` its images, numbered from 0 unpadded.

    The parts are `TRAIN_0` to `TRAIN_11` and `TEST`; each is a split, and `train` is all of the former. A sequence is
    called `PART/NAME`. Which there are, only the download says. Of `TEST` only the first box is public.
    """

    name = "trackingnet"
    title = "TrackingNet"
    senses = (Modality.RGB,)
    convention = "pytracking"
    source = (
        "Müller et al., TrackingNet: A Large-Scale Dataset and Benchmark for Object Tracking in the Wild, ECCV 2018"
    )
    annotation = ()
    folders = (("",),)

    @property
    def lists(self) -> Lists:
        """There are no official lists."""
        return Lists()

    def names(self, root: Path, split: str | None = None) -> tuple[str, ...]:
        """The sequences of a split that are annotated in the download, in natural order; see `Benchmark.names`."""
        wanted = split or self.split
        parts = {"train": _PARTS, "test": ("TEST",), **{part: (part,) for part in (*_PARTS, "TEST")}}
        if wanted not in parts:
            raise UnknownNameError(f"{self.title} has no split '{wanted}': use one of {', '.join(parts)}.")
        return tuple(f"{part}/{name}" for part in parts[wanted] for name in _annotated(root / part / "anno"))

    def _place(self, root: Path, name: str) -> Place:
        part, _, video = name.rpartition("/")
        if not (root / part / "anno").is_dir():
            raise BenchmarkError(f"There is no folder {root / part / 'anno'}: check the path or download it again.")
        annotation = root / part / "anno" / f"{video}.txt"
        if not annotation.is_file():
            raise BenchmarkError(f"There is no file {annotation}: download it again.")
        folder = root / part / "frames" / video
        return Place(annotation, folder if folder.is_dir() else None)

    def _streams(self, folder: Path, name: str) -> dict[Modality, SortedImages]:
        return {Modality.RGB: SortedImages.of(folder)}


def _annotated(folder: Path) -> list[str]:
    """Names of the annotation files of a part; none where it is not downloaded."""
    try:
        with os.scandir(folder) as entries:
            found = [entry.name.removesuffix(".txt") for entry in entries if entry.name.endswith(".txt")]
    except OSError:
        return []
    return sorted(found, key=natural_key)
