"""What is behind all things: sky, woods and houses, a wall, and the ground with its perspective."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from tectum.geometry import Image
from tectum.world.affine import Affine, scaled
from tectum.world.camera import Camera
from tectum.world.materials import COLOURS, MATERIALS, Finish
from tectum.world.sprites import Mask
from tectum.world.surfaces import Plane, Weather, albedo, luminance
from tectum.world.textures import Field, noise

TILE = 512
"""Pixels along a side of the piece of ground that repeats."""

GROUNDS: dict[str, tuple[tuple[str, str, str, str], ...]] = {
    "street": (
        ("grey", "black", "plain", "stone"),
        ("grey", "brown", "checked", "stone"),
        ("grey", "white", "plain", "stone"),
    ),
    "field": (
        ("green", "brown", "mottled", "soil"),
        ("brown", "green", "mottled", "soil"),
        ("yellow", "green", "mottled", "soil"),
    ),
    "room": (
        ("brown", "black", "striped", "wood"),
        ("grey", "white", "checked", "stone"),
        ("blue", "grey", "plain", "cloth"),
    ),
    "air": (
        ("grey", "black", "plain", "stone"),
        ("green", "brown", "mottled", "soil"),
        ("blue", "green", "mottled", "stone"),
        ("brown", "grey", "mottled", "soil"),
    ),
}
"""Colour, second colour, pattern and material of the ground in each place."""


@dataclass(frozen=True)
class Layers:
    """The painted backdrop, in stage pixels moved by its margin.

    Attributes:
        far: planes of what stands behind the ground.
        ground: planes of the ground; what lies above its edge is never shown.
        edge: the stage row where the ground ends and the far begins; below zero if the ground fills the view.
        inverse: inverse distance of the far in 1/m.
        margin: stage pixels beyond the view on each side.
    """

    far: dict[Plane, npt.NDArray[Any]]
    ground: dict[Plane, npt.NDArray[Any]]
    edge: float
    inverse: float
    margin: int

    def shown(self, plane: Plane, camera: Camera, time: float, scale: float) -> npt.NDArray[Any]:
        """One plane as the camera sees it.

        Args:
            plane: which.
            camera: from where.
            time: in frames.
            scale: pixels of the result in a pixel of the view.
        """
        size = (round(camera.size[0] * scale), round(camera.size[1] * scale))
        view = scaled(camera.view(time, self.inverse), scale)
        ends = view[1, :2] @ np.array([[0, camera.size[0]], [self.edge, self.edge]]) + view[1, 2]
        slant = abs(camera.roll.at(time)) * size[0]
        top, bottom = float(ends.min() - slant) - 1, float(ends.max() + slant) + 1
        picture = np.empty((size[1], size[0], *self.far[plane].shape[2:]), self.far[plane].dtype)
        last = min(size[1], max(0, int(np.ceil(bottom))))
        if last > 0:
            picture[:last] = self._warped(self.far[plane], view, (size[0], last), 0)
        first = min(size[1], max(0, int(np.floor(top))))
        if first < size[1]:
            ground = self._warped(
                self.ground[plane], scaled(camera.view_of_ground(time), scale), (size[0], size[1] - first), first
            )
            seen = max(0, last - first)
            picture[first + seen :] = ground[seen:]
            if seen:
                below = self._below_edge(view, (size[0], seen), first)
                np.copyto(
                    picture[first : first + seen], ground[:seen], where=below if picture.ndim == 2 else below[..., None]
                )
        return picture

    def distances(self, camera: Camera, time: float, scale: float) -> Field:
        """Metres to the far or the ground in each pixel, `H×W`."""
        width, height = round(camera.size[0] * scale), round(camera.size[1] * scale)
        start, slope = camera.ground
        view = scaled(camera.view_of_ground(time), scale)
        back = np.linalg.inv(view[:, :2])
        x, y = (np.arange(width, dtype=np.float32) + 0.5), (np.arange(height, dtype=np.float32) + 0.5)
        rows = back[1, 0] * (x - view[0, 2])[None, :] + back[1, 1] * (y - view[1, 2])[:, None]
        return np.asarray(1 / np.maximum(start + slope * rows, self.inverse), np.float32)

    def _warped(self, picture: npt.NDArray[Any], view: Affine, size: tuple[int, int], top: int) -> npt.NDArray[Any]:
        shifted = view.copy()
        shifted[:, 2] += view[:, :2] @ (0.5 - self.margin, 0.5 - self.margin) - 0.5 - (0, top)
        return np.asarray(cv2.warpAffine(picture, shifted, size, borderMode=cv2.BORDER_REFLECT_101))

    def _below_edge(self, view: Affine, size: tuple[int, int], top: int) -> npt.NDArray[np.bool_]:
        back = np.linalg.inv(view[:, :2])
        x, y = np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5 + top
        rows = back[1, 0] * (x - view[0, 2])[None, :] + back[1, 1] * (y - view[1, 2])[:, None]
        return np.asarray(rows >= self.edge)


def painted(
    place: str,
    camera: Camera,
    distance: float,
    ground: Finish,
    wall: Finish,
    weather: Weather,
    seed: int,
    picture: Image | None,
) -> Layers:
    """Paints a backdrop.

    Args:
        place: `street`, `field`, `room` or `air`.
        camera: from where it is seen.
        distance: of the far in metres.
        ground: what covers the ground.
        wall: what covers the wall of a room.
        weather: what temperatures depend on.
        seed: of random details.
        picture: a real picture `H×W×3` to take instead.
    """
    rng = np.random.default_rng(seed)
    margin = camera.margin + 16
    width, height = camera.size[0] + 2 * margin, camera.size[1] + 2 * margin
    inverse = 1 / distance
    edge = camera.row_of_ground(inverse) if camera.horizon is not None else -2.0 * margin - 1
    if picture is not None:
        whole = _filling(rng, picture, width, height)
        heat = weather.air + 6 * noise(rng, width, height, 5, 5) - 3 + 4 * (luminance(whole) - 0.3)
        both = _planes(whole, np.asarray(heat, np.float32))
        return Layers(both, both, edge, inverse, margin)
    far_colour, far_heat = _far(rng, place, wall, weather, (width, height), edge + margin)
    ground_colour, ground_heat = _ground(rng, camera, ground, weather, (width, height), margin)
    return Layers(_planes(far_colour, far_heat), _planes(ground_colour, ground_heat), edge, inverse, margin)


def _filling(rng: np.random.Generator, picture: Image, width: int, height: int) -> Image:
    """A random part of a picture, as large as fits, in a size."""
    rows, columns = picture.shape[:2]
    factor = max(width / columns, height / rows)
    size = (max(width, round(columns * factor)), max(height, round(rows * factor)))
    whole = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR)
    x, y = int(rng.integers(size[0] - width + 1)), int(rng.integers(size[1] - height + 1))
    return np.ascontiguousarray(whole[y : y + height, x : x + width], np.uint8)


def _planes(colour: Image, heat: Field) -> dict[Plane, npt.NDArray[Any]]:
    return {Plane.COLOUR: colour, Plane.GREY: luminance(colour), Plane.HEAT: heat}


def _far(
    rng: np.random.Generator, place: str, wall: Finish, weather: Weather, size: tuple[int, int], edge: float
) -> tuple[Image, Field]:
    width, height = size
    if place == "room":
        colours = albedo(rng, wall, width, height) * (0.75 + 0.35 * noise(rng, width, height, 2, 2))[..., None]
        heat = weather.air + 2 * noise(rng, width, height, 4, 3)
        return np.asarray(np.clip(colours, 4, 250).astype(np.uint8)), np.asarray(heat, np.float32)
    colours, heat = _sky(rng, weather, size, edge)
    for reach, colour in ((0.22, (96, 112, 104)), (0.1, (58, 78, 50))):
        mask = _skyline(rng, size, edge, reach * rng.uniform(0.5, 1.2) * height)
        leafy = np.array(colour) * rng.uniform(0.7, 1.3) * (0.55 + 0.9 * noise(rng, width, height, 24, 4))[..., None]
        shown = (mask * np.float32(1 / 255))[..., None]
        colours = colours + shown * (leafy - colours)
        heat = heat + shown[..., 0] * (weather.air + 3 * noise(rng, width, height, 16, 3) - 1.5 - heat)
    return np.asarray(np.clip(colours, 4, 250).astype(np.uint8)), np.asarray(heat, np.float32)


def _sky(rng: np.random.Generator, weather: Weather, size: tuple[int, int], edge: float) -> tuple[Field, Field]:
    """Blue to white downwards, with clouds; cold above, as warm as the air at the horizon."""
    width, height = size
    rise = np.clip(np.linspace(1, 1 - height / max(edge, 1.0), height, dtype=np.float32), 0, 1)[:, None]
    clouds = np.clip(rng.uniform(1, 4) * (noise(rng, width, height, 3, 5) - rng.uniform(0.2, 0.8)), 0, 1)
    blue, white = np.array([118, 158, 212], np.float32), np.array([228, 232, 236], np.float32)
    cover = np.clip(1 - 0.9 * rise + clouds, 0, 1)[..., None]
    heat = weather.air - 9 * rise * (1 - 0.6 * clouds)
    return np.asarray(blue + cover * (white - blue), np.float32), np.asarray(heat, np.float32)


def _skyline(rng: np.random.Generator, size: tuple[int, int], edge: float, reach: float) -> Mask:
    """The shape of hills or woods along the edge of the ground, 0 or 255."""
    width, height = size
    line = noise(rng, width, 2, int(rng.integers(3, 12)), 5)[0]
    tops = edge - reach * line
    return np.asarray((np.arange(height)[:, None] > tops[None, :]) * np.uint8(255), np.uint8)


def _ground(
    rng: np.random.Generator, camera: Camera, finish: Finish, weather: Weather, size: tuple[int, int], margin: int
) -> tuple[Image, Field]:
    """The ground in perspective: a repeating piece seen at each row's distance, its detail lost far away."""
    width, height = size
    start, slope = camera.ground
    y = np.arange(height, dtype=np.float32) + 0.5 - margin
    x = np.arange(width, dtype=np.float32) + 0.5 - margin - camera.size[0] / 2
    distance = 1 / np.maximum(start + slope * y, 1 / 400)
    # The piece is as wide as the view at its lower border, so that its detail is that of the picture.
    metres = 1.2 * camera.size[0] / camera.focal / (start + slope * camera.size[1])
    density = TILE / metres
    u = x[None, :] * (distance / camera.focal * density)[:, None] + rng.uniform(0, TILE)
    along = distance if slope else y / camera.focal / start
    v = np.broadcast_to((along * density + rng.uniform(0, TILE))[:, None], u.shape)
    place = (np.ascontiguousarray(u, np.float32), np.ascontiguousarray(v, np.float32))
    step = distance * distance * slope if slope else distance / camera.focal
    detail = (1 / (1 + (step * density / 5) ** 2)).astype(np.float32)[:, None]
    tile, warm = _piece(rng, finish)
    # Planks and stripes go on where the piece ends; all else is mirrored, so that no seam shows.
    border = cv2.BORDER_WRAP if finish.texture == "striped" else cv2.BORDER_REFLECT_101
    seen = cv2.remap(tile, *place, cv2.INTER_LINEAR, borderMode=border)
    middle = tile.reshape(-1, 3).mean(axis=0)
    colours = middle + detail[..., None] * (seen - middle)
    colours *= (0.7 + 0.45 * noise(rng, width, height, 3, 3))[..., None]
    colours *= (1 + 0.16 * MATERIALS[finish.material].rough * rng.standard_normal((height, width), np.float32))[
        ..., None
    ]
    material = MATERIALS[finish.material]
    uneven = cv2.remap(warm, *place, cv2.INTER_LINEAR, borderMode=border) - 0.5
    base = material.temperature(weather.air, weather.sun) + finish.warmth
    heat = base + 2 * material.spread * detail * uneven + 2 * (noise(rng, width, height, 3, 2) - 0.5)
    return np.asarray(np.clip(colours, 4, 250).astype(np.uint8)), np.asarray(heat, np.float32)


def _piece(rng: np.random.Generator, finish: Finish) -> tuple[Field, Field]:
    """A square of ground `TILE×TILE` in colour, and its unevenness in warmth: a pale pattern, grain, maybe lines."""
    pale = np.array(COLOURS["grey"], np.float32)
    strong = albedo(rng, finish, TILE, TILE)
    tile = strong + (0.35 if finish.material == "stone" else 0.2) * (pale - strong)
    grain = noise(rng, TILE, TILE, 90, 1) + noise(rng, TILE, TILE, 24, 3)
    tile *= (0.62 + float(rng.uniform(0.2, 0.45)) * grain)[..., None]
    for _ in range(int(rng.integers(0, 3)) if finish.material == "stone" else 0):
        left, wide, paint = int(rng.integers(TILE)), int(rng.integers(5, 12)), float(rng.uniform(170, 225))
        dashed = slice(None, int(rng.integers(TILE // 3, TILE))) if rng.random() < 0.5 else slice(None)
        tile[dashed, left : left + wide] = paint
    return np.asarray(tile, np.float32), np.asarray(0.6 * noise(rng, TILE, TILE, 6, 5) + 0.2 * grain, np.float32)


def named_ground(rng: np.random.Generator, place: str) -> Finish:
    """What covers the ground of a place, by chance."""
    choices = GROUNDS[place]
    colour, accent, texture, material = choices[int(rng.integers(len(choices)))]
    return Finish(
        colour, accent, texture, material, float(rng.normal(0, 1)), float(rng.uniform(0, 0.5)), int(rng.integers(2**31))
    )
