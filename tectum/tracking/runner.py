"""Following targets through a recording, with results that are on disk as soon as they are known."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TextIO

from tectum.errors import SourceError, TectumError
from tectum.frames import Estimate, Frame, Modality, Recording, result_line
from tectum.geometry import Box
from tectum.tracking.session import Tracker
from tectum.tracking.views import lacking


@dataclass(frozen=True)
class Moment:
    """One frame and where each target is in it."""

    frame: Frame
    estimates: tuple[Estimate, ...]


def follow(
    tracker: Tracker, frames: Iterable[Frame], boxes: Sequence[Sequence[float]], text: str | None = None
) -> Iterator[Moment]:
    """Follows targets frame by frame, all in one forward pass.

    Args:
        tracker: the tracker.
        frames: a recording, or anything else that yields frames; it is read as far as the caller iterates.
        boxes: the targets in the first frame, each `x, y, w, h` in pixels.
        text: a sentence that names the target, where there is one target.

    Yields:
        One moment per frame; the first holds the given boxes with a score of 1.

    Raises:
        SourceError: if there is no frame.
        TectumError: as `Tracker.start` and `Tracker.update` do.
    """
    moments = iter(frames)
    first = next(moments, None)
    if first is None:
        raise SourceError("The recording has no frames: give one with at least a first image.")
    sessions = [tracker.start(first, box, text) for box in boxes]
    given = [Estimate(session.box, 1.0, missing=lacking(first, session.senses)) for session in sessions]
    yield Moment(first, tuple(given))
    for frame in moments:
        yield Moment(frame, tuple(tracker.update(sessions, frame)))


@contextmanager
def reading(recording: Recording) -> Iterator[Iterator[Frame]]:
    """The frames of a recording, whose files and threads are closed when the caller is done with them."""
    frames = iter(recording)
    try:
        yield frames
    finally:
        if isinstance(frames, Generator):
            frames.close()


def recorded(moments: Iterable[Moment], paths: Sequence[Path]) -> Iterator[Moment]:
    """Passes moments on after their boxes are on disk.

    Args:
        moments: what `follow` yields.
        paths: one results file per target.

    Raises:
        TectumError: if a file cannot be written.
    """
    with ResultFiles(paths) as results:
        for moment in moments:
            results.write([estimate.box for estimate in moment.estimates])
            yield moment


def result_paths(folder: str | Path, name: str, count: int) -> list[Path]:
    """Where results go: `NAME.txt` for one target, `NAME_1.txt`, `NAME_2.txt`, … for several.

    Args:
        folder: the results folder.
        name: the recording's name; characters that no file name may have become `_`.
        count: number of targets.
    """
    stem = re.sub(r"[^\w.\-]+", "_", name).strip("._") or "track"
    if count == 1:
        return [Path(folder) / f"{stem}.txt"]
    return [Path(folder) / f"{stem}_{target}.txt" for target in range(1, count + 1)]


class ResultFiles:
    """Results files that are complete up to the last frame at any interruption; a context manager.

    They are opened with the first line, so that a run that cannot begin leaves earlier results alone. Each line
    reaches the operating system at once, so that even a killed process leaves whole lines.

    Args:
        paths: one file per target; missing folders are made.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = tuple(paths)
        self._files: list[TextIO] = []

    def write(self, boxes: Sequence[Box]) -> None:
        """Adds one line to each file.

        Args:
            boxes: one per target, in image pixels.

        Raises:
            TectumError: if a file cannot be written.
        """
        try:
            if not self._files:
                self._open()
            for file, box in zip(self._files, boxes, strict=True):
                file.write(result_line(box))
        except OSError as error:
            names = ", ".join(map(str, self.paths))
            raise TectumError(
                f"The results {names} cannot be written ({error.strerror}): give another folder or free some space."
            ) from None

    def _open(self) -> None:
        for path in self.paths:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._files.append(path.open("w", encoding="ascii", buffering=1))

    def close(self) -> None:
        """Closes the files."""
        for file in self._files:
            file.close()

    def __enter__(self) -> ResultFiles:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass
class Gaps:
    """Counts which senses were missing, for one sentence each at the end of a run.

    Attributes:
        frames: frames seen.
        counts: by sense, in how many of them it was missing.
    """

    frames: int = 0
    counts: dict[Modality, int] = field(default_factory=dict)
    _first: dict[Modality, str] = field(default_factory=dict)

    def note(self, moment: Moment) -> None:
        """Takes one more moment into account."""
        self.frames += 1
        missing = frozenset[Modality]().union(*(estimate.missing for estimate in moment.estimates))
        for sense in missing:
            self.counts[sense] = self.counts.get(sense, 0) + 1
            reason = moment.frame.reasons.get(sense, "")
            self._first.setdefault(sense, f"frame {moment.frame.index}" + (f": {reason}" if reason else ""))

    def sentences(self) -> list[str]:
        """One sentence per sense that was missing anywhere."""
        return [
            f"{sense} was missing in {count} of {self.frames} frames (first {self._first[sense].rstrip('.')})."
            for sense, count in sorted(self.counts.items())
        ]
