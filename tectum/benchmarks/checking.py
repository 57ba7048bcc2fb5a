"""What of a downloaded benchmark is there, what is missing, and what is damaged."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from collections.abc import Sequence as Order
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tectum.benchmarks.base import Benchmark, Truth
from tectum.errors import BenchmarkError, SourceError
from tectum.frames import Modality, Sequence
from tectum.sources import StreamRecording
from tectum.sources.folders import ImageFolder
from tectum.sources.images import read_image

_WORKERS = 8
_DEPTH = 2


class State(StrEnum):
    """How a sequence was found."""

    PRESENT = "present"
    MISSING = "missing"
    DAMAGED = "damaged"


@dataclass(frozen=True)
class Finding:
    """What was found of one sequence.

    Attributes:
        name: its official name.
        state: how it is.
        reason: the first thing that is wrong with it, one sentence; empty where nothing is.
        frames: number of its images in the first sense.
    """

    name: str
    state: State
    reason: str = ""
    frames: int = 0


def whole_splits(benchmark: Benchmark) -> tuple[str, ...]:
    """The splits that are not a part of another one, and the benchmark's own where only the download lists it."""
    held = {split: frozenset(names) for split, names in benchmark.lists.splits.items()}
    whole = tuple(split for split, names in held.items() if not any(names < other for other in held.values()))
    return whole if benchmark.split in held else (benchmark.split, *whole)


def check_sequences(benchmark: Benchmark, root: Path, names: Order[str]) -> Iterator[Finding]:
    """Looks at sequences one after the other, in the order given.

    A sequence is missing if no folder has its name. It is damaged if its annotations cannot be read, if a sense has
    no images, if the counts of images and annotations differ, or if the first, middle or last image of a sense
    cannot be read. Folders are listed once each and no other image is touched, so that a million take seconds.

    Args:
        benchmark: whose readers know the layout.
        root: the folder of the download.
        names: official names of sequences.

    Raises:
        BenchmarkError: if there is no such folder.
    """
    if not root.is_dir():
        raise BenchmarkError(f"There is no folder {root}: check the path.")
    folders = frozenset(_folders_below(root, _DEPTH))
    renamed = _renamed(folders, benchmark)

    def check(name: str) -> Finding:
        last = name.rpartition("/")[2]
        return _check(benchmark, root, name, last in folders, renamed.get(_plain(last)))

    with ThreadPoolExecutor(_WORKERS) as pool:
        yield from pool.map(check, names)


def _check(benchmark: Benchmark, root: Path, name: str, there: bool, like: str | None) -> Finding:
    try:
        truth, sequence = benchmark.truth(root, name), benchmark.sequence(root, name)
    except BenchmarkError as error:
        if there:
            return Finding(name, State.DAMAGED, str(error).removeprefix(f"Sequence {name} of {benchmark.title}: "))
        hint = f"{like} may be it, so rename that one to {name}" if like else "download it again"
        return Finding(name, State.MISSING, f"No folder has this name: {hint}.")
    streams = _image_folders(sequence)
    frames = next((len(stream.files) for stream in streams.values()), 0)
    reason = next(_faults(truth, streams, official=bool(benchmark.lists.splits)), "")
    return Finding(name, State.DAMAGED if reason else State.PRESENT, reason, frames)


def _image_folders(sequence: Sequence) -> dict[Modality, ImageFolder]:
    recording = sequence.recording
    streams = recording.streams if isinstance(recording, StreamRecording) else {}
    return {sense: stream for sense, stream in streams.items() if isinstance(stream, ImageFolder)}


def _faults(truth: Truth, streams: Mapping[Modality, ImageFolder], official: bool) -> Iterator[str]:
    """Everything that is wrong, the cheapest to find first; in recordings of users a sense may lack images."""
    for sense, stream in streams.items():
        if not stream.files:
            yield f"There are no {sense} images in {stream.folder}."
    counts = {sense: len(stream.files) for sense, stream in streams.items()}
    if official and len(set(counts.values())) > 1:
        told = ", ".join(f"{count} of {sense}" for sense, count in counts.items())
        yield f"The senses have unequally many images: {told}."
    yield from _unannotated(truth, next(iter(counts.values()), 0))
    for stream in streams.values():
        for path in dict.fromkeys((stream.files[0], stream.files[len(stream.files) // 2], stream.files[-1])):
            try:
                read_image(path)
            except SourceError as error:
                yield str(error)


def _unannotated(truth: Truth, images: int) -> Iterator[str]:
    """Whether there are as many images as the annotations tell of."""
    rows = len(truth.boxes)
    if truth.images is not None:
        last = int(truth.images[-1])
        step = last - int(truth.images[-2]) if rows > 1 else images
        if not last < images <= last + step:
            yield f"There are {images} images, but the {rows} boxes belong to every {step}th of them."
    elif rows > 1 and images != (truth.length or rows):
        # A single box is the first one, where the others are kept secret.
        yield f"There are {images} images, but {truth.length or rows} boxes."


def _folders_below(folder: Path | str, depth: int) -> Iterator[str]:
    """Names of the folders within a folder and, to some depth, within these."""
    try:
        with os.scandir(folder) as entries:
            inner = [entry for entry in entries if entry.is_dir()]
    except OSError:
        return
    for entry in inner:
        yield entry.name
        if depth > 1:
            yield from _folders_below(entry.path, depth - 1)


def _renamed(folders: frozenset[str], benchmark: Benchmark) -> dict[str, str]:
    """The folders that are no sequence themselves, by what is left of their names when nothing incidental is."""
    official = {name.rpartition("/")[2] for names in benchmark.lists.splits.values() for name in names}
    return {_plain(folder): folder for folder in sorted(folders - official)}


def _plain(name: str) -> str:
    """A name without case, marks and the endings that downloads come with."""
    return re.sub(r"(done|copy)$", "", re.sub(r"[^a-z0-9]", "", name.lower()))
