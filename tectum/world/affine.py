"""Maps between units of an outline, the stage, the view and textures."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Affine = npt.NDArray[np.float64]
"""A map `2×3` of points `(x, y, 1)`."""


def composed(outer: Affine, inner: Affine) -> Affine:
    """The map that applies the inner one first."""
    both: Affine = outer[:, :2] @ inner
    both[:, 2] += outer[:, 2]
    return both


def moved(affine: Affine, points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Points `N×2` after a map."""
    return np.asarray(points @ affine[:, :2].T + affine[:, 2], np.float64)


def turned(angle: float, pivot: tuple[float, float], across: float = 1.0, down: float = 1.0) -> Affine:
    """Scales about a pivot by two factors, then turns about it by an angle in radians."""
    cosine, sine, (x, y) = math.cos(angle), math.sin(angle), pivot
    a, b, c, d = cosine * across, -sine * down, sine * across, cosine * down
    return np.array([[a, b, x - a * x - b * y], [c, d, y - c * x - d * y]])


def scaled(affine: Affine, scale: float) -> Affine:
    """A map into a picture that is larger or smaller by a factor."""
    return affine * scale
