"""Boxes and crops: the only place where pixels of the image meet pixels of the crop.

Boxes are `x, y, w, h` in float pixels, 0-based, where `x` and `y` are the left and top *edge*: pixel `i`
covers the interval from `i` to `i + 1`. The array functions take numpy arrays and torch tensors alike; PyTorch is
imported only where a tensor comes in, so that what needs no network starts at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from tectum.errors import BoxError

if TYPE_CHECKING:
    import torch

Image = npt.NDArray[np.uint8]
"""An image `H×W×3`, 8 bit, RGB order."""

Boxes = TypeVar("Boxes", "npt.NDArray[np.floating]", "torch.Tensor")
"""Boxes `…×4` as a numpy array or a torch tensor."""


class Box(NamedTuple):
    """One box: left, top, width and height in float pixels, 0-based."""

    x: float
    y: float
    w: float
    h: float

    @property
    def center(self) -> tuple[float, float]:
        """The centre `(x, y)` in pixels."""
        return self.x + self.w / 2, self.y + self.h / 2

    @property
    def area(self) -> float:
        """The area in square pixels."""
        return self.w * self.h

    @classmethod
    def of(cls, values: Sequence[float] | npt.NDArray[np.floating] | torch.Tensor) -> Box:
        """Makes a box from any four numbers.

        Raises:
            BoxError: if they are not exactly four numbers.
        """
        try:
            numbers = [float(value) for value in values]
        except (TypeError, ValueError):
            raise BoxError(f"A box needs four numbers x,y,w,h, but this was given: {values!r}.") from None
        if len(numbers) != 4:
            raise BoxError(f"A box needs four numbers x,y,w,h, but {len(numbers)} were given: {numbers}.")
        return cls(*numbers)

    @classmethod
    def parse(cls, text: str) -> Box:
        """Reads a box from text: four numbers with commas, tabs, semicolons or spaces between them.

        Raises:
            BoxError: if the text is not four numbers.
        """
        words = text.replace(",", " ").replace(";", " ").split()
        try:
            return cls.of([float(word) for word in words])
        except (ValueError, BoxError):
            raise BoxError(f"'{text.strip()}' is not a box: write four numbers as x,y,w,h.") from None

    def checked(self, width: int, height: int) -> Box:
        """Returns the box itself if a tracker can start from it in a `width`×`height` image.

        Raises:
            BoxError: if it has no area, lies outside the image, or has values that are no numbers.
        """
        text = ",".join(f"{value:g}" for value in self)
        if not all(math.isfinite(value) for value in self):
            raise BoxError(f"The box {text} has values that are no numbers: give finite x,y,w,h.")
        if self.w <= 0 or self.h <= 0:
            raise BoxError(f"The box {text} has no area: width and height must be above zero.")
        if self.x >= width or self.y >= height or self.x + self.w <= 0 or self.y + self.h <= 0:
            raise BoxError(f"The box {text} lies outside the {width}x{height} image: give one inside it.")
        return self


def corners(boxes: Boxes) -> Boxes:
    """Turns `x, y, w, h` into `x1, y1, x2, y2`; shape `…×4` both."""
    return _joined(boxes, boxes[..., 0], boxes[..., 1], boxes[..., 0] + boxes[..., 2], boxes[..., 1] + boxes[..., 3])


def centered(boxes: Boxes) -> Boxes:
    """Turns `x, y, w, h` into `cx, cy, w, h`; shape `…×4` both."""
    return _joined(
        boxes, boxes[..., 0] + boxes[..., 2] / 2, boxes[..., 1] + boxes[..., 3] / 2, boxes[..., 2], boxes[..., 3]
    )


def from_centered(boxes: Boxes) -> Boxes:
    """Turns `cx, cy, w, h` into `x, y, w, h`; shape `…×4` both."""
    return _joined(
        boxes, boxes[..., 0] - boxes[..., 2] / 2, boxes[..., 1] - boxes[..., 3] / 2, boxes[..., 2], boxes[..., 3]
    )


def _joined(like: Boxes, *parts: Boxes) -> Boxes:
    if isinstance(like, np.ndarray):
        return np.stack(parts, axis=-1)
    import torch

    return torch.stack(parts, dim=-1)


def iou(first: Boxes, second: Boxes) -> Boxes:
    """Intersection over union of boxes pair by pair, without the one-pixel term.

    Args:
        first: boxes `…×4`.
        second: boxes `…×4`, broadcast against `first`.

    Returns:
        Overlaps `…` in [0, 1]; `nan` where a box is `nan`, 0 where both are empty.
    """
    overlap, union, _ = _overlap(first, second)
    return overlap / union


def giou(first: Boxes, second: Boxes) -> Boxes:
    """Generalised intersection over union, in [-1, 1] (Rezatofighi et al., CVPR 2019, algorithm 1)."""
    overlap, union, hull = _overlap(first, second)
    value: Boxes = overlap / union - (hull - union) / hull
    return value


def _overlap(first: Boxes, second: Boxes) -> tuple[Boxes, Boxes, Boxes]:
    """Areas of intersection, union and smallest enclosing box; the latter two kept above zero."""
    library = _library(first)
    a, b = corners(first), corners(second)
    tiny = 1e-12
    inner = library.minimum(a[..., 2:], b[..., 2:]) - library.maximum(a[..., :2], b[..., :2])
    outer = library.maximum(a[..., 2:], b[..., 2:]) - library.minimum(a[..., :2], b[..., :2])
    inner = inner.clip(min=0)
    overlap = inner[..., 0] * inner[..., 1]
    union = first[..., 2] * first[..., 3] + second[..., 2] * second[..., 3] - overlap
    hull = outer[..., 0] * outer[..., 1]
    return overlap, union.clip(min=tiny), hull.clip(min=tiny)


def _library(boxes: Boxes) -> Any:
    if isinstance(boxes, np.ndarray):
        return np
    import torch

    return torch


def clip(box: Box, width: int, height: int, margin: float = 10) -> Box:
    """Clips a box to the image so that at least `margin` pixels of each side stay inside it.

    This is the field's rule: corners are first confined to the image, each at least `margin` away from the
    border that it must not cross, and the sides are then at least `margin` long.
    """
    x2 = min(max(margin, box.x + box.w), width)
    y2 = min(max(margin, box.y + box.h), height)
    x1 = min(max(0.0, box.x), width - margin)
    y1 = min(max(0.0, box.y), height - margin)
    return Box(x1, y1, max(margin, x2 - x1), max(margin, y2 - y1))


@dataclass(frozen=True)
class Crop:
    """A square window on an image, resized to a square of `size` pixels.

    Attributes:
        left: first column of the window in the image, may be negative.
        top: first row of the window in the image, may be negative.
        side: side of the window in image pixels.
        size: side of the crop in pixels.
    """

    left: int
    top: int
    side: int
    size: int

    @classmethod
    def around(cls, box: Box, factor: float, size: int) -> Crop:
        """The field's standard window: side `ceil(sqrt(w*h)*factor)`, centred, corner rounded to integers.

        Args:
            box: the target in image pixels.
            factor: side of the window over the square root of the target's area (2 template, 4 search).
            size: side of the crop in pixels.

        Raises:
            BoxError: if the box has no area.
        """
        area = box.w * box.h
        if not (math.isfinite(area) and area > 0):
            raise BoxError(f"Cannot crop around the box {tuple(box)}: it has no area.")
        side = max(1, math.ceil(math.sqrt(area) * factor))
        cx, cy = box.center
        return cls(round(cx - side * 0.5), round(cy - side * 0.5), side, size)

    @property
    def scale(self) -> float:
        """Crop pixels in one image pixel."""
        return self.size / self.side

    def extract(self, image: Image) -> Image:
        """Cuts the window out of an image and resizes it; what lies outside the image is black.

        Only the window is copied, never the image. As in the published trackers' crop, a window that touches
        or crosses the right or bottom border loses the image's last column or row to the padding.

        Args:
            image: `H×W×C` (or `H×W`), any dtype that OpenCV resizes.

        Returns:
            The crop `size×size×C` (or `size×size`), same dtype.
        """
        height, width = image.shape[:2]
        right, bottom = self.left + self.side, self.top + self.side
        x1, y1 = max(self.left, 0), max(self.top, 0)
        x2 = right if right < width else width - 1
        y2 = bottom if bottom < height else height - 1
        if x2 <= x1 or y2 <= y1:
            return np.zeros((self.size, self.size, *image.shape[2:]), image.dtype)
        window: npt.NDArray[Any] = image[y1:y2, x1:x2]
        if window.shape[:2] != (self.side, self.side):
            window = cv2.copyMakeBorder(
                window, y1 - self.top, bottom - y2, x1 - self.left, right - x2, cv2.BORDER_CONSTANT
            )
        resized = cv2.resize(window, (self.size, self.size))
        return np.asarray(resized, image.dtype).reshape(self.size, self.size, *image.shape[2:])

    def into(self, box: Box) -> Box:
        """Maps a box from image pixels to crop pixels."""
        s = self.scale
        return Box((box.x - self.left) * s, (box.y - self.top) * s, box.w * s, box.h * s)

    def out_of(self, box: Box) -> Box:
        """Maps a box from crop pixels back to image pixels: the exact inverse of `into`."""
        s = self.scale
        return Box(box.x / s + self.left, box.y / s + self.top, box.w / s, box.h / s)
