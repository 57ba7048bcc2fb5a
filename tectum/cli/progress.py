"""The bar that every run over a recording shows."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


def frames_bar(quiet: bool) -> Progress:
    """A bar with frames done, frames per second (the field `speed` of its task) and time left.

    It is drawn on the error stream, vanishes when it is done, and is not shown where nobody would see it move.

    Args:
        quiet: whether to show nothing.
    """
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]:5.1f} fps"),
        TimeRemainingColumn(),
        console=console,
        refresh_per_second=4,
        transient=True,
        disable=quiet or not console.is_terminal,
    )
