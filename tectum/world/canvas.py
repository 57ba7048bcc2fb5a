"""Pictures under construction: planes on which things are laid, from the farthest to the nearest."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from tectum.world.affine import Affine, composed
from tectum.world.outlines import Points
from tectum.world.sprites import Mask
from tectum.world.surfaces import Plane, Texture
from tectum.world.textures import Field

SUBPIXEL = 4
"""Binary digits of a pixel to which polygons are drawn."""


@dataclass
class Canvas:
    """What the senses need to know of each pixel of one moment.

    Attributes:
        planes: the planes that are painted, changed in place.
        depth: distances `H×W` in metres, where they are wanted.
        echo: share of a depth camera's light that comes back, `H×W`, where it is wanted.
        cover: how far the target covers each pixel and is seen, `H×W`, 0 to 255, where it is wanted.
    """

    size: tuple[int, int]
    planes: dict[Plane, npt.NDArray[Any]]
    depth: Field | None = None
    echo: Field | None = None
    cover: Mask | None = None

    def lay(self, points: Points, coat: Coat, is_target: bool) -> None:
        """Lays one polygon.

        Args:
            points: corners `N×2` in pixels of the view.
            coat: what covers it.
            is_target: whether it belongs to the target and is seen, rather than hides it.
        """
        window = self._window(points)
        if window is None:
            return
        left, top, right, bottom = window
        mask = polygon(points - (left, top), right - left, bottom - top)
        here = (slice(top, bottom), slice(left, right))
        if self.planes:
            self._paint(here, (left, top), mask, coat)
        for flat, value in ((self.depth, coat.depth), (self.echo, coat.echo)):
            if flat is not None:
                np.copyto(flat[here], np.float32(value), where=mask > 127)
        if self.cover is not None:
            seen = self.cover[here]
            seen[...] = np.maximum(seen, mask) if is_target else np.minimum(seen, 255 - mask)

    def shade(self, middle: tuple[float, float], across: float, down: float, strength: float) -> None:
        """Darkens the ground below a thing: a soft ellipse by its half axes in pixels, by a share of the light."""
        x, y = middle
        window = self._window(np.array([[x - across, y - down], [x + across, y + down]]))
        if window is None:
            return
        left, top, right, bottom = window
        columns = (np.arange(left, right, dtype=np.float32) + 0.5 - x) / across
        rows = ((np.arange(top, bottom, dtype=np.float32) + 0.5 - y) / down)[:, None]
        kept = 1 - np.float32(strength) * np.clip(1.3 * (1 - columns * columns - rows * rows), 0, 1)
        for plane, factor in ((Plane.COLOUR, np.sqrt(kept)[..., None]), (Plane.GREY, kept)):
            if plane in self.planes:
                here = self.planes[plane][top:bottom, left:right]
                here[...] = (here * factor).astype(here.dtype)

    def _window(self, points: Points) -> tuple[int, int, int, int] | None:
        (x1, y1), (x2, y2) = points.min(axis=0), points.max(axis=0)
        left, top = max(0, math.floor(x1) - 1), max(0, math.floor(y1) - 1)
        right, bottom = min(self.size[0], math.ceil(x2) + 1), min(self.size[1], math.ceil(y2) + 1)
        return (left, top, right, bottom) if right > left and bottom > top else None

    def _paint(self, here: tuple[slice, slice], corner: tuple[int, int], mask: Mask, coat: Coat) -> None:
        size = (mask.shape[1], mask.shape[0])
        alpha = mask * np.float32(1 / 255)
        level = coat.texture.level_for(coat.magnification)
        planes, to_unit = coat.texture.levels[level], coat.texture.to_unit(level)
        affine = composed(coat.to_view, to_unit)
        # Edges of pixels map to edges; OpenCV maps centres, half a pixel away on both sides.
        affine[:, 2] += affine[:, :2] @ (0.5, 0.5) - 0.5 - corner
        for plane, picture in self.planes.items():
            moved = cv2.warpAffine(planes[plane], affine, size, borderMode=cv2.BORDER_REPLICATE)
            weight = alpha * np.float32(coat.opacity.get(plane, 1.0))
            picture[here] = cv2.blendLinear(moved, np.ascontiguousarray(picture[here]), weight, 1 - weight)


@dataclass(frozen=True)
class Coat:
    """What covers a polygon that is laid.

    Attributes:
        texture: its pixels.
        to_view: the map from units of the outline to the view.
        depth: metres from the camera.
        echo: share of a depth camera's light that comes back.
        opacity: how much of what is behind it hides in a plane, 0 to 1; 1 where not named.
    """

    texture: Texture
    to_view: Affine
    depth: float
    echo: float
    opacity: Mapping[Plane, float] = field(default_factory=dict)

    @property
    def magnification(self) -> float:
        """Pixels of the view in a pixel of the texture."""
        return math.sqrt(abs(float(np.linalg.det(self.to_view[:, :2])))) / self.texture.scale


def polygon(points: Points, width: int, height: int) -> Mask:
    """Coverage of a polygon, `height×width`, 0 to 255, with smooth borders; `points` `N×2` count from pixel edges."""
    mask = np.zeros((height, width), np.uint8)
    fixed = np.round((points - 0.5) * 2**SUBPIXEL).astype(np.int32)
    cv2.fillPoly(mask, [fixed], 255, cv2.LINE_AA, SUBPIXEL)
    return mask
