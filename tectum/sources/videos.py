"""Video files, cameras and network streams, read by OpenCV."""

from __future__ import annotations

import math
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from tectum.errors import SourceError
from tectum.sources.streams import Reading, capital

SUFFIXES = frozenset({
    ".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv", ".ts", ".mjpeg", ".mjpg", ".ogv"
})  # fmt: skip
"""File name endings, in lower case, that are taken for video files."""

_FFMPEG_QUIET = "-8"
_opening = threading.Lock()


@dataclass(frozen=True)
class Video:
    """A stream of frames from a video file, a camera or a network address.

    Attributes:
        address: path of the file, index of the camera, or URL.
        label: for messages.
        length: frames that it announces, `None` where it announces none.
        rate: frames per second that it announces, 0 where it announces none.
        size: width and height in pixels.
        times: seconds of each frame, where a clock is known.
    """

    address: str | int
    label: str
    length: int | None
    rate: float
    size: tuple[int, int]
    times: npt.NDArray[np.float64] | None = field(default=None, repr=False)

    @property
    def live(self) -> bool:
        """Whether it is a camera or a network stream without end."""
        return self.length is None and (isinstance(self.address, int) or "://" in self.address)

    @property
    def numbers(self) -> None:
        """Frames of a video have no names."""
        return None

    def open(self) -> VideoReader:
        """Begins a pass from the first frame.

        Raises:
            SourceError: if it can no longer be opened.
        """
        return VideoReader(self, _capture(self.address, self.label))


def open_video(address: Path | str | int) -> Video:
    """Looks into a video file, camera or stream.

    Args:
        address: a path, the index of a camera, or a URL.

    Raises:
        SourceError: if it is missing, or OpenCV cannot read it.
    """
    label = _label(address)
    if isinstance(address, Path):
        if not address.exists():
            raise SourceError(f"There is no video file {address}: check the path.")
        _refuse_text(address)
        address = str(address)
    capture = _capture(address, label)
    try:
        size = _whole(capture, cv2.CAP_PROP_FRAME_WIDTH), _whole(capture, cv2.CAP_PROP_FRAME_HEIGHT)
        count = 0 if isinstance(address, int) else _whole(capture, cv2.CAP_PROP_FRAME_COUNT)
        rate = capture.get(cv2.CAP_PROP_FPS)
    finally:
        capture.release()
    rate = rate if math.isfinite(rate) and rate > 0 else 0.0
    times = np.arange(count) / rate if count > 0 and rate else None
    return Video(address, label, count if count > 0 else None, rate, size, times)


class VideoReader:
    """One pass over a video; frames between those asked for are skipped without being converted."""

    def __init__(self, video: Video, capture: cv2.VideoCapture) -> None:
        self._video = video
        self._capture = capture
        self._next = 0

    def read(self, index: int) -> Reading:
        """Decodes the frame at `index`."""
        origin = f"frame {index} of {self._video.label}"
        while self._next <= index:
            if not self._capture.grab():
                return self._ended(index)
            self._next += 1
        whole, image = self._capture.retrieve()
        if not whole or image is None:
            return Reading(None, origin, f"{capital(origin)} cannot be decoded: convert the video anew.")
        if image.ndim == 2:
            return Reading(image, origin)
        return Reading(cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image), origin)

    def close(self) -> None:
        """Releases the file or device."""
        self._capture.release()

    def _ended(self, index: int) -> Reading:
        """Tells the end of a video from a video that is cut off."""
        label, got, announced = self._video.label, self._next, self._video.length
        # Containers that announce a duration instead of a count are off by a frame or two.
        if announced is not None and announced - got > max(2, announced // 100):
            reason = (
                f"{capital(label)} ends early, before frame {got}, though it announces {announced} frames: "
                f"it is cut off or damaged there, so copy or convert it again, or track only its first {got} frames."
            )
            return Reading(None, label, reason, ended=True, early=True)
        if isinstance(self._video.address, int):
            reason = (
                f"{capital(label)} stopped giving frames after {got}: check its cable and that no one else uses it."
            )
            return Reading(None, label, reason, ended=True, early=True)
        return Reading(None, label, f"{capital(label)} has no frame {index}: it ends after {got}.", ended=True)


def _capture(address: str | int, label: str) -> cv2.VideoCapture:
    """Opens quietly: what OpenCV and FFmpeg print of a failure is said better by the error."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", _FFMPEG_QUIET)
    with _opening:
        level = cv2.utils.logging.getLogLevel()
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        try:
            # Without a fixed reader OpenCV would take `0001.jpg` for a numbered series of images.
            reader = cv2.CAP_ANY if isinstance(address, int) else cv2.CAP_FFMPEG
            capture = cv2.VideoCapture(address, reader)
        finally:
            cv2.utils.logging.setLogLevel(level)
    if not capture.isOpened():
        capture.release()
        raise SourceError(f"{capital(label)} cannot be opened: {_way_out(address)}.")
    return capture


def _refuse_text(path: Path) -> None:
    """FFmpeg would play a text file as a film of a terminal."""
    try:
        with path.open("rb") as file:
            start = file.read(4096)
    except OSError as error:
        raise SourceError(f"Video {path} cannot be read ({error.strerror or error}): make it readable.") from None
    if b"\0" not in start:
        kind = "an empty file" if not start else "a text file"
        raise SourceError(f"{path} is {kind}, not a video: give a video or a folder of images.")


def _way_out(address: str | int) -> str:
    if isinstance(address, int):
        return "check that the camera is connected, or give another index"
    if "://" in address:
        return "check the address and the network"
    return "it is no video, or cut off; convert it to MP4, or give a folder of images"


def _label(address: Path | str | int) -> str:
    if isinstance(address, int):
        return f"camera {address}"
    return f"video {address}" if isinstance(address, Path) else f"stream {address}"


def _whole(capture: cv2.VideoCapture, what: int) -> int:
    """A property as a whole number; broken containers announce huge or negative ones."""
    value = capture.get(what)
    return int(value) if math.isfinite(value) and 0 < value < 1e9 else 0
