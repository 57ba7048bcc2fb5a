"""From what a results file holds to one box per annotated row, where a toolkit has no rule of its own for it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from tectum.benchmarks.base import Truth
from tectum.evaluation.protocol import Form, Run
from tectum.geometry import from_centered

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


def are_finite(boxes: npt.NDArray[np.floating]) -> Flags:
    """Which of `N×4` boxes hold nothing but numbers."""
    return np.asarray(np.isfinite(boxes).all(axis=1), np.bool_)


def have_area(boxes: Array) -> Flags:
    """Which of `N×4` boxes `x, y, w, h` are wide and high."""
    return np.asarray((boxes[:, 2:] > 0).all(axis=1), np.bool_)


def to_xywh(values: Array, form: Form) -> Array:
    """Turns rows of any form into boxes, without a one-pixel term.

    Args:
        values: `R×4` or, for corner points, `R×8` numbers in pixels.
        form: what the columns mean; four corner points become the upright box around them.

    Returns:
        Boxes `R×4` as `x, y, w, h` in pixels.
    """
    if form is Form.XYWH:
        return values
    if form is Form.CENTER:
        return np.asarray(from_centered(values), np.float64)
    points = values.reshape(len(values), -1, 2)
    if form is Form.XYXY:
        return np.concatenate([points[:, 0], points[:, 1] - points[:, 0]], axis=1)
    least = points.min(axis=1)
    return np.concatenate([least, points.max(axis=1) - least], axis=1)


def annotated(run: Run, truth: Truth) -> Run:
    """The run with one row per annotated row, where only some images are annotated and it has a row for each image."""
    if truth.images is None or len(run.values) == len(truth.boxes):
        return run
    reached = truth.images[truth.images < len(run.values)]
    scores = None if run.scores is None else fit(run.scores, len(run.values))[reached]
    return replace(run, values=run.values[reached], scores=scores)


def fit(rows: Array, length: int) -> Array:
    """Cuts or continues rows to a length.

    Args:
        rows: `R×…` numbers.
        length: `N`.

    Returns:
        `N×…` numbers, `nan` where the rows have ended.
    """
    fitted = np.full((length, *rows.shape[1:]), np.nan)
    fitted[: len(rows)] = rows[:length]
    return fitted
