"""The stock that pairs are composed from: plates to stand before, things to follow and to be misled by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tectum.geometry import Image
from tectum.world.sprites import Sprite, bent, made_sprite, patch
from tectum.world.textures import Field, noise, paint, pattern

Gray = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

DIRECTIONS = 48
"""In how many directions the outline of a thing is known; a box is then exact to half a percent."""

MARGIN = 2
"""Pixels around a thing in its tile, so that its cover ends inside."""

VIEWS = 2
"""Looks of each thing: one for the template, one for the search, of other pose or perspective."""


@dataclass(frozen=True)
class Picture:
    """A real picture, with the thermal picture of the same view where there is one."""

    rgb: Image
    thermal: Gray | None = None


@dataclass(frozen=True)
class Stock:
    """Tensors of 8 bit on one device.

    Attributes:
        plates: `P×5×h×w`: red, green, blue, heat, nearness.
        things: `K×2×5×s×s`: red, green, blue, heat, cover, in two views each.
        hulls: `K×2×N×2` points of each thing's outline in its tile, from -1 to 1; kept on the CPU.
        lively: `P×G×G`, how much each part of a plate stands out, in [0, 1]; kept on the CPU.
    """

    plates: Tensor
    things: Tensor
    hulls: Floats
    lively: Floats

    def to(self, device: str | torch.device) -> Stock:
        """The same on another device."""
        return Stock(self.plates.to(device), self.things.to(device), self.hulls, self.lively)


def build_stock(
    seed: int,
    pictures: Sequence[Picture] = (),
    cutouts: Sequence[tuple[Sprite, Sprite]] = (),
    plates: int = 256,
    things: int = 1024,
    plate_size: int = 288,
    thing_size: int = 96,
) -> Stock:
    """Makes a stock; the same for the same seed and material.

    Args:
        seed: of all that is made up.
        pictures: real pictures for plates and surfaces; without them all is procedural.
        cutouts: real things, each as two sprites of different moments.
        plates: how many backgrounds.
        things: how many things, of which at most a third are cutouts.
        plate_size: side of a plate in pixels.
        thing_size: side of a thing's tile in pixels.
    """
    rng = np.random.default_rng(seed)
    grounds = [_plate(rng, pictures, plate_size) for _ in range(plates)]
    pairs = [_thing(rng, pictures, cutouts) for _ in range(things)]
    tiles = [_tile(view, thing_size) for pair in pairs for view in pair]
    cells = np.stack([image for image, _ in tiles]).reshape(things, VIEWS, 5, thing_size, thing_size)
    hulls = np.stack([hull for _, hull in tiles]).reshape(things, VIEWS, DIRECTIONS, 2)
    lively = np.stack([_liveliness(ground) for ground in grounds])
    return Stock(torch.from_numpy(np.stack(grounds)), torch.from_numpy(cells), hulls, lively)


def _plate(rng: np.random.Generator, pictures: Sequence[Picture], size: int) -> npt.NDArray[np.uint8]:
    """A background in five channels."""
    if pictures and rng.random() < 0.85:
        rgb, thermal = _window(rng, pictures[int(rng.integers(len(pictures)))], size)
    else:
        rgb, thermal = paint(rng, pattern(rng, size, size)), None
    grey = np.asarray(cv2.blur(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), (7, 7)), np.float32) / np.float32(255)
    heat = thermal if thermal is not None else _bytes(_bent_tones(rng, grey))
    # Floors recede: what is higher in the picture is farther.
    ramp = np.linspace(rng.uniform(0, 0.3), rng.uniform(0.3, 0.7), size, dtype=np.float32)[:, None]
    near = 0.7 * ramp + 0.15 * grey * rng.uniform(-1, 1) + 0.15 * noise(rng, size, size, 3, 3)
    return np.stack([*np.moveaxis(rgb, -1, 0), heat, _bytes(near)])


def _window(rng: np.random.Generator, picture: Picture, size: int) -> tuple[Image, Gray | None]:
    """A square part of a picture, resized; the thermal part is the same one."""
    height, width = picture.rgb.shape[:2]
    side = int(rng.uniform(0.5, 1.0) * min(height, width))
    x, y = int(rng.integers(0, width - side + 1)), int(rng.integers(0, height - side + 1))
    part = (slice(y, y + side), slice(x, x + side))
    way = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    rgb = np.asarray(cv2.resize(picture.rgb[part], (size, size), interpolation=way), np.uint8)
    if picture.thermal is None:
        return rgb, None
    return rgb, np.asarray(cv2.resize(picture.thermal[part], (size, size), interpolation=way), np.uint8)


def _bent_tones(rng: np.random.Generator, grey: Field) -> Field:
    """Temperatures imagined from brightness, by a tone curve that need not rise."""
    levels = np.interp(np.arange(256), np.linspace(0, 255, 5), rng.random(5)).astype(np.float32)
    return np.asarray(levels[(grey * 255).astype(np.uint8)], np.float32)


def _thing(
    rng: np.random.Generator, pictures: Sequence[Picture], cutouts: Sequence[tuple[Sprite, Sprite]]
) -> tuple[Sprite, Sprite]:
    if cutouts and rng.random() < 1 / 3:
        return cutouts[int(rng.integers(len(cutouts)))]
    surface = None
    if pictures and rng.random() < 0.7:
        surface = patch(rng, pictures[int(rng.integers(len(pictures)))].rgb, 128)
    thing = made_sprite(rng, surface)
    return thing, bent(rng, thing) if rng.random() < 0.7 else thing


def _tile(thing: Sprite, size: int) -> tuple[npt.NDArray[np.uint8], Floats]:
    """A sprite in the middle of a square tile, with the support points of its outline."""
    width, height = thing.size
    scale = (size - 2 * MARGIN) / max(width, height)
    w, h = max(1, round(width * scale)), max(1, round(height * scale))
    x, y = (size - w) // 2, (size - h) // 2
    tile = np.zeros((5, size, size), np.uint8)
    inner = [cv2.resize(each, (w, h), interpolation=cv2.INTER_AREA) for each in (thing.image, thing.heat, thing.alpha)]
    around = (y, size - h - y, x, size - w - x)
    # Colours go on beyond the outline, so that its edge is not darkened.
    colours = cv2.copyMakeBorder(inner[0], *around, cv2.BORDER_REPLICATE)
    tile[:3] = np.moveaxis(np.asarray(colours), -1, 0)
    tile[3] = cv2.copyMakeBorder(_bytes(np.asarray(inner[1], np.float32)), *around, cv2.BORDER_REPLICATE)
    tile[4, y : y + h, x : x + w] = inner[2]
    angle = np.linspace(0, 2 * np.pi, DIRECTIONS, endpoint=False)
    reach = thing.hull @ np.stack([np.cos(angle), np.sin(angle)])
    support = thing.hull[reach.argmax(axis=0)] * (w / width, h / height) + (x, y)
    return tile, (support * 2 / size - 1).astype(np.float32)


def _liveliness(plate: npt.NDArray[np.uint8], cells: int = 12) -> Floats:
    """How much brightness varies in each cell of a plate, relative to the liveliest."""
    grey = plate[:3].mean(axis=0, dtype=np.float32)
    deviation = np.sqrt(np.maximum(cv2.blur(grey * grey, (25, 25)) - cv2.blur(grey, (25, 25)) ** 2, 0))
    small = np.asarray(cv2.resize(deviation, (cells, cells), interpolation=cv2.INTER_AREA), np.float32)
    return np.asarray(small / max(float(small.max()), 1e-6), np.float32)


def _bytes(values: npt.NDArray[np.floating]) -> npt.NDArray[np.uint8]:
    return np.asarray(np.clip(255 * values, 0, 255).astype(np.uint8))
