"""`tectum evaluate`: run a tracker over a benchmark and score it."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tectum.benchmarks.base import Benchmark
    from tectum.evaluation.drops import Drop
    from tectum.evaluation.engines import Crew
    from tectum.evaluation.lockstep import Setup
    from tectum.evaluation.running import Evaluation
    from tectum.frames import Modality

ENGINES = ("local", "ray")

HIDDEN = {("got10k", "test"), ("trackingnet", "test"), ("trackingnet", "TEST")}
"""Splits whose truth is not published."""

DRAWS = 2000
"""How often sequences are drawn for intervals of scores."""

SHOWN = 10
"""Sentences of one kind that are shown in full."""


def evaluate(
    preset: Annotated[str, typer.Argument(help="Which tracker, such as nano or ostrack-b256.")],
    benchmark: Annotated[str, typer.Argument(help="Which benchmark, such as lasher; plain for your own recordings.")],
    root: Annotated[
        Path | None, typer.Option(help="The folder of its download; world-bench is rendered.", show_default=False)
    ] = None,
    split: Annotated[str | None, typer.Option(help="Which sequences; the ones usually scored by default.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="The folder for results; evaluations/PRESET-BENCHMARK[-SPLIT] by default.")
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="A weights file instead of the bundled one.")] = None,
    second: Annotated[
        str | None,
        typer.Option(metavar="SENSE", help="The sense beside RGB; by default that of the benchmark or split."),
    ] = None,
    device: Annotated[str, typer.Option(help="Where to compute: cpu, cuda, cuda:1 and so on.")] = "cpu",
    missing: Annotated[
        str, typer.Option(metavar="copy|zero|stop", help="What to do in a frame that lacks a sense.")
    ] = "copy",
    drop: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SENSE[=SHARE]",
            help="Hide a sense throughout, in a random half of the frames (thermal=0.5) or in a part of every sequence "
            "(thermal=0.5-1); may be given again.",
        ),
    ] = None,
    drop_seed: Annotated[int, typer.Option(help="Of the frames that are drawn for --drop.")] = 1,
    batch: Annotated[int, typer.Option(min=1, help="Sequences that each worker tracks in lockstep.")] = 1,
    workers: Annotated[int, typer.Option(min=1, help="Processes that share the work.")] = 1,
    engine: Annotated[str, typer.Option(metavar="local|ray", help="Where workers run.")] = "local",
    address: Annotated[
        str | None, typer.Option(help="Of a Ray cluster; one on this machine is started by default.")
    ] = None,
    repetitions: Annotated[
        int, typer.Option(min=1, help="How often each sequence is tracked; more than once for trackers left to chance.")
    ] = 1,
    convention: Annotated[str | None, typer.Option(help="How to score; as the benchmark does by default.")] = None,
    attributes: Annotated[bool, typer.Option("--attributes", help="Add a table by attribute.")] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 2 if any sequence could not be tracked or scored.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only scores, warnings and errors.")] = False,
    no_score: Annotated[bool, typer.Option("--no-score", help="Track only.")] = False,
) -> None:
    """Run a tracker over a benchmark and score it; started again, it continues where it was ended."""
    from functools import partial

    from tectum.benchmarks import find
    from tectum.evaluation import conventions
    from tectum.evaluation.drops import RandomShare
    from tectum.evaluation.jobs import plan
    from tectum.evaluation.lockstep import Setup
    from tectum.evaluation.run_folder import Config, RunFolder
    from tectum.evaluation.running import Evaluation
    from tectum.face import load
    from tectum.tracking.views import MissingPolicy

    _check_engine(engine, address)
    chosen = find(benchmark)
    conventions.convention(convention or chosen.convention)
    senses = _senses(chosen, split)
    sense = second or (senses[1] if len(senses) == 2 else None)
    file, digest = _weights(preset, weights, sense)
    drops = _drops(drop or (), drop_seed, senses, chosen.title)
    policy, tracker = MissingPolicy.of(missing), partial(load, preset, weights, sense, device, missing)
    if engine == "local":
        # A mistake is told before anything is written; on a cluster, this machine may lack the device.
        tracker()
    root = root or _rendered_root(chosen, split, quiet)
    config = Config(
        preset=preset,
        weights=digest,
        second=sense or "",
        missing=policy,
        device=device.partition(":")[0],
        batch=batch,
        benchmark=chosen.name,
        split=split or chosen.split,
        repetitions=repetitions,
        version=chosen.version(root),
        drop=" ".join(map(str, drops)),
        drop_seed=drop_seed if any(isinstance(each.part, RandomShare) for each in drops) else None,
    )
    jobs, problems = plan(chosen, root, config.split, config.repetitions)
    place = out or Path("evaluations") / "-".join(filter(None, (preset, chosen.name, split)))
    folder = RunFolder(place, config, {"weights": str(file), "root": str(root)})
    folder.enter(jobs)
    setup = Setup(tracker, chosen, root, folder.threads(_threads(workers)), drops)
    crew = _crew(setup, workers, engine, address, device)
    run = Evaluation(folder, jobs, crew, batch, say=_warn)
    run.problems.extend(problems)
    _track(run, f"{preset} on {chosen.title}", quiet)
    fine = no_score or _score(run, chosen, root, convention, attributes, quiet)
    if strict and (run.problems or not fine):
        raise typer.Exit(2)


def _rendered_root(benchmark: Benchmark, split: str | None, quiet: bool) -> Path:
    """Where a benchmark lies that is rendered."""
    from tectum.cli.world import rendered_root
    from tectum.errors import BenchmarkError

    root = rendered_root(benchmark, split, quiet)
    if root is None:
        raise BenchmarkError(f"{benchmark.title} is not rendered but downloaded: name its folder with --root.")
    return root


def _senses(benchmark: Benchmark, split: str | None) -> tuple[Modality, ...]:
    """What the recordings of a split hold, RGB first."""
    from tectum.benchmarks.worldbench import WorldBench
    from tectum.frames import Modality
    from tectum.world.bench import SPLITS

    if isinstance(benchmark, WorldBench) and split in SPLITS:
        return tuple(sense for sense in Modality if sense in SPLITS[split])
    return benchmark.senses


def _drops(texts: Sequence[str], seed: int, senses: Sequence[Modality], title: str) -> tuple[Drop, ...]:
    """What is hidden of every sequence, whatever the order of the options."""
    from tectum.errors import UnknownNameError
    from tectum.evaluation.drops import Drop

    drops = sorted({Drop.of(text, seed) for text in texts}, key=str)
    for drop in drops:
        if drop.sense not in senses:
            known = ", ".join(senses)
            raise UnknownNameError(f"{title} has no {drop.sense} that could be dropped: use one of {known}.")
    return tuple(drops)


def _weights(preset: str, weights: Path | None, second: str | None) -> tuple[Path, str]:
    """The weights file and its SHA-256."""
    import hashlib

    from tectum.weights.checkpoints import readable
    from tectum.weights.files import bundled, check_preset

    check_preset(preset)
    path = readable(bundled(preset, second) if weights is None else weights)
    with path.open("rb") as file:
        return path, hashlib.file_digest(file, "sha256").hexdigest()


def _check_engine(engine: str, address: str | None) -> None:
    """Makes sure that the engine exists and takes an address if there is one."""
    from tectum.errors import UnknownNameError

    if engine not in ENGINES:
        raise UnknownNameError(f"There is no engine '{engine}': use {' or '.join(ENGINES)}.")
    if engine == "local" and address is not None:
        raise UnknownNameError("Only the engine 'ray' has an --address: add --engine ray, or leave it out.")


def _crew(setup: Setup, workers: int, engine: str, address: str | None, device: str) -> Crew:
    """Who does the work."""
    from tectum.evaluation.engines import Alone, Processes, RayActors

    if engine == "ray":
        return RayActors(setup, workers, address, gpu=device != "cpu")
    return Alone(setup) if workers == 1 else Processes(setup, workers)


def _threads(workers: int) -> int:
    """How many threads each worker can have, if all together take as many as PyTorch would take here by itself."""
    import torch

    return max(1, torch.get_num_threads() // workers)


def _track(run: Evaluation, title: str, quiet: bool) -> None:
    """Runs to the end, and says and records how it went, whatever ends it."""
    from tectum.errors import BenchmarkError

    try:
        _go(run, title, quiet)
    finally:
        run.folder.leave(run.jobs, sorted(run.machines))
        _report(run, quiet)
    if not run.standing().complete:
        raise BenchmarkError(f"None of the {len(run.jobs)} sequences could be tracked.")


def _go(run: Evaluation, title: str, quiet: bool) -> None:
    """Runs behind a bar over the frames of all sequences."""
    import time

    from tectum.cli.progress import frames_bar
    from tectum.evaluation.running import Standing

    before, began = run.standing(), time.perf_counter()
    if before.complete and not quiet:
        typer.echo(f"{before.complete} of {before.jobs} {_counted(run)} are done already.")
    with frames_bar(quiet) as bar:
        task = bar.add_task(title, total=before.total, completed=before.frames, speed=0.0)

        def watch(standing: Standing) -> None:
            speed = standing.tracked / (time.perf_counter() - began)
            words = f"{title}, {standing.complete} of {standing.jobs}"
            bar.update(task, description=words, total=standing.total, completed=standing.frames, speed=speed)

        run.watch = watch
        with _heeding_interrupts(run):
            run.go()


@contextmanager
def _heeding_interrupts(run: Evaluation) -> Iterator[None]:
    """Ctrl-C ends the run at its next step; a second one at once.

    Python drops an interrupt that comes while it destroys an object, and the run would go on.
    """

    def heed(number: int, frame: object) -> None:
        signal.signal(signal.SIGINT, before)
        run.stop()

    before = signal.signal(signal.SIGINT, heed)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _counted(run: Evaluation) -> str:
    """What is counted: sequences, or passes over them where there are several over each."""
    sequences = len({job.sequence for job in run.jobs})
    return "sequences" if sequences == len(run.jobs) else f"runs over {sequences} sequences"


def _report(run: Evaluation, quiet: bool) -> None:
    """Says what could not be tracked, what to know of the rest, and where it lies."""
    from tectum.cli.boards import joined

    sentences = [problem.sentence for problem in joined(run.problems)]
    for kind in (sentences, run.warnings):
        for sentence in kind[:SHOWN]:
            _warn(sentence)
        if len(kind) > SHOWN:
            _warn(f"… and {len(kind) - SHOWN} more of this kind.")
    standing = run.standing()
    if not quiet:
        typer.echo(f"{standing.complete} of {standing.jobs} {_counted(run)} are in {run.folder.path}.")


def _score(
    run: Evaluation, benchmark: Benchmark, root: Path, convention: str | None, attributes: bool, quiet: bool
) -> bool:
    """Prints the scores of what is there; returns whether nothing was wrong but what the run has said."""
    from dataclasses import replace

    from tectum.cli import boards
    from tectum.errors import BenchmarkError
    from tectum.evaluation.scoring import score

    config, folder = run.folder.config, run.folder.path
    if (benchmark.name, config.split) in HIDDEN:
        typer.echo(
            f"The truth lies with the benchmark's server, for which this writes: "
            f"tectum submit {benchmark.name} {folder} submission --split {config.split} --zip"
        )
        return True
    try:
        board = score(benchmark, root, {config.preset: folder}, split=config.split, convention=convention)
    except BenchmarkError as error:
        _warn(str(error))
        return False
    said = {problem.sequence for problem in run.problems}
    fresh = [each for each in board.problems if not said.issuperset(each.sequences or (each.sequence,))]
    boards.Showing(attributes=attributes).show(board, boards.draw(board, DRAWS, seed=0))
    boards.warn(replace(board, problems=tuple(fresh)), quiet)
    return not fresh


def _warn(sentence: str) -> None:
    typer.echo(f"warning: {sentence}", err=True)
