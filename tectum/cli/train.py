"""`tectum train`: a recipe to weights, resumable at any time."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tectum.training.recipe import Recipe

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
    from tectum.training.recipe_file import read_recipe, shortened

    chosen = read_recipe(recipe, settings)
    folder = out or Path("runs") / (Path(recipe).stem + ("-smoke" if smoke else ""))
    if check:
        return _check(chosen, folder)
    if smoke:
        chosen = shortened(chosen)
    if dry_run:
        return _preview(chosen, data)
    return _run(chosen, folder, data, device, quiet)


def _run(recipe: Recipe, folder: Path, data: Path | None, device: str, quiet: bool) -> None:
    """Trains, and says where the weights are."""
    from tectum.cli.initial import initial_system, keep, named_weights
    from tectum.cli.validation import validator
    from tectum.tracking.session import usable_device
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
        typer.echo(f"weights: {folder / 'last.safetensors'}")


def _preview(recipe: Recipe, data: Path | None) -> None:
    """Prints what a run would be."""
    from tectum.cli.initial import initial_system, named_weights
    from tectum.training.batches import divide
    from tectum.training.loop import sense_draw, usable_crops
    from tectum.training.optim import choose_rates
    from tectum.training.parameters import estimate_memory, lines
    from tectum.training.recipe import written

    system = initial_system(recipe, named_weights(recipe, data))
    system.equip()
    choose_rates(system, recipe.optim.rates)
    typer.echo(written(recipe))
    for line in lines(system):
        typer.echo(line)
    senses = max(sense_draw(system, recipe).shares, key=len)
    pairs = divide(recipe.batch.size, recipe.batch.group, recipe.batch.micro).largest
    memory = estimate_memory(system, recipe, usable_crops(system, recipe), senses, pairs)
    typer.echo(
        f"\nmemory: about {memory.total / 1e9:.2f} GB for {pairs} pairs at once (weights {memory.weights / 1e9:.2f}, "
        f"gradients and optimiser {memory.optimiser / 1e9:.2f}, activations {memory.activations / 1e9:.2f})"
    )
    typer.echo(f"length: {recipe.batches} batches of {recipe.batch.size} pairs, {recipe.epoch} in an epoch")


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
