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
    from tectum.training.recipe import Recipe, Validation

READING = "rgbl"
"""The split of world-bench for systems that read, which is scored only where it is named."""

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
        UnknownNameError: if there is no such benchmark, or no such split of one that is rendered.
    """
    from tectum.benchmarks import find

    wanted, batch = recipe.validation, 1 if device == "cpu" else SIDE_BY_SIDE
    if wanted.benchmark is None:
        return lambda system: {}
    benchmark = find(wanted.benchmark)
    root = _root(benchmark, wanted, data)

    def validate(system: System) -> dict[str, float]:
        tests = _tests(benchmark, wanted.split, root, system)
        return {name: value for test in tests for name, value in _scores(test, system, device, batch).items()}

    return validate


def _root(benchmark: Benchmark, wanted: Validation, data: Path | None) -> Path | None:
    """The folder of a benchmark; `None` if it is to be rendered."""
    from tectum.benchmarks.worldbench import WorldBench
    from tectum.errors import RecipeError
    from tectum.world.bench import chosen_splits

    if wanted.root is not None:
        return (data or Path()) / wanted.root
    if not isinstance(benchmark, WorldBench):
        raise RecipeError(f"The recipe validates on {benchmark.title}: say with validation.root where it lies.")
    chosen_splits(wanted.split)
    return None


def _tests(benchmark: Benchmark, split: str | None, root: Path | None, system: System) -> list[Test]:
    """What to track: a split or, where none is named of world-bench, each of the pairings that a system sees."""
    from tectum.benchmarks.worldbench import WorldBench
    from tectum.world.bench import SPLITS

    splits: list[str | None] = [split]
    if isinstance(benchmark, WorldBench) and split is None:
        splits = [name for name in SPLITS if name != READING and _sees(system, SPLITS[name])]
    return [
        Test("/".join(filter(None, (benchmark.name, each))), benchmark, root or _rendered(benchmark, each), each)
        for each in splits
    ]


def _rendered(benchmark: Benchmark, split: str | None) -> Path:
    """The folder of a benchmark whose sequences are rendered once, without a bar: the training has one."""
    import typer

    from tectum.cli.world import rendered_root
    from tectum.world.bench import bench_folder, chosen_splits, missing

    if left := sum(1 for _ in missing(bench_folder(), chosen_splits(split))):
        typer.echo(f"{left} sequences of {benchmark.title} are rendered, which is done once", err=True)
    root = rendered_root(benchmark, split, quiet=True)
    assert root is not None
    return root


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
