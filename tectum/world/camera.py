"""Where the camera stands and how it moves: what lies where in its view, and how far."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from tectum.world.affine import Affine
from tectum.world.motion import Wave, still


@dataclass(frozen=True)
class Camera:
    """A pinhole camera above a ground, or looking straight down on it.

    Places are given in *stage pixels*: where a thing would be seen if the camera did not move. The camera's turns
    move all things alike, its shifts move near things more than far ones.

    Attributes:
        size: width and height of the view in pixels.
        focal: focal length in pixels.
        height: metres above the ground.
        horizon: row of the horizon in stage pixels; `None` where the camera looks straight down.
        across: turn to the right, in pixels.
        down: turn downwards, in pixels.
        shift: movement to the right, in metres.
        zoom: natural logarithm of the factor by which the focal length grows.
        roll: turn about the line of sight, in radians.
    """

    size: tuple[int, int]
    focal: float
    height: float
    horizon: float | None
    across: Wave = field(default_factory=lambda: still(0))
    down: Wave = field(default_factory=lambda: still(0))
    shift: Wave = field(default_factory=lambda: still(0))
    zoom: Wave = field(default_factory=lambda: still(0))
    roll: Wave = field(default_factory=lambda: still(0))

    @property
    def ground(self) -> tuple[float, float]:
        """The inverse distance of the ground in 1/m as `start + slope * row`, in stage rows."""
        if self.horizon is None:
            return 1 / self.height, 0.0
        slope = 1 / (self.focal * self.height)
        return -self.horizon * slope, slope

    def row_of_ground(self, inverse: float) -> float:
        """The stage row in which the ground lies at an inverse distance in 1/m."""
        start, slope = self.ground
        return (inverse - start) / slope

    def inverse_of_ground(self, row: float) -> float:
        """The inverse distance in 1/m of the ground in a stage row."""
        start, slope = self.ground
        return start + slope * row

    def view(self, time: float, inverse: float) -> Affine:
        """The map from stage pixels to the view for things at an inverse distance in 1/m; 0 is infinitely far."""
        return self._map(time, inverse, 0.0)

    def view_of_ground(self, time: float) -> Affine:
        """The map from stage pixels to the view for the ground, whose nearer rows move more."""
        return self._map(time, *self.ground)

    def _map(self, time: float, inverse: float, slope: float) -> Affine:
        zoom, roll = math.exp(self.zoom.at(time)), self.roll.at(time)
        cosine, sine = zoom * math.cos(roll), zoom * math.sin(roll)
        moved = self.focal * self.shift.at(time)
        width, height = self.size
        x, y = width / 2 + self.across.at(time) + moved * inverse, height / 2 + self.down.at(time)
        return np.array(
            [
                [cosine, -cosine * moved * slope - sine, width / 2 - cosine * x + sine * y],
                [sine, -sine * moved * slope + cosine, height / 2 - sine * x - cosine * y],
            ]
        )

    @property
    def margin(self) -> int:
        """Stage pixels beyond the view that the camera may come to see."""
        turns = max(sum(map(abs, wave.reach)) + abs(wave.middle) for wave in (self.across, self.down))
        swept = sum(map(abs, self.roll.reach)) * max(self.size)
        wide = math.exp(sum(map(abs, self.zoom.reach)) - self.zoom.middle)
        whole = math.ceil(turns + swept + max(0.0, wide - 1) * max(self.size) / 2) + 8
        # What lies farther out is shown mirrored.
        return min(whole, max(self.size))
