"""What there is to do when a tracker is evaluated: one job for every pass over a sequence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from tectum.benchmarks.base import Benchmark, Truth
from tectum.errors import BenchmarkError
from tectum.evaluation.board import Problem
from tectum.geometry import Box

TIMES = "_time"
"""What the name of a job's file of times ends with, before its suffix."""


@dataclass(frozen=True)
class Job:
    """One pass of a tracker over one sequence.

    Attributes:
        sequence: the sequence's official name.
        key: where its files lie in the folder of the run, without ending, such as `car` or `car/car_00000012`.
        box: the target where the tracker starts, in pixels.
        start: the image, counted in the order played, at which the tracker starts.
        frames: how many images will be played, as far as annotations tell.
        order: positions of the images in the order played; `None` for all of them.
        coded: whether the start is written as the code `1`, as the VOT toolkit has it, rather than as a box.
    """

    sequence: str
    key: str
    box: Box
    start: int
    frames: int
    order: range | None = None
    coded: bool = False


def plan(
    benchmark: Benchmark, root: Path, split: str | None = None, repetitions: int = 1
) -> tuple[list[Job], list[Problem]]:
    """Lists the jobs of a split, in its order.

    A tracker starts at the first annotated box whose target is present; for anchored benchmarks there is a job for
    every anchor, forwards or backwards.

    Args:
        benchmark: whose sequences.
        root: the folder of the download.
        split: a split's name; the benchmark's own by default.
        repetitions: how often each sequence is tracked; anchored ones are tracked once.

    Returns:
        The jobs, and one problem for each sequence whose annotation cannot be used.

    Raises:
        BenchmarkError: if no sequence can be used.
        UnknownNameError: if there is no such split.
    """
    jobs: list[Job] = []
    problems: list[Problem] = []
    names = benchmark.names(root, split)
    for name in names:
        try:
            _check_name(name, names)
            jobs.extend(_jobs(benchmark, benchmark.truth(root, name), repetitions))
        except BenchmarkError as error:
            problems.append(Problem(str(error), sequence=name))
    if not jobs:
        first = problems[0].sentence if problems else "There is no sequence at all."
        raise BenchmarkError(f"No sequence of {benchmark.title} in {root} can be tracked, so check --root. {first}")
    return jobs, problems


def _check_name(name: str, names: Sequence[str]) -> None:
    """Refuses a sequence whose file of boxes would be another one's file of times."""
    other = name.removesuffix(TIMES)
    if other != name and other in names:
        raise BenchmarkError(
            f"Sequence {name} is left out, for its results would lie where the times of {other} do: rename its folder."
        )


def _jobs(benchmark: Benchmark, truth: Truth, repetitions: int) -> Iterator[Job]:
    """The jobs of one sequence."""
    coded = benchmark.convention.startswith("vot-")
    leaf = PurePosixPath(truth.name).name
    if truth.anchors is not None:
        for anchor in truth.anchors.tolist():
            yield _anchored(truth, anchor, f"{truth.name}/{leaf}_{abs(anchor):08d}", coded)
        return
    row = truth.start
    start = row if truth.images is None else int(truth.images[row])
    for repetition in range(1, repetitions + 1):
        key = truth.name if repetitions == 1 else f"{truth.name}/{leaf}_{repetition:03d}"
        yield Job(truth.name, key, Box.of(truth.boxes[row]), start, _length(truth), coded=coded)


def _anchored(truth: Truth, anchor: int, key: str, coded: bool) -> Job:
    """A run from an anchor to the end, or back to the first image."""
    place = abs(anchor)
    order = range(place, -1, -1) if anchor < 0 else range(place, _length(truth))
    row = place if truth.images is None else int(np.searchsorted(truth.images, place))
    box = truth.boxes[row] if row < len(truth.boxes) else np.full(4, np.nan)
    if not (np.isfinite(box).all() and (box[2:] > 0).all()):
        raise BenchmarkError(f"Sequence {truth.name} has no box with an area at its anchor {place}.")
    return Job(truth.name, key, Box.of(box), 0, len(order), order, coded)


def _length(truth: Truth) -> int:
    """Number of images, as far as the annotation tells."""
    if truth.length is not None:
        return truth.length
    return len(truth.boxes) if truth.images is None else int(truth.images[-1]) + 1
