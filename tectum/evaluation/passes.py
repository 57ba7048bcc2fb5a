"""What comes of a job: a pass over a sequence, what is said of it on the way, and its text as files hold it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tectum.frames import result_line
from tectum.geometry import Box

Array = npt.NDArray[np.float64]

START = "1\n"
"""The line that stands for the start of a run in a file of the VOT toolkit."""


@dataclass(frozen=True)
class Pass:
    """What a tracker said in one pass over a sequence, a row for every image.

    Attributes:
        boxes: `N×4` as `x, y, w, h` in pixels; up to the start the given box.
        confidences: `N` in [0, 1]; 1 up to the start.
        seconds: `N`, what the tracker took for each image, reading not included. Of a step that several sequences
            shared, each has an equal part.
        warnings: what a user should know of it, such as a sense that was missing.
        machine: the processor that computed it.
    """

    boxes: Array
    confidences: Array
    seconds: Array
    warnings: tuple[str, ...] = ()
    machine: str = ""

    def boxes_text(self, coded: int | None = None) -> str:
        """A line `x,y,w,h` for every image.

        Args:
            coded: the image where the tracker started, if it is to be written as the code `1`.
        """
        lines = [result_line(Box.of(box)) for box in self.boxes]
        if coded is not None:
            lines[coded] = START
        return "".join(lines)

    def confidences_text(self, coded: int | None = None) -> str:
        """A line with the confidence of every image, exact for 32-bit values.

        Args:
            coded: the image where the tracker started, if it is to have an empty line, as the VOT toolkit writes it.
        """
        lines = [f"{value:.9g}\n" for value in self.confidences]
        if coded is not None:
            lines[coded] = "\n"
        return "".join(lines)

    def seconds_text(self) -> str:
        """A line with the seconds of every image."""
        return "".join(f"{value:.8f}\n" for value in self.seconds)


@dataclass(frozen=True)
class Opened:
    """A sequence has been opened.

    Attributes:
        key: the job's.
        frames: how many images it really has, where its recording knows.
    """

    key: str
    frames: int | None


@dataclass(frozen=True)
class Advanced:
    """Images of a sequence have been tracked.

    Attributes:
        key: the job's.
        frames: how many since the last time.
    """

    key: str
    frames: int


@dataclass(frozen=True)
class Finished:
    """A sequence is done.

    Attributes:
        key: the job's.
        result: what came of it.
    """

    key: str
    result: Pass


@dataclass(frozen=True)
class Failed:
    """A sequence cannot be tracked.

    Attributes:
        key: the job's.
        sentence: why.
    """

    key: str
    sentence: str


Event: TypeAlias = Opened | Advanced | Finished | Failed
