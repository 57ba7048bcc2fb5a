"""Light: daylight, lamps, glare and fog, and what a colour camera makes of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from tectum.geometry import Image
from tectum.world.affine import Affine
from tectum.world.motion import Wave, still
from tectum.world.textures import Field

COARSE = 8
"""Pixels of the view in one of the grid on which light is computed."""

Linear = npt.NDArray[np.float32]
"""Linear light `H×W×3` or `H×W`; 1 is what the camera shows as white."""


@dataclass(frozen=True)
class Lamp:
    """A light source in the stage.

    Attributes:
        x: column in stage pixels.
        y: row in stage pixels.
        reach: pixels at which its light has fallen to 60 %.
        power: light where it is strongest; 1 shows a white surface as white.
    """

    x: float
    y: float
    reach: float
    power: float


@dataclass(frozen=True)
class Light:
    """What lights a scene, and how well the camera copes.

    Attributes:
        name: `day`, `dusk` or `night`.
        ambient: light everywhere; 1 shows a white surface as white.
        tint: factors of red, green and blue.
        lamps: pools of light on things.
        glares: sources that shine into the lens and veil what is before and beside them.
        flicker: how the glares swell, about 1.
        fog: extinction in 1/m.
        mist: brightness of the fog.
        exposure: share of the time between frames for which the shutter is open.
        shot_noise: variance of the noise in a white pixel.
        read_noise: standard deviation of the noise in a black pixel.
    """

    name: str = "day"
    ambient: Wave = field(default_factory=lambda: still(1.0))
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    lamps: tuple[Lamp, ...] = ()
    glares: tuple[Lamp, ...] = ()
    flicker: Wave = field(default_factory=lambda: still(1.0))
    fog: float = 0.0
    mist: float = 0.6
    exposure: float = 0.4
    shot_noise: float = 2e-4
    read_noise: float = 2e-3

    def falling(self, time: float, view: Affine, size: tuple[int, int]) -> Field:
        """Light that falls on things, `H×W`; daylight and lamps.

        Args:
            time: in frames.
            view: the map from stage pixels to the view.
            size: width and height of the view in pixels.
        """
        return self.ambient.at(time) + _pools(self.lamps, view, size)

    def veil(self, time: float, view: Affine, size: tuple[int, int]) -> Field | None:
        """Light that reaches the lens past things, `H×W`, or `None` where there is no glare."""
        if not self.glares:
            return None
        return _pools(self.glares, view, size) * np.float32(self.flicker.at(time))

    def clearness(self, depth: Field) -> Field | None:
        """The share of light that passes the fog over a distance in metres, or `None` without fog."""
        return np.asarray(cv2.exp(depth * np.float32(-self.fog)), np.float32) if self.fog else None

    def reaching(self, reflectance: Linear, time: float, view: Affine, depth: Field | None) -> Linear:
        """The light that reaches the lens.

        Args:
            reflectance: of what is seen, linear, `H×W×3` or `H×W`.
            time: in frames.
            view: the map from stage pixels to the view.
            depth: distances `H×W` in metres; needed where there is fog.

        Returns:
            Linear light of the shape of `reflectance`.
        """
        size = (reflectance.shape[1], reflectance.shape[0])
        coloured = reflectance.ndim == 3
        falling = self.falling(time, view, size)
        lit = np.asarray(cv2.multiply(reflectance, _spread(falling, self.tint) if coloured else falling), np.float32)
        if self.fog and depth is not None:
            clear = np.asarray(self.clearness(depth), np.float32)
            glow = np.float32(self.mist * self.ambient.at(time))
            lit = lit * (clear[..., None] if coloured else clear)
            lit += ((1 - clear) * glow)[..., None] if coloured else (1 - clear) * glow
        veil = self.veil(time, view, size)
        if veil is not None:
            lit = np.asarray(cv2.add(lit, _spread(veil, (1.0, 0.97, 0.88)) if coloured else veil), np.float32)
        return np.asarray(lit, np.float32)

    def developed(self, light: Linear, noise: Linear) -> Image:
        """The picture that a camera takes: noise of light and of reading, saturation, a gamma of 2.

        Args:
            light: linear, `H×W×3`.
            noise: standard normal numbers of the same shape.
        """
        variance = light * np.float32(self.shot_noise)
        variance += np.float32(self.read_noise**2)
        noisy = cv2.multiply(cv2.sqrt(variance), noise)
        noisy = cv2.sqrt(np.clip(cv2.add(light, noisy), 0, 1))
        return np.asarray(cv2.convertScaleAbs(noisy, alpha=255), np.uint8)


def _spread(values: Field, tint: tuple[float, float, float]) -> Linear:
    """One channel as three."""
    return np.asarray(cv2.merge([values * np.float32(factor) for factor in tint]), np.float32)


def _pools(lamps: tuple[Lamp, ...], view: Affine, size: tuple[int, int]) -> Field:
    """The sum of the lamps' light over the view, `H×W`."""
    width, height = size
    if not lamps:
        return np.zeros((height, width), np.float32)
    columns, rows = max(2, width // COARSE), max(2, height // COARSE)
    x = (np.arange(columns, dtype=np.float32) + 0.5) * (width / columns)
    y = ((np.arange(rows, dtype=np.float32) + 0.5) * (height / rows))[:, None]
    zoom = math.sqrt(abs(float(np.linalg.det(view[:, :2]))))
    total = np.zeros((rows, columns), np.float32)
    for lamp in lamps:
        middle = view[:, :2] @ (lamp.x, lamp.y) + view[:, 2]
        reach = lamp.reach * zoom
        total += lamp.power * np.exp(-((x - middle[0]) ** 2 + (y - middle[1]) ** 2) / (2 * reach * reach))
    return np.asarray(cv2.resize(total, size, interpolation=cv2.INTER_LINEAR), np.float32)
