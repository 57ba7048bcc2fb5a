"""Pictures and videos of estimates: one panel per sense, one colour per target."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from tectum.errors import TectumError
from tectum.frames import Estimate, Frame, Modality
from tectum.geometry import Box, Image

COLOURS: tuple[tuple[int, int, int], ...] = (
    (255, 196, 0),
    (0, 200, 255),
    (255, 80, 120),
    (120, 230, 80),
    (190, 130, 255),
    (255, 140, 40),
    (60, 220, 190),
    (240, 120, 220),
)
"""Box colours of the targets in turn, RGB."""

WHITE = (255, 255, 255)
"""Colour of ground truth and labels, RGB."""


def draw_estimates(
    frame: Frame,
    estimates: Sequence[Estimate],
    truth: Sequence[Box] | None = None,
    size: tuple[int, int] | None = None,
) -> Image:
    """Draws one moment: the senses side by side, each with the boxes of all targets.

    Args:
        frame: the moment; a missing sense becomes a black panel that says so.
        estimates: one per target; boxes below the visibility threshold are thin.
        truth: ground truth boxes in thin white, one per target; `nan` boxes are left out.
        size: width and height in pixels, for moments that may lack every sense.

    Returns:
        An image `H×(W·senses)×3`, RGB order; the frame's own images stay as they are.

    Raises:
        SourceError: if every sense is missing and no size is given.
    """
    width, height = size or frame.size
    panels = []
    for modality in Modality:
        if modality not in frame.images:
            continue
        image = frame.images[modality]
        panel = np.zeros((height, width, 3), np.uint8) if image is None else image.copy()
        for box in truth or ():
            _draw_box(panel, box, WHITE, thickness=1)
        for target, estimate in enumerate(estimates):
            _draw_estimate(panel, estimate, COLOURS[target % len(COLOURS)])
        _draw_text(panel, f"{modality} missing" if image is None else str(modality), (6, height - 8), WHITE)
        panels.append(panel)
    return np.concatenate(panels, axis=1)


def _draw_estimate(panel: Image, estimate: Estimate, colour: tuple[int, int, int]) -> None:
    weight = max(1, round(min(panel.shape[:2]) / 240))
    _draw_box(panel, estimate.box, colour, thickness=weight + 1 if estimate.visible else weight)
    left, top = max(0, round(estimate.box.x)), round(estimate.box.y)
    _draw_text(panel, f"{estimate.score:.2f}", (left, max(14, top - 5)), colour)


def _draw_box(panel: Image, box: Box, colour: tuple[int, int, int], thickness: int) -> None:
    if not np.isfinite(box).all():
        return
    first = round(box.x), round(box.y)
    last = round(box.x + box.w) - 1, round(box.y + box.h) - 1
    cv2.rectangle(panel, first, last, colour, thickness, cv2.LINE_AA)


def _draw_text(panel: Image, text: str, corner: tuple[int, int], colour: tuple[int, int, int]) -> None:
    scale = max(0.4, min(panel.shape[:2]) / 960)
    for shade, thickness in (((0, 0, 0), 3), (colour, 1)):
        cv2.putText(panel, text, corner, cv2.FONT_HERSHEY_SIMPLEX, scale, shade, thickness, cv2.LINE_AA)


class VideoFile:
    """An MP4 file that grows by one image at a time; a context manager.

    Args:
        path: where to write; missing folders are made at the first image.
        fps: frames per second at which it plays.

    Raises:
        TectumError: if the name does not end in `.mp4`, or the file cannot be written.
    """

    def __init__(self, path: str | Path, fps: float = 25.0) -> None:
        self.path = Path(path)
        self.fps = fps
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)
        if self.path.suffix.lower() != ".mp4":
            raise TectumError(f"The video {self.path} is no MP4: give a name that ends in .mp4.")
        if self.path.is_dir():
            raise TectumError(f"The video {self.path} is a folder: give the name of a file.")

    def write(self, image: Image) -> None:
        """Adds an image `H×W×3`, RGB order; the first one sets the size of the video, made even.

        Raises:
            TectumError: if the file cannot be written, or the image has another size than the first.
        """
        height, width = image.shape[:2]
        if self._writer is None:
            self._size = (width, height)
            self._writer = self._open(width + width % 2, height + height % 2)
        if (width, height) != self._size:
            raise TectumError(
                f"The video {self.path} is {self._size[0]}x{self._size[1]} and cannot take an image of "
                f"{width}x{height}: write it to a video of its own."
            )
        bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        if width % 2 or height % 2:
            bgr = cv2.copyMakeBorder(bgr, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
        self._writer.write(bgr)

    def _open(self, width: int, height: int) -> cv2.VideoWriter:
        problem = f"The video {self.path} cannot be written: check that the folder exists and is yours to write to"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.touch()
        except OSError as error:
            raise TectumError(f"{problem} ({error.strerror}).") from None
        fourcc = cv2.VideoWriter.fourcc(*"mp4v")
        writer = cv2.VideoWriter(str(self.path), fourcc, self.fps, (width, height))
        if not writer.isOpened():
            raise TectumError(f"{problem}, and that this OpenCV can write MP4 (opencv-python from PyPI can).")
        return writer

    def close(self) -> None:
        """Finishes the file; without it players cannot open the video."""
        if self._writer is not None:
            self._writer.release()
            self._writer = None

    def __enter__(self) -> VideoFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
