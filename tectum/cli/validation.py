"""Scores of a system in training on a benchmark."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tectum.benchmarks.base import Benchmark
    from tectum.evaluation.passes import Pass
    from tectum.frames import Modality
    from tectum.systems.base import System
    from tectum.training.recipe import Recipe

WORLD_BENCH = "world-bench"
"""The benchmark that is rendered on demand."""

READING = "rgbl"
"""Its split for systems that read, which is scored only where it is named."""

SIDE_BY_SIDE = 8
"""Sequences in lockstep on a GPU."""


@dataclass(frozen=True)
class Test:
    """Sequences to track.

    Attributes:
        name: in front of the scores' names, such as `world-bench/rgb`.
        benchmark: that the sequences are of.
        root: its folder.
        split: which sequences; the benchmark's own by default.
    """

    name: str
    benchmark: Benchmark
    root: Path
    split: str | None = None


def validator(recipe: Recipe, data: Path | None, device: str) -> Callable[[System], Mapping[str, float]]:
    """What scores a system on the benchmark of a recipe; nothing if it names none.

    Args:
        recipe: names it.
        data: the folder that its root is relative to.
        device: where to compute.

    Raises:
        RecipeError: if the benchmark needs a folder that the recipe does not name.
        UnknownNameError: if there is no such benchmark.
    """
    wanted, batch = recipe.validation, 1 if device == "cpu" else SIDE_BY_SIDE
    known = () if wanted.benchmark in (None, WORLD_BENCH) else (_downloaded(recipe, data),)

    def validate(system: System) -> dict[str, float]:
        tests = _rendered(system, wanted.split, data, wanted.root) if wanted.benchmark == WORLD_BENCH else known
        return {name: value for test in tests for name, value in _scores(test, system, device, batch).items()}

    return validate


def _downloaded(recipe: Recipe, data: Path | None) -> Test:
    """The test on a benchmark that lies in a folder."""
    from tectum.benchmarks import find
    from tectum.errors import RecipeError

    wanted = recipe.validation
    benchmark = find(str(wanted.benchmark))
    if wanted.root is None:
        raise RecipeError(f"The recipe validates on {benchmark.title}: say with validation.root where it lies.")
    name = "/".join(filter(None, (benchmark.name, wanted.split)))
    return Test(name, benchmark, (data or Path()) / wanted.root, wanted.split)


def _rendered(system: System, split: str | None, data: Path | None, root: str | None) -> list[Test]:
    """The tests on the procedural benchmark, whose sequences are rendered once."""
    import typer

    from tectum.benchmarks import find
    from tectum.errors import UnknownNameError
    from tectum.world.bench import SPLITS, bench_folder, missing, render_bench

    if split is not None and split not in SPLITS:
        raise UnknownNameError(f"There is no split '{split}' of {WORLD_BENCH}: use one of {', '.join(SPLITS)}.")
    folder = None if root is None else (data or Path()) / root
    splits = (split,) if split else tuple(name for name in SPLITS if name != READING and _sees(system, SPLITS[name]))
    left = len(list(missing(folder or bench_folder(), splits)))
    if left:
        typer.echo(f"{left} sequences of {WORLD_BENCH} are rendered, which is done once", err=True)
    rendered = render_bench(folder, splits)
    return [Test(f"{WORLD_BENCH}/{name}", find("plain"), rendered / name) for name in splits]


def _sees(system: System, senses: frozenset[Modality]) -> bool:
    """Whether a system can make use of all of some senses, and needs no others."""
    return system.required <= senses <= system.senses


def _scores(test: Test, system: System, device: str, batch: int) -> dict[str, float]:
    """The scores of one test by their full names."""
    from tectum.evaluation.scoring import read_truths, score_boxes

    truths, _ = read_truths(test.benchmark, test.root, test.split)
    boxes = {name: done.boxes for name, done in _tracked(test, system, device, batch).items()}
    scores = score_boxes(boxes, truths, test.benchmark.convention)
    return {f"{test.name}/{key}": value for key, value in scores.items()}


def _tracked(test: Test, system: System, device: str, batch: int) -> dict[str, Pass]:
    """What a system answers for each sequence.

    Raises:
        BenchmarkError: if a sequence cannot be tracked.
    """
    import torch

    from tectum.errors import BenchmarkError
    from tectum.evaluation.jobs import plan
    from tectum.evaluation.lockstep import Setup, Worker
    from tectum.evaluation.passes import Failed, Finished
    from tectum.tracking.session import Tracker

    jobs, _ = plan(test.benchmark, test.root, test.split)
    worker = Worker(Setup(lambda: Tracker(system, device), test.benchmark, test.root, torch.get_num_threads()))
    passes: dict[str, Pass] = {}
    running = 0
    while jobs or running:
        fresh, jobs = jobs[: batch - running], jobs[batch - running :]
        running += len(fresh)
        for event in worker.work(fresh):
            match event:
                case Finished(key, done):
                    passes[key], running = done, running - 1
                case Failed(_, sentence):
                    raise BenchmarkError(sentence)
    return passes
