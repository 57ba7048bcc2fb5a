"""How a study is watched: a line for each run on a terminal, a line for each change elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tectum.ablation.grid import Run
from tectum.ablation.record import Standing, standing
from tectum.ablation.running import State, Study

BUSY = (State.RUNNING, State.ELSEWHERE)
"""States in which a run moves."""

STYLES = {State.RUNNING: "bold", State.ELSEWHERE: "cyan", State.DONE: "green", State.FAILED: "red"}
"""How states are shown; others are dim."""


@contextmanager
def shown(study: Study, quiet: bool) -> Iterator[Callable[[Study], None]]:
    """What is to be called with a study whenever it may have changed; it shows it on the error stream."""
    console = Console(stderr=True)
    if quiet:
        yield lambda study: None
    elif not console.is_terminal:
        yield _Lines(study)
    else:
        with Live(console=console, refresh_per_second=4, transient=True) as live:
            yield lambda study: live.update(_picture(study, console.height))


@contextmanager
def rendering_bar(frames: int, quiet: bool) -> Iterator[Callable[[], None]]:
    """A bar over frames of the world that are rendered, with the time left; yields what advances it by one."""
    console = Console(stderr=True)
    columns = (TextColumn("rendering world-bench"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    hidden = quiet or not frames or not console.is_terminal
    with Progress(*columns, console=console, refresh_per_second=4, transient=True, disable=hidden) as progress:
        task = progress.add_task("rendering", total=frames)
        yield lambda: progress.advance(task)


class _Lines:
    """Says what changes, a line for each run.

    Args:
        study: as it begins.
    """

    def __init__(self, study: Study) -> None:
        done = sum(state is State.DONE for state in study.states.values())
        typer.echo(f"{done} of {len(study.runs)} runs are done already.", err=True)
        self._said: dict[Path, str] = {run.folder: _phase(study, run)[0] for run in study.runs}

    def __call__(self, study: Study) -> None:
        for run in study.runs:
            phase, _ = _phase(study, run)
            if phase != self._said[run.folder]:
                self._said[run.folder] = phase
                typer.echo(f"{run.name}: {phase}", err=True)


def _picture(study: Study, height: int) -> Group:
    """All runs, or those that move where there is no room for more."""
    grid = Table.grid(padding=(0, 2))
    runs = list(study.runs)
    if len(runs) > height - 3:
        runs = [run for run in runs if study.states[run.folder] in (*BUSY, State.FAILED)][: height - 3]
    for run in runs:
        state, (phase, far) = study.states[run.folder], _phase(study, run)
        bar = ProgressBar(total=1.0, completed=_share(far), width=24) if far else Text()
        left = Text("" if far is None or far.left is None or far.trained == 1 else f"{duration(far.left)} left")
        grid.add_row(run.variant.name, f"seed {run.seed}", Text(phase, STYLES.get(state, "dim")), bar, left)
    counts = {state: sum(each is state for each in study.states.values()) for state in State}
    said = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    return Group(grid, Text(f"{len(study.runs)} runs: {said}", "dim"))


def _phase(study: Study, run: Run) -> tuple[str, Standing | None]:
    """What a run does, in words, and how far it is if it moves."""
    state = study.states[run.folder]
    if state not in BUSY:
        return str(state), None
    far = standing(run, study.places)
    where = " in another process" if state is State.ELSEWHERE else ""
    if far.trained < 1:
        return f"training{where}", far
    return f"scoring{where}", far


def _share(far: Standing) -> float:
    return far.trained if far.trained < 1 else far.scored / max(1, far.sequences)


def duration(seconds: float) -> str:
    """Such as `40 s`, `12 min` or `3 h 05 min`."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{round(seconds)} s"
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"
