"""Scores of one sequence as pure functions of arrays.

The field's one-pass evaluation starts a tracker on the first frame, where its box is given; callers therefore
leave that frame out. Frames without ground truth (`nan` rows) count neither as hit nor as miss.

Sources: overlap and success as in Wu, Lim, Yang, *Online Object Tracking: A Benchmark* (OTB), CVPR 2013,
section 3.2, the area under the curve as the plain mean of its 21 points, not a trapezoid; precision from the
same paper, section 3.2, at 20 pixels.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tectum.geometry import centered, iou

Array = npt.NDArray[np.float64]

SUCCESS_THRESHOLDS: Array = np.linspace(0, 1, 21)
"""Overlaps from 0 to 1 in steps of 0.05."""

PRECISION_PIXELS = 20.0
"""The centre error in pixels at which precision is reported."""


def overlaps(boxes: Array, truth: Array) -> Array:
    """Intersection over union frame by frame.

    Args:
        boxes: a tracker's boxes `N×4` as `x, y, w, h` in pixels.
        truth: ground truth `N×4`, `nan` rows where there is none.

    Returns:
        Overlaps `N` in [0, 1], `nan` where there is no truth.

    Raises:
        ValueError: if the shapes differ.
    """
    boxes, truth = _paired(boxes, truth)
    return np.asarray(iou(boxes, truth), np.float64)


def center_error(boxes: Array, truth: Array) -> Array:
    """Distance between the centres in pixels, frame by frame.

    Args:
        boxes: a tracker's boxes `N×4` as `x, y, w, h` in pixels.
        truth: ground truth `N×4`, `nan` rows where there is none.

    Returns:
        Distances `N`, `nan` where there is no truth.

    Raises:
        ValueError: if the shapes differ.
    """
    boxes, truth = _paired(boxes, truth)
    return np.asarray(np.hypot(*(centered(boxes) - centered(truth))[:, :2].T), np.float64)


def success_curve(overlap: Array, thresholds: Array = SUCCESS_THRESHOLDS) -> Array:
    """Share of frames whose overlap lies strictly above each threshold.

    Being strict, an overlap of 0 fails at 0, and nothing passes at 1: a perfect tracker's curve has a mean of
    20/21.

    Args:
        overlap: overlaps `N`, `nan` where there is no truth.
        thresholds: `T` overlaps.

    Returns:
        Shares `T` in [0, 1]; `nan` if no frame has truth.
    """
    known = overlap[~np.isnan(overlap)]
    if len(known) == 0:
        return np.full(len(thresholds), np.nan)
    return np.asarray((known[:, None] > thresholds).mean(axis=0), np.float64)


def success_auc(overlap: Array) -> float:
    """Area under the success curve: the mean of its 21 points.

    Args:
        overlap: overlaps `N`, `nan` where there is no truth.

    Returns:
        A value in [0, 20/21]; `nan` if no frame has truth.
    """
    return float(success_curve(overlap).mean())


def precision(error: Array, pixels: float = PRECISION_PIXELS) -> float:
    """Share of frames whose centre error is at most `pixels`.

    Args:
        error: centre errors `N` in pixels, `nan` where there is no truth.
        pixels: the largest error that counts as a hit.

    Returns:
        A value in [0, 1]; `nan` if no frame has truth.
    """
    known = error[~np.isnan(error)]
    return float((known <= pixels).mean()) if len(known) else float("nan")


def _paired(boxes: Array, truth: Array) -> tuple[Array, Array]:
    boxes, truth = np.asarray(boxes, np.float64), np.asarray(truth, np.float64)
    if boxes.shape != truth.shape or boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"Boxes and truth must both be N×4, but are {boxes.shape} and {truth.shape}.")
    return boxes, truth
