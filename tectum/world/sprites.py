"""Flat things with an outline, a surface and a temperature, of which training pairs are composed."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from tectum.geometry import Image
from tectum.world.textures import Field, noise, paint, pattern

Mask = npt.NDArray[np.uint8]
"""Coverage `H×W`, 0 to 255."""

SIDE = 96
"""Pixels along the longer side of a procedural sprite."""


@dataclass(frozen=True)
class Sprite:
    """A flat thing.

    Attributes:
        image: its surface `H×W×3`, 8 bit.
        heat: its temperature `H×W` in [0, 1].
        alpha: its coverage `H×W`, 0 to 255; it touches all four sides.
        hull: corners `N×2` of its convex hull, in pixels, from which boxes are exact.
    """

    image: Image
    heat: Field
    alpha: Mask
    hull: npt.NDArray[np.float64]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.alpha.shape[1], self.alpha.shape[0]


def sprite(image: Image, heat: Field, alpha: Mask) -> Sprite | None:
    """Cuts a sprite to its tight outline; `None` where the mask is empty."""
    contours, _ = cv2.findContours((alpha > 127).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    if not contours:
        return None
    outline = np.concatenate(contours)
    x, y, w, h = cv2.boundingRect(outline)
    window = (slice(y, y + h), slice(x, x + w))
    hull = cv2.convexHull(outline).reshape(-1, 2).astype(np.float64) - (x, y)
    # A pixel is a square: its four corners, not its index, bound the box.
    corners = np.concatenate([hull + step for step in ((0, 0), (1, 0), (0, 1), (1, 1))])
    return Sprite(image[window], heat[window], alpha[window], corners)


def silhouette(rng: np.random.Generator, side: int = SIDE) -> Mask:
    """A random outline: an ellipse, a lobed blob, a polygon, a box, a walker or a vehicle; `side×side`."""
    mask = np.zeros((side, side), np.uint8)
    draw = (_ellipse, _blob, _polygon, _rectangle, _walker, _vehicle)[int(rng.integers(6))]
    draw(rng, mask)
    return np.asarray(cv2.GaussianBlur(mask, (3, 3), 0), np.uint8)


def _ellipse(rng: np.random.Generator, mask: Mask) -> None:
    half = len(mask) // 2
    axes = (int(half * rng.uniform(0.3, 0.95)), int(half * rng.uniform(0.3, 0.95)))
    cv2.ellipse(mask, (half, half), axes, rng.uniform(0, 180), 0, 360, 255, -1, cv2.LINE_AA)


def _blob(rng: np.random.Generator, mask: Mask) -> None:
    half = len(mask) / 2
    angle = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    radius = np.full_like(angle, 1.0)
    for order in range(1, 6):
        radius += rng.uniform(-0.4, 0.4) / order * np.cos(order * angle + rng.uniform(0, 2 * np.pi))
    radius *= 0.95 / radius.max()
    stretch = rng.uniform(0.4, 1.0, 2)
    points = half + half * np.clip(radius, 0.2, 1)[:, None] * stretch * np.stack([np.cos(angle), np.sin(angle)], 1)
    cv2.fillPoly(mask, [points.astype(np.int32)], 255, cv2.LINE_AA)


def _polygon(rng: np.random.Generator, mask: Mask) -> None:
    half, count = len(mask) / 2, int(rng.integers(3, 9))
    angle = np.sort(rng.uniform(0, 2 * np.pi, count))
    radius = rng.uniform(0.4, 0.97, (count, 1))
    points = half + half * radius * np.stack([np.cos(angle), np.sin(angle)], 1)
    cv2.fillPoly(mask, [points.astype(np.int32)], 255, cv2.LINE_AA)


def _rectangle(rng: np.random.Generator, mask: Mask) -> None:
    side = len(mask)
    w, h = int(side * rng.uniform(0.3, 0.95)), int(side * rng.uniform(0.3, 0.95))
    x, y = (side - w) // 2, (side - h) // 2
    cv2.rectangle(mask, (x, y), (x + w, y + h), 255, -1)


def _walker(rng: np.random.Generator, mask: Mask) -> None:
    """A head, a trunk, two arms and two legs, each limb at its own angle."""
    side = len(mask)
    hip, neck = np.array([side / 2, side * 0.55]), np.array([side / 2, side * 0.22])
    thick = max(3, int(side * rng.uniform(0.06, 0.12)))
    cv2.circle(mask, (side // 2, int(side * 0.12)), int(side * rng.uniform(0.07, 0.1)), 255, -1, cv2.LINE_AA)
    cv2.line(mask, _point(neck), _point(hip), 255, int(thick * 2.2))
    for start, length in ((neck, 0.3), (neck, 0.3), (hip, 0.42), (hip, 0.42)):
        swing = rng.uniform(-0.7, 0.7)
        end = start + side * length * np.array([np.sin(swing), np.cos(swing)])
        cv2.line(mask, _point(start), _point(end), 255, thick)


def _vehicle(rng: np.random.Generator, mask: Mask) -> None:
    """A body with a cabin on it and two wheels below."""
    side = len(mask)
    floor, belt, roof = side * 0.7, side * rng.uniform(0.42, 0.52), side * rng.uniform(0.25, 0.38)
    cv2.rectangle(mask, _point((side * 0.04, belt)), _point((side * 0.96, floor)), 255, -1)
    left, right = side * rng.uniform(0.1, 0.35), side * rng.uniform(0.65, 0.9)
    cabin = [(left, roof), (right, roof), (right + side * 0.08, belt), (left - side * 0.08, belt)]
    cv2.fillPoly(mask, [np.array(cabin, np.int32)], 255, cv2.LINE_AA)
    for wheel in (0.22, 0.78):
        cv2.circle(mask, _point((side * wheel, floor)), int(side * 0.1), 255, -1, cv2.LINE_AA)


def _point(place: npt.NDArray[np.float64] | tuple[float, float]) -> tuple[int, int]:
    return int(place[0]), int(place[1])


def made_sprite(rng: np.random.Generator, surface: Image | None = None) -> Sprite:
    """A sprite of random outline and temperature.

    Args:
        rng: source of randomness.
        surface: a real picture `H×W×3` to cut its surface from; a procedural texture where there is none.
    """
    alpha = silhouette(rng)
    image = patch(rng, surface, SIDE) if surface is not None else paint(rng, pattern(rng, SIDE, SIDE))
    warmth = rng.uniform(0.1, 0.9)
    heat = np.clip(warmth + rng.uniform(0, 0.4) * (noise(rng, SIDE, SIDE, 3, 3) - 0.5), 0, 1).astype(np.float32)
    made = sprite(image, heat, alpha)
    return made if made is not None else made_sprite(rng, surface)


def patch(rng: np.random.Generator, picture: Image, side: int) -> Image:
    """A random square of a picture, resized to `side×side`."""
    height, width = picture.shape[:2]
    extent = int(rng.integers(min(24, width, height), min(width, height) // 2 + 1))
    x, y = int(rng.integers(0, width - extent + 1)), int(rng.integers(0, height - extent + 1))
    return np.asarray(cv2.resize(picture[y : y + extent, x : x + extent], (side, side)), np.uint8)


def bent(rng: np.random.Generator, thing: Sprite, strength: float = 0.12) -> Sprite:
    """The same thing seen from another side: a random mild perspective of surface, heat and outline."""
    width, height = thing.size
    square = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    moved = square + rng.uniform(-strength, strength, (4, 2)) * (width, height)
    moved -= moved.min(axis=0)
    extent = np.ceil(moved.max(axis=0)).astype(int)
    matrix = cv2.getPerspectiveTransform(square, moved.astype(np.float32))
    size = (max(4, int(extent[0])), max(4, int(extent[1])))
    image, heat, alpha = (cv2.warpPerspective(each, matrix, size) for each in (thing.image, thing.heat, thing.alpha))
    made = sprite(np.asarray(image, np.uint8), np.asarray(heat, np.float32), np.asarray(alpha, np.uint8))
    return made if made is not None else thing
