"""The log of a run: a table, TensorBoard, and Weights & Biases where asked."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import Protocol

from tectum.errors import RecipeError
from tectum.training.folder import RunFolder
from tectum.training.loop import Step
from tectum.training.recipe import Recipe, written

LOG_EVERY = 20
"""Batches between two lines of the log."""


class Logger(Protocol):
    """Something that keeps numbers by batch."""

    def log(self, batch: int, values: dict[str, float]) -> None:
        """Keeps the numbers of a batch by name."""
        ...


def logged(steps: Iterable[Step], folder: RunFolder, recipe: Recipe, done: int) -> Iterator[Step]:
    """Passes steps on and logs every twentieth and every validation.

    Args:
        steps: of a run.
        folder: where its log lies.
        recipe: of the run.
        done: batches that were done before; what is logged beyond them is forgotten.

    Raises:
        RecipeError: if a package is missing that writes the log, or Weights & Biases cannot be reached.
    """
    with ExitStack() as stack:
        loggers: list[Logger] = [Table(folder.log, done), Board(folder.path, done, stack)]
        if recipe.wandb is not None:
            loggers.append(WeightsAndBiases(folder.path, recipe, done, stack))
        for step in steps:
            if step.batch % LOG_EVERY == 0 or step.scores:
                losses = {name: float(loss) for name, loss in step.losses.items()}
                for logger in loggers:
                    logger.log(step.batch, {**losses, "rate": step.rate, "speed": step.speed, **step.scores})
            yield step


class Table:
    """`log.csv`: a line for each logged batch, with columns added where new numbers come.

    Args:
        path: the file.
        done: the last batch to keep of an older one.
    """

    def __init__(self, path: Path, done: int) -> None:
        self.path = path
        self.rows = rows_until(path, done)
        self.write()

    def log(self, batch: int, values: dict[str, float]) -> None:
        """Adds a line."""
        names = {name for row in self.rows for name in row}
        self.rows.append({"batch": str(batch), **{name: f"{value:.5g}" for name, value in values.items()}})
        if names >= self.rows[-1].keys():
            with self.path.open("a") as file:
                file.write(_line(self.columns, self.rows[-1]))
        else:
            self.write()

    @property
    def columns(self) -> list[str]:
        """Every number's name, in the order in which they came."""
        return list(dict.fromkeys(name for row in self.rows for name in row))

    def write(self) -> None:
        """Writes the whole table."""
        lines = [",".join(self.columns) + "\n", *(_line(self.columns, row) for row in self.rows)]
        self.path.write_text("".join(lines) if self.rows else "")


class Board:
    """TensorBoard's event files.

    Args:
        folder: of the run.
        done: batches that were done before.
        stack: closes it.
    """

    def __init__(self, folder: Path, done: int, stack: ExitStack) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise RecipeError("Training writes a TensorBoard log: pip install 'tectum[train]'.") from None
        self.writer = stack.enter_context(SummaryWriter(str(folder), purge_step=done))

    def log(self, batch: int, values: dict[str, float]) -> None:
        """Adds a point to each number's curve."""
        for name, value in values.items():
            self.writer.add_scalar(name, value, batch)


class WeightsAndBiases:
    """A run in a project of Weights & Biases.

    Args:
        folder: of the run; it keeps the run's id there, so that a stopped one goes on.
        recipe: of the run.
        done: batches that were done before; with none it is another run.
        stack: closes it.
    """

    def __init__(self, folder: Path, recipe: Recipe, done: int, stack: ExitStack) -> None:
        try:
            wandb = import_module("wandb")
        except ImportError:
            raise RecipeError("The recipe logs to Weights & Biases: pip install wandb, or leave wandb out.") from None
        kept = folder / "wandb.id"
        if not (done and kept.is_file()):
            kept.write_text(secrets.token_hex(4))
        where = {"name": "/".join(folder.resolve().parts[-2:]), "id": kept.read_text(), "dir": folder}
        try:
            self.run = wandb.init(project=recipe.wandb, resume="allow", config={"recipe": written(recipe)}, **where)
        except wandb.Error as error:
            reason = str(error).splitlines()[0].rstrip(".")
            raise RecipeError(
                f"Weights & Biases does not begin a run ({reason}): set WANDB_MODE=offline, or leave wandb out."
            ) from None
        stack.callback(self.run.finish)

    def log(self, batch: int, values: dict[str, float]) -> None:
        """Adds a point to each number's curve."""
        self.run.log(values, step=batch)


def rows_until(path: Path, done: int) -> list[dict[str, str]]:
    """The lines of a log up to a batch: what a killed run logged past its checkpoint will be logged anew."""
    if not (done and path.is_file()):
        return []
    header, *lines = path.read_text().splitlines() or [""]
    rows = [dict(zip(header.split(","), line.split(","), strict=False)) for line in lines]
    return [{name: cell for name, cell in row.items() if cell} for row in rows if int(row["batch"]) <= done]


def _line(columns: list[str], row: dict[str, str]) -> str:
    return ",".join(row.get(name, "") for name in columns) + "\n"
