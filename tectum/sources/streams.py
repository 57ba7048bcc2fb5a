"""What one sensor gives: a stream of raw images, opened anew for every pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

RawImage = npt.NDArray[Any]
"""An image as its file holds it: `H×W` or `H×W×3` in RGB order, 8 or 16 bit."""


@dataclass(frozen=True)
class Reading:
    """What a stream gave when it was asked for one frame.

    Attributes:
        image: the raw image, or `None`.
        origin: the file and, in a video, the frame: for messages.
        reason: why there is no image, one sentence.
        ended: the stream has nothing for this moment because none was due, or it is over.
        early: it ended before the number of frames that it announced.
    """

    image: RawImage | None
    origin: str
    reason: str = ""
    ended: bool = False
    early: bool = False


def capital(words: str) -> str:
    """Begins a sentence with a label; `str.capitalize` would change the letters of a path."""
    return words[:1].upper() + words[1:]


class Reader(Protocol):
    """One pass over a stream."""

    def read(self, index: int) -> Reading:
        """The frame at `index`; a pass never asks for an earlier frame than before."""
        ...

    def close(self) -> None:
        """Lets go of files and devices."""
        ...


class Stream(Protocol):
    """One sensor's recording, which can be read any number of times."""

    @property
    def label(self) -> str:
        """What it is and where, for messages."""
        ...

    @property
    def length(self) -> int | None:
        """Frames in it, as far as it announces them; `None` where it is live."""
        ...

    @property
    def live(self) -> bool:
        """Whether frames are lost when nobody reads them."""
        ...

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of its first readable frame in pixels."""
        ...

    @property
    def times(self) -> npt.NDArray[np.float64] | None:
        """Seconds of each frame, where the stream has a clock."""
        ...

    @property
    def numbers(self) -> npt.NDArray[np.float64] | None:
        """The number in each frame's file name, where they are increasing numbers."""
        ...

    def open(self) -> Reader:
        """Begins a pass.

        Raises:
            SourceError: if it can no longer be opened.
        """
        ...
