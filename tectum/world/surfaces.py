"""How the finish of a part becomes pixels for each sense."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from tectum.geometry import Image
from tectum.world.affine import Affine
from tectum.world.materials import COLOURS, MATERIALS, Finish
from tectum.world.outlines import Part
from tectum.world.textures import Field, checks, noise, spots, stripes

DENSITY = 160
"""Texture pixels in the height of a thing."""

LARGEST = 176
"""Most texture pixels along a side of a part."""


class Plane(StrEnum):
    """What is known of every pixel before a sensor sees it.

    `COLOUR` is the reflectance `H×W×3`, 8 bit, as the square root of linear light (a display gamma of 2); `GREY` is
    the linear luminance of the same `H×W` in [0, 1]; `HEAT` the temperature `H×W` in degrees Celsius.
    """

    COLOUR = "colour"
    GREY = "grey"
    HEAT = "heat"


Planes = Mapping[Plane, npt.NDArray[Any]]
"""Arrays of one size by plane."""

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Weights of red, green and blue in luminance (ITU-R BT.601)."""


@dataclass(frozen=True)
class Texture:
    """The pixels of one part.

    Attributes:
        levels: planes in full, half and quarter resolution.
        scale: texture pixels in a unit of the outline.
        corner: left and top of the texture in units of the outline.
    """

    levels: tuple[Planes, ...]
    scale: float
    corner: tuple[float, float]

    def level_for(self, magnification: float) -> int:
        """Which resolution to use where a texture pixel becomes so many pixels of the view."""
        return 0 if magnification > 0.6 else 1 if magnification > 0.3 else 2

    def to_unit(self, level: int) -> Affine:
        """The map from texture pixels of a level to units of the outline."""
        planes = next(iter(self.levels[level].values()))
        full = next(iter(self.levels[0].values()))
        across, down = full.shape[1] / planes.shape[1] / self.scale, full.shape[0] / planes.shape[0] / self.scale
        return np.array([[across, 0, self.corner[0]], [0, down, self.corner[1]]])


@dataclass(frozen=True)
class Weather:
    """What sets temperatures.

    Attributes:
        air: degrees Celsius.
        sun: strength of daylight on surfaces in the last hours, 0 to 1.
    """

    air: float = 18.0
    sun: float = 0.5


def coated(part: Part, finish: Finish, weather: Weather, picture: Image | None = None) -> Texture:
    """Paints a part.

    Args:
        part: its outline, which gives it rounded shading.
        finish: what covers it.
        weather: what its temperature depends on.
        picture: a real picture `H×W×3` whose brightness varies the colour.
    """
    points = np.array(part.points)
    low, size = points.min(axis=0), np.ptp(points, axis=0)
    scale = min(DENSITY, LARGEST / float(size.max()))
    width, height = (max(4, round(float(side) * scale)) for side in size)
    rng = np.random.default_rng(finish.seed)
    inner = np.zeros((height, width), np.uint8)
    cv2.fillPoly(inner, [np.round((points - low) * scale).astype(np.int32)], 255)
    depth = cv2.distanceTransform(cv2.copyMakeBorder(inner, 1, 1, 1, 1, cv2.BORDER_CONSTANT), cv2.DIST_L2, 3)
    roundness = np.sqrt(depth[1:-1, 1:-1] / max(float(depth.max()), 1.0)).astype(np.float32)
    colour = shaded(rng, albedo(rng, finish, width, height, picture), roundness, MATERIALS[finish.material].gloss)
    full: dict[Plane, npt.NDArray[Any]] = {
        Plane.COLOUR: colour,
        Plane.GREY: luminance(colour),
        Plane.HEAT: temperatures(rng, finish, weather, roundness),
    }
    return Texture(_levels(full), scale, (float(low[0]), float(low[1])))


def albedo(rng: np.random.Generator, finish: Finish, width: int, height: int, picture: Image | None = None) -> Field:
    """The colours of a finish without shading, `height×width×3` in 0 to 255."""
    tint = rng.normal(0, 7, 3)
    ground, accent = faded(finish.colour, finish.fade) + tint, faded(finish.accent, finish.fade)
    amount = amount_of_accent(rng, finish.texture, width, height)[..., None]
    rough = MATERIALS[finish.material].rough
    grain = 1 + rough * (noise(rng, width, height, int(rng.integers(6, 16)), 4)[..., None] - 0.5)
    if rough > 0.5:
        grain = grain * (1 + 0.5 * rough * (noise(rng, width, height, max(8, width // 3), 1)[..., None] - 0.5))
    if picture is not None:
        grain = grain * brightness_of_patch(rng, picture, width, height)[..., None]
    return np.asarray((ground + amount * (accent - ground)) * grain, np.float32)


def faded(name: str, fade: float) -> Field:
    """A named colour, paler towards its own grey by a share; RGB in 0 to 255."""
    colour = np.array(COLOURS[name], np.float32)
    return np.asarray(colour + fade * (colour @ LUMA - colour), np.float32)


def amount_of_accent(rng: np.random.Generator, texture: str, width: int, height: int) -> Field:
    """Where a pattern shows its second colour, `height×width` in [0, 1]."""
    if texture == "striped":
        return stripes(rng, width, height)
    if texture == "checked":
        return np.asarray((checks(rng, width, height) > 0.5), np.float32)
    if texture == "spotted":
        return spots(rng, width, height)
    if texture == "mottled":
        return np.asarray(np.clip(2.4 * noise(rng, width, height, 5, 6) - 0.7, 0, 1), np.float32)
    return np.zeros((height, width), np.float32)


def brightness_of_patch(rng: np.random.Generator, picture: Image, width: int, height: int) -> Field:
    """The brightness of a random window of a picture over its mean, `height×width`."""
    rows, columns = picture.shape[:2]
    side = int(rng.integers(min(24, rows, columns), min(rows, columns) + 1))
    x, y = int(rng.integers(0, columns - side + 1)), int(rng.integers(0, rows - side + 1))
    patch = cv2.resize(picture[y : y + side, x : x + side], (width, height), interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return np.asarray(np.clip(grey / max(float(grey.mean()), 1.0), 0.3, 1.8), np.float32)


def shaded(rng: np.random.Generator, colours: Field, roundness: Field, gloss: float) -> Image:
    """Colours under light from above: darker towards the border and below, with a highlight on glossy things."""
    height = len(roundness)
    fall = np.linspace(1.1, 0.8, height, dtype=np.float32)[:, None]
    lit = colours * ((0.62 + 0.4 * roundness) * fall)[..., None]
    if gloss:
        row = rng.uniform(0.1, 0.4)
        band = np.exp(-(((np.linspace(0, 1, height, dtype=np.float32) - row) / 0.12) ** 2))[:, None]
        lit += (90 * gloss * band * roundness)[..., None]
    return np.asarray(np.clip(lit, 4, 250).astype(np.uint8))


def luminance(colour: Image) -> Field:
    """Linear luminance `H×W` in [0, 1] of colours `H×W×3` with a gamma of 2."""
    linear = np.square(colour.astype(np.float32) / 255)
    return np.asarray(cv2.transform(linear, LUMA[None]), np.float32)


def temperatures(rng: np.random.Generator, finish: Finish, weather: Weather, roundness: Field) -> Field:
    """Degrees Celsius over a part: its material's, uneven, a little cooler at the border."""
    material = MATERIALS[finish.material]
    middle = material.temperature(weather.air, weather.sun) + finish.warmth
    height, width = roundness.shape
    uneven = material.spread * (2 * noise(rng, width, height, 3, 3) - 1)
    cooled = 0.15 * (middle - weather.air) * (1 - roundness)
    return np.asarray(middle + uneven - cooled, np.float32)


def _levels(full: Planes) -> tuple[Planes, ...]:
    levels = [full]
    for _ in range(2):
        shape = next(iter(levels[-1].values())).shape
        half = (max(2, shape[1] // 2), max(2, shape[0] // 2))
        levels.append({name: cv2.resize(each, half, interpolation=cv2.INTER_AREA) for name, each in levels[-1].items()})
    return tuple(levels)
