"""One training as it is watched: progress to see, a log to keep, and signals to heed."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tectum.training.log import logged
from tectum.training.loop import Hooks, Step, Training
from tectum.training.recipe import Recipe


class Interruption:
    """Ctrl-C or SIGTERM: the run ends after its batch, a validation at once, and a second signal ends anything.

    Attributes:
        signal: the number of the signal that came; 0 for none.
    """

    def __init__(self) -> None:
        self.signal = 0
        self.waiting = False
        self._before: dict[int, object] = {}

    def __call__(self) -> bool:
        """Whether the run is to stop."""
        return bool(self.signal)

    def heed(self, number: int, frame: FrameType | None) -> None:
        """Takes a signal."""
        again, self.signal = bool(self.signal), number
        if again or self.waiting:
            raise KeyboardInterrupt

    @contextmanager
    def heeded(self) -> Iterator[None]:
        """Takes signals in this block."""
        before = {number: signal.signal(number, self.heed) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Lets the next signal end this block, of which nothing is lost."""
        self.waiting = True
        try:
            yield
        finally:
            self.waiting = False


def run_training(
    recipe: Recipe,
    folder: Path,
    data: Path | None = None,
    device: str = "cpu",
    hooks: Hooks | None = None,
    quiet: bool = False,
) -> int:
    """Trains to the end of a recipe, or until a signal; takes up a stopped run.

    Args:
        recipe: what to do.
        folder: for the checkpoint, the weights and the log.
        data: the folder that the recipe's real data lie in.
        device: where to compute.
        hooks: what the run is given from outside; its `stop` is not used.
        quiet: whether to show no progress bar.

    Returns:
        The number of the signal that ended it, 0 if it came to its end.

    Raises:
        RecipeError: if the `train` extra is not installed, or the folder belongs to another recipe.
    """
    interruption, given = Interruption(), hooks or Hooks()

    def validate(system: object) -> dict[str, float]:
        with interruption.at_once():
            return dict(given.validate(system))  # type: ignore[arg-type]

    training = Training(recipe, folder, data, device, replace(given, stop=interruption, validate=validate))
    with interruption.heeded():
        steps = training.run()
        if training.fabric.is_global_zero:
            steps = logged(steps, training.folder, recipe, training.done)
            steps = steps if quiet else shown(steps, training.done, recipe.batches)
        for _ in steps:
            pass
    return interruption.signal if training.done < recipe.batches else 0


def shown(steps: Iterable[Step], done: int, total: int) -> Iterator[Step]:
    """Passes steps on and shows a bar with the losses, the speed and the time left."""
    columns = (
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[state]}"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, refresh_per_second=4, disable=not console.is_terminal) as progress:
        task = progress.add_task("training", total=total, completed=done, state="")
        for step in steps:
            # Reading a loss makes a GPU wait.
            if step.batch % 10 == 0 or step.batch == total:
                losses = " ".join(f"{name} {float(loss):.3f}" for name, loss in step.losses.items())
                progress.update(task, state=f"{losses}  {step.speed:.0f} pairs/s")
            progress.update(task, completed=step.batch)
            yield step
