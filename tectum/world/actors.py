"""Things with a finish that stand or move on the stage."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from tectum.world.affine import Affine, composed, moved, turned
from tectum.world.camera import Camera
from tectum.world.materials import Finish
from tectum.world.motion import Wave, still
from tectum.world.outlines import Outline, Part, Points

TURNING = 0.8
"""Pixels per frame at which a thing that looks where it goes shows most of its side."""


@dataclass(frozen=True)
class Actor:
    """One thing and its movement.

    Attributes:
        name: unlike all others in its scene.
        outline: its shape.
        finishes: what covers each role of the outline.
        x: column of its middle in stage pixels.
        y: row of its feet in stage pixels; `None` where it stands on the ground.
        size: natural logarithm of its height in pixels.
        yaw: turn about the vertical axis in radians; `None` where it looks where it goes.
        tilt: turn in the view in radians.
        cadence: how fast its gait runs, in radians per frame.
        heads: whether it is seen from above and points where it goes.
    """

    name: str
    outline: Outline
    finishes: tuple[tuple[str, Finish], ...]
    x: Wave
    y: Wave | None
    size: Wave
    yaw: Wave | None = None
    tilt: Wave = field(default_factory=lambda: still(0.0))
    cadence: float = 0.0
    heads: bool = False

    @property
    def kind(self) -> str:
        """What a person would call it."""
        return self.outline.kind

    @property
    def finish(self) -> Finish:
        """What covers most of it."""
        return dict(self.finishes)["body"]

    def finish_of(self, part: Part) -> Finish:
        """What covers a part."""
        return dict(self.finishes)[part.role]

    def inverse(self, time: float, camera: Camera) -> float:
        """Its inverse distance in 1/m."""
        return math.exp(self.size.at(time)) / (camera.focal * self.outline.tall)

    def placed(self, time: float, camera: Camera) -> Affine:
        """The map from units of its outline to the view."""
        return composed(camera.view(time, self.inverse(time, camera)), self._on_stage(time, camera))

    def posed(self, part: Part, time: float, placed: Affine) -> tuple[Points, Affine]:
        """A part in its pose.

        Args:
            part: of its outline.
            time: in frames.
            placed: the map from units of the outline to the view.

        Returns:
            Its corners `N×2` in the view, and the map from the part at rest to the view.
        """
        gait = self.cadence * time
        turn = part.turned(gait)
        to_view = placed if turn is None else composed(placed, turn)
        return moved(to_view, part.swollen(gait)), to_view

    def corners(self, time: float, camera: Camera) -> Points:
        """Corners `N×2` of all its parts in the view."""
        placed = self.placed(time, camera)
        return np.concatenate([self.posed(part, time, placed)[0] for part in self.outline.parts])

    def span(self, time: float, camera: Camera) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of its corners in the view."""
        points = self.corners(time, camera)
        (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
        return float(left), float(top), float(right), float(bottom)

    def frame(self, time: float, camera: Camera) -> tuple[float, float, float, float]:
        """Left, top, right and bottom in the view of the frame about its outline at rest; quicker than `span`."""
        left, top, right, bottom = self.outline.extent
        points = moved(
            self.placed(time, camera), np.array([[left, top], [right, top], [left, bottom], [right, bottom]])
        )
        (x1, y1), (x2, y2) = points.min(axis=0), points.max(axis=0)
        return float(x1), float(y1), float(x2), float(y2)

    def _on_stage(self, time: float, camera: Camera) -> Affine:
        size, x = math.exp(self.size.at(time)), self.x.at(time)
        y = camera.row_of_ground(self.inverse(time, camera)) if self.y is None else self.y.at(time)
        angle = self.tilt.at(time)
        if self.heads and self.y is not None:
            angle += math.atan2(self.y.rate(time), self.x.rate(time) + 1e-6)
        # The feet stay where they are; what flies turns about its middle.
        hinge = (0.0, -0.5 if self.outline.flies else 0.0)
        local = size * turned(angle, hinge, self._breadth(time))
        local[:, 2] += (x, y)
        return local

    def _breadth(self, time: float) -> float:
        """How wide it looks: 1 from the side, -1 from the other, its thickness in between."""
        if self.heads:
            return 1.0
        side = math.tanh(self.x.rate(time) / TURNING) if self.yaw is None else math.cos(self.yaw.at(time))
        wide = math.hypot(side, self.outline.thick * math.sqrt(1 - side * side))
        return math.copysign(wide, side)
