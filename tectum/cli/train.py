"""`tectum train`: a recipe to weights, resumable at any time."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def train(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe that ships with Tectum (nano), or a YAML file.")],
    settings: Annotated[
        list[str] | None, typer.Argument(help="Settings that replace the recipe's, such as batches=500.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of checkpoints, log and weights.", show_default="runs/RECIPE")
    ] = None,
    footage: Annotated[
        Path | None, typer.Option(help="Folder that holds the real footage which the recipe names.")
    ] = None,
    device: Annotated[str, typer.Option(help="Where to compute, such as cpu or cuda.")] = "cpu",
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """Train a system; the same command again takes a stopped run up where it was."""
    from tectum.tracking.session import usable_device
    from tectum.training.recipe import read_recipe
    from tectum.training.run import run_training
    from tectum.weights import save

    changes = list(settings or [])
    if footage is not None:
        changes.append(f"footage.root={footage}")
    chosen = read_recipe(recipe, changes)
    folder = out or Path("runs") / Path(recipe).stem
    system = run_training(chosen, folder, str(usable_device(device)), quiet)
    weights = save(system, folder / f"{chosen.system}.safetensors", preset=chosen.system, half=True)
    typer.echo(f"weights: {weights}")
