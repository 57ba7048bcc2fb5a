"""Overlap as the VOT challenges measure it: rectangles are drawn on a grid of pixels, and pixels are counted.

Nothing is drawn here: a rectangle covers a range of columns and a range of rows, so the counts are products of
lengths. The result is that of the toolkit, whatever the boxes, including its odd answers for tiny and empty ones.

Source: `vot-toolkit` 0.9.0 of the VOT challenge, https://github.com/votchallenge/toolkit, observed in use.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tectum.evaluation.boxes import are_finite

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

UNKNOWN_SIZE = (2**24, 2**24)
"""Stands for the size of images that are not at hand: boxes are cut at the left and top edge only."""


@dataclass(frozen=True)
class _Extent:
    """Pixels of `N` rectangles: the first and last column and row `N×2` each, and whether there is anything at all."""

    first: Array
    last: Array
    shown: Flags

    @classmethod
    def of(cls, boxes: Array) -> _Extent:
        """Rounds boxes to pixels, halves to the even neighbour; what is no rectangle becomes the corner pixel."""
        with np.errstate(over="ignore"):
            stored = boxes.astype(np.float32)
            shown = are_finite(stored)
            rounded = np.rint(np.where(shown[:, None], stored, 0))
            first = rounded[:, :2]
            last = (first + rounded[:, 2:]).astype(np.float64) - 1
        return cls(first.astype(np.float64), np.where(shown[:, None], last, 0), shown)


def raster_overlaps(boxes: Array, others: Array, size: tuple[int, int] | None = None) -> Array:
    """Intersection over union of rectangles, row by row, counted in whole pixels.

    A row that is not finite is VOT's special region: nothing is there, and its place is taken for the pixel (0, 0).
    Two regions are the same, whatever they are, if one column or one row of pixels holds both; two special ones
    therefore overlap by 1.

    Args:
        boxes: `N×4` as `x, y, w, h` in pixels; stored as float32 like the toolkit does.
        others: `N×4` likewise.
        size: width and height of the images in pixels, outside of which nothing counts. With `None` nothing is cut,
            and rectangles that reach beyond the left or top edge give the toolkit's own figure, which is not their
            overlap.

    Returns:
        Overlaps `N` in [0, 1].
    """
    one, two = _Extent.of(boxes), _Extent.of(others)
    first, last = np.minimum(one.first, two.first), np.maximum(one.last, two.last)
    same = (first >= last).any(axis=1)
    if size is not None:
        first, last = np.maximum(first, 0), np.minimum(last, np.array(size, np.float64) - 1)
    outside = (first >= last).any(axis=1)
    (start, stop), (start_two, stop_two) = _drawn(one, first, last), _drawn(two, first, last)
    common = _pixels(np.maximum(start, start_two), np.minimum(stop, stop_two))
    union = _pixels(start, stop) + _pixels(start_two, stop_two) - common
    overlap = np.divide(common, union, out=np.zeros(len(union)), where=(union > 0) & ~outside)
    return np.where(same, 1.0, overlap)


def _drawn(extent: _Extent, first: Array, last: Array) -> tuple[Array, Array]:
    """The ranges `[start, stop)`, `N×2` each, that a rectangle fills of a grid from pixel `first` to `last`."""
    met = extent.shown & (extent.first <= last).all(axis=1) & (extent.last >= first).all(axis=1)
    start = np.maximum(extent.first - first, 0)
    # The toolkit limits a place inside the grid by `last`, a place in the image: of effect on negative grids alone,
    # where a range may even end left of the grid, which as an index counts from its far end.
    stop = np.minimum(extent.last - first, last) + 1
    extent_of_grid = last - first + 1
    stop = np.clip(np.where(stop < 0, stop + extent_of_grid, stop), 0, np.maximum(extent_of_grid, 0))
    return start, np.where(met[:, None], stop, 0)


def _pixels(start: Array, stop: Array) -> Array:
    """How many pixels lie in ranges of columns and rows."""
    return np.asarray(np.maximum(stop - start, 0).prod(axis=1), np.float64)
