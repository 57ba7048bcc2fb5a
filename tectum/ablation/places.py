"""Where a measure is taken: a benchmark's sequences on disk, and what there is to do on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tectum.ablation.table import Measure
from tectum.benchmarks import find
from tectum.benchmarks.base import Benchmark
from tectum.benchmarks.worldbench import WorldBench
from tectum.errors import RecipeError, TectumError
from tectum.evaluation.conventions import convention
from tectum.evaluation.drops import Drop
from tectum.evaluation.jobs import Job, plan
from tectum.world.bench import LENGTH, bench_folder, chosen_splits, missing, render_bench


@dataclass(frozen=True)
class Place:
    """The sequences of one or more measures.

    Attributes:
        name: in words, such as `world-bench rgbt`.
        folder: the name of the folder of its results in that of a run.
        benchmark: that they are of.
        root: the folder that they lie in.
        split: which of them.
        jobs: one for each that can be tracked.
        problems: a sentence on each that cannot.
        drops: what is hidden of every sequence.
    """

    name: str
    folder: str
    benchmark: Benchmark
    root: Path
    split: str
    jobs: tuple[Job, ...]
    problems: tuple[str, ...] = ()
    drops: tuple[Drop, ...] = ()


def check_measures(measures: Sequence[Measure], data: Path | None) -> None:
    """Makes sure that all measures can be taken, before anything is rendered.

    Raises:
        RecipeError: if a benchmark, its folder, a split or a score does not exist.
    """
    for measure in measures:
        try:
            benchmark, _, _ = _located(measure, data)
            known = convention(benchmark.convention).keys
        except TectumError as error:
            raise RecipeError(f"{measure.origin}: {error}") from None
        if measure.key not in known:
            keys = ", ".join(known)
            raise RecipeError(f"{measure.origin}: {measure.place} has no score '{measure.key}': use one of {keys}.")


def frames_to_render(measures: Sequence[Measure]) -> int:
    """Frames of `world-bench` that are not there yet."""
    return LENGTH * sum(1 for _ in missing(bench_folder(), _splits(measures)))


def rendered_places(measures: Sequence[Measure], data: Path | None) -> tuple[Place, ...]:
    """The places of the measures that need no rendering first."""
    there = [each for each in measures if not frames_to_render([each])]
    return tuple(_open(measure, data) for measure in {each.folder: each for each in there}.values())


def open_places(
    measures: Sequence[Measure], data: Path | None, advanced: Callable[[], None] | None = None
) -> tuple[Place, ...]:
    """Finds the sequences of all measures; `world-bench` is rendered first where it is missing.

    Args:
        measures: some may share a place.
        data: the folder that roots are relative to.
        advanced: called after each frame that is rendered.

    Raises:
        RecipeError: if none of a measure's sequences can be tracked.
    """
    splits = _splits(measures)
    if splits:
        render_bench(splits=splits, advanced=advanced)
    by_folder = {measure.folder: measure for measure in measures}
    return tuple(_open(measure, data) for measure in by_folder.values())


def _open(measure: Measure, data: Path | None) -> Place:
    benchmark, root, split = _located(measure, data)
    try:
        jobs, problems = plan(benchmark, root, split)
    except TectumError as error:
        raise RecipeError(f"{measure.origin}: {error}") from None
    told = tuple(problem.sentence for problem in problems)
    drops = tuple(map(Drop.of, measure.drop))
    return Place(measure.place, measure.folder, benchmark, root, split, tuple(jobs), told, drops)


def _located(measure: Measure, data: Path | None) -> tuple[Benchmark, Path, str]:
    """The benchmark, its folder and its split."""
    benchmark = find(measure.benchmark)
    if _is_rendered(measure):
        chosen_splits(measure.split)
        return benchmark, bench_folder(), measure.split or benchmark.split
    if measure.root is None:
        raise RecipeError(f"A measure on {benchmark.title} needs root, the folder in which it lies.")
    root = Path(measure.root) if data is None else data / measure.root
    if not root.is_dir():
        raise RecipeError(f"There is no folder {root}: mend root, or say with --data DIR what it is relative to.")
    split = measure.split or benchmark.split
    benchmark.names(root, split)
    return benchmark, root, split


def _splits(measures: Sequence[Measure]) -> tuple[str, ...]:
    """The splits to render."""
    rendered = (chosen_splits(measure.split) for measure in measures if _is_rendered(measure))
    return tuple(dict.fromkeys(split for splits in rendered for split in splits))


def _is_rendered(measure: Measure) -> bool:
    """Whether the sequences are rendered on demand."""
    return measure.root is None and isinstance(find(measure.benchmark), WorldBench)
