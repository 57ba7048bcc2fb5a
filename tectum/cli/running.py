"""One run of `tectum track` over a recording: progress, pictures, results, and what is said at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path

import typer

from tectum.cli.boxes import draw_boxes
from tectum.cli.progress import frames_bar
from tectum.evaluation.drawing import VideoFile, draw_estimates
from tectum.frames import Recording
from tectum.geometry import Box, Image
from tectum.tracking.runner import Gaps, Moment, follow, reading, recorded, result_paths
from tectum.tracking.session import Tracker

FPS = 25.0
"""Speed of a video made from a recording without a clock."""


class Film:
    """An MP4 of the moments of a run that plays as fast as the recording's clock says.

    Args:
        path: where to write.

    Raises:
        TectumError: if the path is no MP4.
    """

    def __init__(self, path: Path) -> None:
        self._file = VideoFile(path, FPS)
        self._size: tuple[int, int] | None = None
        self._waiting: tuple[Image, float | None] | None = None
        self._writing = False

    def take(self, moment: Moment) -> None:
        """Draws a moment; the first one waits for the second, which tells the speed."""
        self._size = self._size or moment.frame.size
        image = draw_estimates(moment.frame, moment.estimates, size=self._size)
        if self._writing:
            self._file.write(image)
        elif self._waiting is None:
            self._waiting = image, moment.frame.timestamp
        else:
            self._file.fps = frame_rate(self._waiting[1], moment.frame.timestamp)
            self._begin()
            self._file.write(image)

    def _begin(self) -> None:
        if self._waiting is not None:
            self._file.write(self._waiting[0])
            self._waiting, self._writing = None, True

    def close(self) -> None:
        """Finishes the file, even if there was one moment only."""
        try:
            self._begin()
        finally:
            self._file.close()


def frame_rate(first: float | None, second: float | None) -> float:
    """Frames per second from the times of two frames in seconds; `FPS` without a sensible clock."""
    period = second - first if first is not None and second is not None else 0.0
    return 1 / period if 1 / 240 <= period <= 2 else FPS


@dataclass
class Run:
    """What a run was given, and how far it has come.

    Attributes:
        tracker: who follows.
        recording: through what.
        out: the folder for results.
        video: an MP4 to write, or a folder for it.
        quiet: whether to show no progress and no closing lines.
        paths: the results files, once they exist.
        gaps: which senses were missing, and how many frames are done.
        started: the clock when the second frame began to be tracked.
    """

    tracker: Tracker
    recording: Recording
    out: Path
    video: Path | None = None
    quiet: bool = False
    paths: tuple[Path, ...] = field(default=(), init=False)
    gaps: Gaps = field(default_factory=Gaps, init=False)
    started: float | None = field(default=None, init=False)

    def go(self, boxes: Sequence[Box]) -> None:
        """Follows the targets to the end of the recording; the user draws them first if there are none.

        Raises:
            TectumError: whatever the tracker or the recording cannot go on with; results so far are kept.
        """
        with reading(self.recording) as frames, self._progress() as advance, self._film() as film:
            if not boxes:
                opening = list(islice(frames, 1))
                boxes, frames = [box for first in opening for box in draw_boxes(first)], chain(opening, frames)
            paths = result_paths(self.out, self.recording.name, len(boxes))
            for moment in recorded(follow(self.tracker, frames, boxes), paths):
                self.started = self.started or time.perf_counter()
                self.paths = tuple(paths)
                self.gaps.note(moment)
                film(moment)
                advance(self._speed())

    def report(self, warnings: Sequence[str]) -> None:
        """Says what the user should know at the end: warnings always, results and speed unless quiet."""
        for warning in [*warnings, *self._stand_ins()]:
            typer.echo(f"warning: {warning}", err=True)
        if self.quiet or not self.paths:
            return
        count = f"{self.gaps.frames} frames" if self.gaps.frames != 1 else "1 frame"
        typer.echo(f"{self.recording.name}: {count} at {self._speed():.1f} frames per second")
        for path in self.paths:
            typer.echo(f"results: {path}")
        if self.video is not None and self._video_path().is_file():
            typer.echo(f"video:   {self._video_path()}")

    def _stand_ins(self) -> list[str]:
        way = {"copy": "Another sense stood in.", "zero": "A blank image stood in."}.get(self.tracker.missing, "")
        return [f"{sentence} {way}" for sentence in self.gaps.sentences()]

    def _speed(self) -> float:
        """Frames per second from the second frame on, reading and writing included."""
        spent = time.perf_counter() - self.started if self.started else 0.0
        return (self.gaps.frames - 1) / spent if spent > 0 else 0.0

    def _video_path(self) -> Path:
        given = self.video or Path()
        return given / f"{result_paths('', self.recording.name, 1)[0].stem}.mp4" if given.is_dir() else given

    @contextmanager
    def _film(self) -> Iterator[Callable[[Moment], None]]:
        """Takes moments for the video, if one is wanted."""
        if self.video is None:
            yield lambda moment: None
            return
        film = Film(self._video_path())
        try:
            yield film.take
        finally:
            film.close()

    @contextmanager
    def _progress(self) -> Iterator[Callable[[float], None]]:
        """A progress bar that is advanced by one frame and told the speed."""
        with frames_bar(self.quiet) as progress:
            task = progress.add_task(self.recording.name, total=self.recording.length, speed=0.0)
            yield lambda speed: progress.update(task, advance=1, speed=speed)
