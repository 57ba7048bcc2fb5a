"""Outlines of things: polygons that swing, spin and swell, in units of the thing's height.

A thing stands on `y = 0` and reaches up to `y = -1`; `x = 0` is its middle and it looks towards larger `x`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from tectum.world.affine import Affine, turned

Points = npt.NDArray[np.float64]
"""Corners `N×2` of a polygon."""

Corners = tuple[tuple[float, float], ...]
"""Corners of a polygon as plain numbers."""


@dataclass(frozen=True)
class Part:
    """One polygon of an outline.

    Attributes:
        points: its corners.
        role: which of the thing's finishes covers it.
        pivot: the point about which it turns.
        swing: how far it swings to either side, in radians.
        phase: where in its swing or swelling it starts, in radians.
        spin: turns per gait, for wheels.
        soft: how far its border swells, as a share of its distance from the pivot.
    """

    points: Corners
    role: str = "body"
    pivot: tuple[float, float] = (0.0, 0.0)
    swing: float = 0.0
    phase: float = 0.0
    spin: float = 0.0
    soft: float = 0.0

    @cached_property
    def corners(self) -> Points:
        """Its corners `N×2` at rest."""
        return np.array(self.points)

    def swollen(self, gait: float) -> Points:
        """Its corners before its turn, at a phase of the thing's gait in radians."""
        if not self.soft:
            return self.corners
        away = self.corners - self.pivot
        angle = np.arctan2(away[:, 1], away[:, 0])
        swell = np.sin(2 * angle + gait + self.phase) + 0.6 * np.sin(3 * angle - 1.3 * gait)
        return np.asarray(self.pivot + away * (1 + self.soft * swell)[:, None], np.float64)

    def turned(self, gait: float) -> Affine | None:
        """The map that turns it about its pivot, or `None` where it is stiff."""
        if not (self.swing or self.spin):
            return None
        return turned(self.swing * math.sin(gait + self.phase) + self.spin * gait, self.pivot)


@dataclass(frozen=True)
class Outline:
    """A kind of thing.

    Attributes:
        kind: what a person would call it.
        parts: its polygons, the farthest first.
        tall: its height in metres; of things seen from above, their length.
        materials: the material of each role.
        thick: how wide it looks from the front, as a share of how wide it looks from the side.
        flies: whether it moves freely instead of standing on the ground.
        supple: whether its outline changes by itself.
    """

    kind: str
    parts: tuple[Part, ...]
    tall: float
    materials: tuple[tuple[str, str], ...]
    thick: float = 1.0
    flies: bool = False
    supple: bool = False

    @cached_property
    def extent(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of its parts at rest, in units of its height."""
        points = np.concatenate([part.corners for part in self.parts])
        (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
        return float(left), float(top), float(right), float(bottom)

    @property
    def roles(self) -> tuple[tuple[str, str], ...]:
        """Each role that things of its kind may have once, with its material; plastic where none is named."""
        plain = {part.role: "plastic" for part in self.parts}
        return tuple({**plain, **dict(self.materials)}.items())


def disc(x: float, y: float, across: float, down: float | None = None, corners: int = 16) -> Corners:
    """An ellipse about a point, by its half axes."""
    down = across if down is None else down
    angles = [2 * math.pi * step / corners for step in range(corners)]
    return tuple((x + across * math.cos(angle), y + down * math.sin(angle)) for angle in angles)


def ring(x: float, y: float, radius: float, thick: float) -> Corners:
    """A hoop as one polygon that runs around outside and back inside."""
    outer, inner = disc(x, y, radius, corners=20), disc(x, y, radius - thick, corners=20)
    return (*outer, outer[0], inner[0], *reversed(inner))


def limb(x1: float, y1: float, x2: float, y2: float, start: float, end: float) -> Corners:
    """A tapering rod with round ends, by its half widths at both ends."""
    along = math.atan2(y2 - y1, x2 - x1)
    turns = [math.pi / 2 + math.pi * step / 4 for step in range(5)]
    first = [(x1 + start * math.cos(along + turn), y1 + start * math.sin(along + turn)) for turn in turns]
    last = [(x2 - end * math.cos(along + turn), y2 - end * math.sin(along + turn)) for turn in turns]
    return tuple(first + last)


def block(left: float, top: float, right: float, bottom: float, cut: float = 0.0) -> Corners:
    """A rectangle, its corners cut off if wished."""
    if not cut:
        return ((left, top), (right, top), (right, bottom), (left, bottom))
    return (
        *((left + cut, top), (right - cut, top), (right, top + cut), (right, bottom - cut)),
        *((right - cut, bottom), (left + cut, bottom), (left, bottom - cut), (left, top + cut)),
    )


def lobes(rng: np.random.Generator, x: float, y: float, across: float, down: float, rough: float) -> Corners:
    """A blob with random bumps, such as a crown of leaves, about a point and by its half axes."""
    angles = np.linspace(0, 2 * np.pi, 36, endpoint=False)
    radius = np.ones(36)
    for order in range(2, 11):
        radius += rough * rng.uniform(-1, 1) / math.sqrt(order) * np.cos(order * angles + rng.uniform(0, 2 * np.pi))
    columns, rows = x + across * radius * np.cos(angles), y + down * radius * np.sin(angles)
    return tuple(zip(columns.tolist(), rows.tolist(), strict=True))
