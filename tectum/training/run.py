"""One training as it is watched: progress to see and a log to keep."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tectum.errors import RecipeError
from tectum.systems.base import System
from tectum.training.loop import Step, Training
from tectum.training.recipe import Recipe

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

LOG_EVERY = 20
"""Batches between two lines of the log."""


def run_training(recipe: Recipe, folder: Path, device: str = "cpu", quiet: bool = False) -> System:
    """Trains to the end of a recipe, or takes up a stopped run.

    Args:
        recipe: what to do.
        folder: for the checkpoint, the TensorBoard log and `log.csv`.
        device: where to compute.
        quiet: whether to show no progress bar.

    Returns:
        The system with its averaged weights.

    Raises:
        RecipeError: if the `train` extra is not installed, or the folder belongs to another recipe.
    """
    training = Training(recipe, folder, device)
    steps = logged(training.run(), folder, training.done)
    for _ in steps if quiet else shown(steps, training.done, recipe.batches):
        pass
    return training.result


def logged(steps: Iterable[Step], folder: Path, done: int) -> Iterator[Step]:
    """Passes steps on and writes every twentieth, and every validation, to TensorBoard and `log.csv`."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise RecipeError("Training writes a TensorBoard log: install it with pip install 'tectum[train]'.") from None
    path = folder / "log.csv"
    kept = rows_until(path, done)
    path.write_text("".join(kept))
    with SummaryWriter(str(folder), purge_step=done) as board, path.open("a") as table:
        for step in steps:
            if not kept:
                kept = [",".join(("batch", *step.losses, "overlap", "rate", "speed")) + "\n"]
                table.writelines(kept)
            if step.batch % LOG_EVERY == 0 or step.overlap is not None:
                _write(step, board, table)
            yield step


def rows_until(path: Path, done: int) -> list[str]:
    """The lines of a log up to a batch: what a killed run logged past its checkpoint will be logged anew."""
    if not (done and path.is_file()):
        return []
    header, *rows = path.read_text().splitlines(keepends=True)
    return [header, *(row for row in rows if int(row.partition(",")[0]) <= done)]


def _write(step: Step, board: SummaryWriter, table: TextIO) -> None:
    values = {**step.losses, "overlap": step.overlap, "rate": step.rate, "speed": step.speed}
    for name, value in values.items():
        if value is not None:
            board.add_scalar(name, value, step.batch)
    cells = ("" if value is None else f"{value:.5g}" for value in values.values())
    table.write(f"{step.batch},{','.join(cells)}\n")
    table.flush()


def shown(steps: Iterable[Step], done: int, total: int) -> Iterator[Step]:
    """Passes steps on and shows a bar with the losses, the speed and the time left."""
    columns = (
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[state]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns) as progress:
        task = progress.add_task("training", total=total, completed=done, state="")
        for step in steps:
            losses = " ".join(f"{name} {loss:.3f}" for name, loss in step.losses.items())
            progress.update(task, completed=step.batch, state=f"{losses}  {step.speed:.0f} pairs/s")
            yield step
