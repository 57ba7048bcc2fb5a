"""`tectum train`: a recipe to weights, resumable at any time."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tectum.systems.base import System
    from tectum.training.recipe import Recipe, Tuning

MISSED = 2
"""Exit code of `--check` when a score is not what the recipe expects."""


def train(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe that ships with Tectum (nano), or a YAML file.")],
    settings: Annotated[
        list[str] | None, typer.Argument(help="Settings that replace the recipe's, such as optim.lr=1e-4.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder that holds the real data which the recipe names.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of checkpoints, log and weights.", show_default="runs/RECIPE")
    ] = None,
    device: Annotated[str, typer.Option(help="Where to compute, such as cpu or cuda.")] = "cpu",
    check: Annotated[
        bool, typer.Option("--check", help="Compare a finished run with what the recipe expects.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the whole recipe, what trains, and the memory it takes.")
    ] = False,
    smoke: Annotated[bool, typer.Option("--smoke", help="Run the recipe for about a minute, to see it work.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
) -> None:
    """Train a system; the same command again takes a stopped run up where it was."""
    from tectum.errors import RecipeError
    from tectum.training.recipe_file import read_recipe, shortened

    chosen = read_recipe(recipe, settings)
    folder = out or Path("runs") / (Path(recipe).stem + ("-smoke" if smoke else ""))
    if check:
        return _check(chosen, folder)
    if data is not None and not data.is_dir():
        raise RecipeError(f"There is no folder {data}: name with --data the one that holds the real data.")
    if smoke:
        chosen = shortened(chosen)
    if dry_run:
        return _preview(chosen, data)
    return _run(chosen, folder, data, device, quiet)


def _run(recipe: Recipe, folder: Path, data: Path | None, device: str, quiet: bool) -> None:
    """Trains, and says what was learnt and where the weights are."""
    from tectum.cli.initial import initial_system, keep, named_weights
    from tectum.cli.validation import validator
    from tectum.tracking.session import usable_device
    from tectum.training.folder import RunFolder
    from tectum.training.loop import Hooks
    from tectum.training.run import run_training

    where = str(usable_device(device))
    start = named_weights(recipe, data)
    hooks = Hooks(
        build=partial(initial_system, start=start),
        keep=partial(keep, recipe),
        validate=validator(recipe, data, where),
        facts={"initial": start and {"weights": str(start.path), "sha256": start.sha256}, "data_folder": str(data)},
    )
    signal = run_training(recipe, folder, data, where, hooks, quiet)
    first = os.environ.get("RANK", "0") == "0"  # of the processes that torchrun started
    if signal:
        if first:
            typer.echo(f"stopped; the same command goes on from {folder}", err=True)
        raise typer.Exit(128 + signal)
    if first:
        run = RunFolder(folder)
        _, scores = run.scores()
        typer.echo(f"overlap with the truth on held-out pairs: {scores['overlap']:.3f}, of at most 1")
        typer.echo(f"weights: {run.last}")


def _preview(recipe: Recipe, data: Path | None) -> None:
    """Prints what a run would be, and refuses what it would refuse."""
    from tectum.cli.validation import validator
    from tectum.training.materials import data_hash
    from tectum.training.parameters import lines
    from tectum.training.recipe import written

    system = _equipped(recipe, data)
    validator(recipe, data, "cpu")
    if data is not None:
        data_hash(recipe, data)
    costs = _costs(system, recipe)
    typer.echo(written(recipe))
    for line in (*lines(system), "", *costs):
        typer.echo(line)


def _equipped(recipe: Recipe, data: Path | None) -> System:
    """The system of a recipe as it trains.

    Raises:
        RecipeError: if nothing of it trains.
    """
    from tectum.cli.initial import initial_system, named_weights
    from tectum.training.optim import build_optimiser, choose_rates

    system = initial_system(recipe, named_weights(recipe, data))
    system.equip()
    choose_rates(system, recipe.optim.rates)
    build_optimiser(system, recipe.optim)
    return system


def _costs(system: System, recipe: Recipe) -> list[str]:
    """How a run is tuned, what memory it takes and how long it is, each a line."""
    from tectum.ablation.grid import counted
    from tectum.training.batches import divide
    from tectum.training.loop import sense_draw, usable_crops
    from tectum.training.parameters import estimate_memory

    senses = max(sense_draw(system, recipe).shares, key=len)
    pairs = divide(recipe.batch.size, recipe.batch.group, recipe.batch.micro).largest
    memory = estimate_memory(system, recipe, usable_crops(system, recipe), senses, pairs)
    parts = f"weights {memory.weights / 1e9:.2f}, gradients and optimiser {memory.optimiser / 1e9:.2f}"
    size = f"{counted(recipe.batches, 'batch')} of {counted(recipe.batch.size, 'pair')}"
    return [
        *_tuned(recipe.optim.tuning),
        f"memory: about {memory.total / 1e9:.2f} GB for {counted(pairs, 'pair')} at once ({parts}, "
        f"activations {memory.activations / 1e9:.2f})",
        f"length: {size}, {recipe.epoch} in an epoch",
    ]


def _tuned(tuning: Tuning) -> list[str]:
    """A line on how steps are tuned, where they are."""
    if tuning.kind == "none":
        return []
    if tuning.kind == "sparse":
        return [f"tuning: sparse, of what is trained the most sensitive {100 * tuning.share:g} % moves"]
    return [f"tuning: {tuning.kind}, coefficients from {tuning.low:g} to {tuning.high:g} by sensitivity"]


def _check(recipe: Recipe, folder: Path) -> None:
    """Compares a finished run with what its recipe expects."""
    from tectum.training.expectation import findings
    from tectum.training.folder import RunFolder

    found = findings(recipe, *RunFolder(folder).scores())
    typer.echo(f"{'score':<32}{'expected':>10}{'± ':>9}{'found':>9}")
    for each in found:
        typer.echo(f"{each.name:<32}{each.expected:>10.3f}{each.tolerance:>9.3f}{each.found:>9.3f}  {each.verdict}")
    if any(each.verdict == "missed" for each in found):
        raise typer.Exit(MISSED)
