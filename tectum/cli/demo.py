"""`tectum demo`: the bundled model on a rendered scene whose truth is known."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from tectum.evaluation.drawing import VideoFile
    from tectum.evaluation.report import ContactSheet, Scores
    from tectum.frames import Modality, Track
    from tectum.geometry import Box
    from tectum.tracking.runner import Moment
    from tectum.tracking.session import Tracker
    from tectum.world import Scene

Value = TypeVar("Value")


def demo(
    out: Annotated[Path, typer.Option(help="The folder for pictures and results.")] = Path("demo"),
    seed: Annotated[int, typer.Option(min=0, help="Which scene: every number renders another.")] = 0,
    frames: Annotated[int, typer.Option(min=2, help="How many frames the scene has.")] = 120,
    preset: Annotated[
        str | None, typer.Option(help="Which tracker.", show_default="nano, or the one that the weights are of")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="A weights file, or the folder of a training, in place of the bundled ones.")
    ] = None,
    second: Annotated[
        str | None,
        typer.Option(metavar="thermal|depth|event", help="The sense beside RGB; by default the tracker's, or thermal."),
    ] = None,
    device: Annotated[str, typer.Option(help="Where to compute: cpu, cuda, cuda:1 and so on.")] = "cpu",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only errors.")] = False,
) -> None:
    """Track a rendered scene in RGB and a second sense, draw what happened and score it against the exact truth."""
    from tectum.evaluation.report import ContactSheet, Scores, plot_overlap
    from tectum.face import load
    from tectum.weights.files import preset_for

    console = Console(quiet=quiet)
    preset = preset or preset_for(weights)
    title = f"{preset} on scene {seed}, {frames} frames"
    tracker = load(preset, weights, second, device)
    scene = _scene(seed, frames, _beside_rgb(tracker, second))
    sheet = ContactSheet()
    track, speed = _follow(tracker, scene, out, sheet, quiet)
    scores = Scores.of(track.boxes, scene.boxes)
    sheet.save(out / "contact_sheet.png")
    plot_overlap(out / "overlap.png", scores, track.scores, title)
    console.print(_table(scores, speed, title))
    console.print(f"In {out}: demo.mp4, contact_sheet.png, overlap.png, scene.txt", highlight=False, soft_wrap=True)


def _beside_rgb(tracker: Tracker, named: str | None) -> Modality:
    """The second sense to render: the one that is named, or that the tracker alone sees, or thermal."""
    from tectum.frames import Modality

    others = tracker.system.senses - {Modality.RGB}
    return Modality.of(named) if named else next(iter(others)) if len(others) == 1 else Modality.THERMAL


def _scene(seed: int, frames: int, second: Modality) -> Scene:
    """A target among look-alikes that comes by an occluder, in daylight, in another place for each seed."""
    from tectum.frames import Modality
    from tectum.world import Plan, Scene
    from tectum.world.plan import PLACES

    plan = Plan(place=PLACES[seed % len(PLACES)], alike=2, twins=0.5, strangers=1, occluders=1, camera=0.5)
    return Scene.random(seed, frames, senses=frozenset({Modality.RGB, second}), plan=plan)


def _follow(tracker: Tracker, scene: Scene, out: Path, sheet: ContactSheet, quiet: bool) -> tuple[Track, float]:
    """Tracks the scene, with results and pictures written on the way; returns frames per second beside the track.

    The speed is that of crops, network and decoding: rendering the scene and drawing are left out.
    """
    from tectum.cli.progress import frames_bar
    from tectum.evaluation.drawing import VideoFile
    from tectum.evaluation.report import sheet_frames
    from tectum.frames import Track
    from tectum.geometry import Box
    from tectum.tracking.runner import follow, recorded

    rendering, whole = Stopwatch(), Stopwatch()
    moments = whole.timed(follow(tracker, rendering.timed(scene), [Box.of(scene.boxes[0])]))
    shown = sheet_frames(len(scene.boxes))
    estimates, speed = [], 0.0
    with VideoFile(out / "demo.mp4") as video, frames_bar(quiet) as bar:
        task = bar.add_task("tracking", total=len(scene.boxes), speed=0.0)
        for index, moment in enumerate(recorded(moments, [out / "scene.txt"])):
            estimates.append(moment.estimates[0])
            _picture(moment, Box.of(scene.boxes[index]), video, sheet if index in shown else None)
            speed = len(estimates) / (whole.seconds - rendering.seconds)
            bar.update(task, advance=1, speed=speed)
    return Track(scene.name, tuple(estimates)), speed


def _picture(moment: Moment, truth: Box, video: VideoFile, sheet: ContactSheet | None) -> None:
    """Draws one moment into the video, and into the sheet where one is given."""
    import numpy as np

    from tectum.evaluation.drawing import draw_estimates
    from tectum.evaluation.metrics import overlaps

    estimate = moment.estimates[0]
    picture = draw_estimates(moment.frame, [estimate], [truth])
    video.write(picture)
    if sheet is not None:
        overlap = overlaps(np.array([estimate.box]), np.array([truth]))[0]
        sheet.add(picture, f"frame {moment.frame.index}   overlap {overlap:.2f}")


def _table(scores: Scores, speed: float, title: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("measure")
    table.add_column("value", justify="right")
    table.add_row("mean overlap", f"{scores.mean_overlap:.3f}")
    table.add_row("success AUC", f"{scores.success_auc:.3f}")
    table.add_row("precision at 20 px", f"{scores.precision:.3f}")
    table.add_row("frames per second", f"{speed:.0f}")
    return table


class Stopwatch:
    """Adds up how long an iterable takes to give its values, without what is done with them.

    Attributes:
        seconds: the time so far.
    """

    def __init__(self) -> None:
        self.seconds = 0.0

    def timed(self, values: Iterable[Value]) -> Iterator[Value]:
        """Passes the values on while the watch runs."""
        iterator = iter(values)
        while True:
            begin = time.perf_counter()
            try:
                value = next(iterator)
            except StopIteration:
                return
            finally:
                self.seconds += time.perf_counter() - begin
            yield value
