"""`tectum ablate`: the variants of a table times its seeds, trained, scored and compared."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tectum.ablation.engines import Engine
    from tectum.ablation.grid import Run
    from tectum.ablation.places import Place
    from tectum.ablation.record import Standing
    from tectum.ablation.running import Study
    from tectum.ablation.table import Table, Variant
    from tectum.training.loop import Hooks
    from tectum.training.recipe import Recipe

ENGINES = ("local", "ray")

INCOMPLETE = 2
"""Exit code when a run has failed."""


def ablate(
    table: Annotated[str, typer.Argument(help="Name of a table that ships with Tectum (nano-senses), or a YAML file.")],
    settings: Annotated[
        list[str] | None, typer.Argument(help="Settings of the recipe in all variants, such as batch.size=16.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder of the real data that recipe and measures name.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of runs and tables.", show_default="runs/ablations/TABLE")
    ] = None,
    devices: Annotated[str, typer.Option(help="Where to compute, such as cpu or cuda:0,cuda:1.")] = "cpu",
    workers: Annotated[int, typer.Option(min=1, help="Runs at once on each device.")] = 1,
    engine: Annotated[str, typer.Option(metavar="local|ray", help="Where runs are worked on.")] = "local",
    address: Annotated[
        str | None, typer.Option(help="Of a Ray cluster; one on this machine is started by default.")
    ] = None,
    budget: Annotated[int | None, typer.Option(help="Samples per run, instead of the table's.")] = None,
    seeds: Annotated[
        str | None, typer.Option(metavar="1,2,…", help="Seeds, instead of the table's.", show_default=False)
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what there is to do and what is done.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only the tables, warnings and errors.")] = False,
) -> None:
    """Compare variants of a recipe, or several recipes; the same command again goes on where it was stopped."""
    from functools import partial

    from tectum.ablation.findings import gather
    from tectum.ablation.folder import write_findings
    from tectum.ablation.grid import lay_out
    from tectum.ablation.places import check_measures
    from tectum.ablation.record import check_folders
    from tectum.ablation.report import sheets
    from tectum.ablation.running import State
    from tectum.ablation.table_file import read_table

    chosen = _changed(read_table(table), settings, budget, seeds)
    place = out or Path("runs") / "ablations" / Path(table).stem
    runs = lay_out(chosen, place)
    check_measures(chosen.measures, data)
    check_folders(runs)
    slots = _slots(devices, workers, engine, address)
    if dry_run:
        _preview(chosen, runs, place, data)
        return
    try:
        study = _worked_through(chosen, runs, place, data, partial(_engine, engine, slots, address), quiet)
    except KeyboardInterrupt:
        typer.echo(f"stopped; the same command goes on from {place}", err=True)
        raise typer.Exit(128 + signal.SIGINT) from None
    done = {folder for folder, state in study.states.items() if state is State.DONE}
    _report(study)
    findings = gather(chosen, runs, done, study.places)
    paths = write_findings(place, findings)
    for sheet in sheets(findings):
        sheet.show()
    if not quiet:
        typer.echo(f"tables and picture: {', '.join(str(path) for path in paths)}")
    if study.faults:
        raise typer.Exit(INCOMPLETE)


def hooks(recipe: Recipe, data: Path | None) -> Hooks:
    """How a run's weights are made and kept; a process of its own calls this."""
    from functools import partial

    from tectum.cli.initial import initial_system, keep, named_weights
    from tectum.training.loop import Hooks

    start = named_weights(recipe, data)
    facts = {"initial": start and {"weights": str(start.path), "sha256": start.sha256}, "data_folder": str(data)}
    return Hooks(build=partial(initial_system, start=start), keep=partial(keep, recipe), facts=facts)


def _changed(table: Table, settings: Sequence[str] | None, budget: int | None, seeds: str | None) -> Table:
    """The table with what was said on the command line."""
    from tectum.ablation.table_file import check_seeds
    from tectum.errors import RecipeError

    changed = replace(table, given=tuple(settings or ()))
    if budget is not None:
        if budget < 1:
            raise RecipeError(f"--budget is {budget}: it must be a number of samples, 1 or more.")
        changed = replace(changed, budget=budget, budget_origin="--budget")
    if seeds is not None:
        words = [word.strip() for word in seeds.split(",") if word.strip()]
        if not all(word.isdigit() for word in words):
            raise RecipeError(f"--seeds is '{seeds}': write whole numbers with commas, such as 1,2,3.")
        chosen = tuple(map(int, words))
        if fault := check_seeds(chosen):
            raise RecipeError(f"--seeds {fault}.")
        changed = replace(changed, seeds=chosen)
    return changed


def _slots(devices: str, workers: int, engine: str, address: str | None) -> tuple[str, ...]:
    """The device of each run that is worked on at once."""
    from tectum.errors import UnknownNameError
    from tectum.tracking.session import usable_device

    if engine not in ENGINES:
        raise UnknownNameError(f"There is no engine '{engine}': use {' or '.join(ENGINES)}.")
    if engine == "local" and address is not None:
        raise UnknownNameError("Only the engine 'ray' has an --address: add --engine ray, or leave it out.")
    named = tuple(name.strip() for name in devices.split(",") if name.strip())
    if not named:
        raise UnknownNameError("There is no device in --devices: write names with commas, such as cuda:0,cuda:1.")
    if engine == "local":
        # On a cluster, this machine may lack the device.
        for name in named:
            usable_device(name)
    return named * workers


def _engine(engine: str, slots: Sequence[str], address: str | None) -> Engine:
    from tectum.ablation.engines import Processes, RayTasks

    return RayTasks(slots, address) if engine == "ray" else Processes(slots)


def _preview(table: Table, runs: Sequence[Run], out: Path, data: Path | None) -> None:
    """Prints the grid, and what of it is done."""
    from tectum.ablation.grid import budget_label, counted, grouped
    from tectum.ablation.places import rendered_places
    from tectum.ablation.record import standing

    places = rendered_places(table.measures, data)
    held = {run.folder: standing(run, places) for run in runs}
    width = max(len(run.variant.name) for run in runs)
    size = f"{counted(len(table.variants), 'variant')} × {counted(len(table.seeds), 'seed')}"
    typer.echo(f"{table.title}: {size} in {out}")
    typer.echo(budget_label(runs))
    for run in runs:
        samples = f"{grouped(run.samples)} samples" if run.trains else f"weights of {run.variant.borrowed}"
        typer.echo(f"  {run.variant.name:<{width}}  seed {run.seed}  {samples}, {_stage(held[run.folder])}")
    for variant in table.variants:
        typer.echo(f"{variant.name}: {_made_of(variant)}")
    left = sum(run.samples * (1 - held[run.folder].trained) for run in runs if run.trains)
    typer.echo(f"left to train: {grouped(round(left))} samples")
    typer.echo(f"measures: {', '.join(measure.title for measure in table.measures)}")


def _made_of(variant: Variant) -> str:
    """What makes a variant, in words."""
    if variant.borrowed is not None:
        return f"weights of {variant.borrowed}"
    recipe = [f"recipe {variant.recipe}"] if variant.recipe else []
    return " ".join((*recipe, *variant.changes)) or "nothing is changed"


def _stage(far: Standing) -> str:
    """What of a run is done, in words."""
    from tectum.ablation.grid import counted

    if far.trained < 1:
        return f"{100 * far.trained:.0f} % trained" if far.trained else "not begun"
    return f"trained, {far.scored} of {counted(far.sequences, 'sequence')} tracked"


def _worked_through(
    table: Table, runs: Sequence[Run], out: Path, data: Path | None, start: Callable[[], Engine], quiet: bool
) -> Study:
    """Trains and scores, behind a display of all runs.

    Raises:
        KeyboardInterrupt: after Ctrl-C or SIGTERM; what was under way can go on later.
    """
    import torch

    from tectum.ablation.folder import write_study
    from tectum.ablation.record import lock_of
    from tectum.ablation.report import study_json
    from tectum.ablation.running import Study
    from tectum.ablation.work import Order
    from tectum.cli.studies import shown
    from tectum.training.materials import data_hash

    hashes = {run.variant.name: data_hash(run.recipe, data) for run in runs}
    places = _places(table, data, quiet)
    engine = start()
    write_study(out, study_json(table, runs, hashes, engine.devices))
    threads = max(1, torch.get_num_threads() // engine.devices.count("cpu")) if "cpu" in engine.devices else 1

    def order(run: Run, device: str) -> Order:
        return Order(run, lock_of(run, out), tuple(places), data, device, threads, hooks)

    study = Study(runs, places, out, engine, order)
    with _heeding_signals(study), shown(study, quiet) as watch:
        study.watch = watch
        study.go()
    return study


def _places(table: Table, data: Path | None, quiet: bool) -> tuple[Place, ...]:
    """Where the runs are scored; what is rendered for that is shown by a bar."""
    from tectum.ablation.places import frames_to_render, open_places
    from tectum.cli.studies import rendering_bar

    with rendering_bar(frames_to_render(table.measures), quiet) as advanced:
        places = open_places(table.measures, data, advanced)
    for sentence in (sentence for place in places for sentence in place.problems):
        typer.echo(f"warning: {sentence}", err=True)
    return places


@contextmanager
def _heeding_signals(study: Study) -> Iterator[None]:
    """Ctrl-C or SIGTERM stops the study at its next look; a second one at once."""

    def heed(number: int, frame: object) -> None:
        for each, handler in before.items():
            signal.signal(each, handler)
        study.stop()

    before = {number: signal.signal(number, heed) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _report(study: Study) -> None:
    """Says what has failed."""
    names = {run.folder: run.name for run in study.runs}
    for folder, sentences in study.problems.items():
        for sentence in sentences:
            typer.echo(f"warning: {names[folder]}: {sentence}", err=True)
    for folder, sentence in study.faults.items():
        typer.echo(f"error: {names[folder]}: {sentence}", err=True)
