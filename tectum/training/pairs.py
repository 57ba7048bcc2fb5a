"""Training pairs: a template crop and a search crop of one target, rendered or cut from real footage."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from tectum.errors import RecipeError
from tectum.geometry import Box, Crop, Image
from tectum.systems.base import Crops
from tectum.training.footage import Clip, Footage, Still
from tectum.world.sprites import Affine, Mask, Sprite, bent, lay, made_sprite, placed, recoloured, sprite
from tectum.world.textures import Field, noise, paint, pattern

T = TypeVar("T")


@dataclass(frozen=True)
class Mixture:
    """Which pairs are drawn, and how targets move between their crops.

    Attributes:
        clip: share of pairs cut from two frames of a real clip.
        cutout: share in which a real clip's target is laid on other pictures.
        shape: share with a made-up target on a picture.
        region: share in which any region of a still picture is the target.
        absent: share in which the search crop lacks the target.
        wide: share of search crops displaced by up to `reach`, the others by a few tenths.
        reach: largest displacement of the target from the search crop's middle, in target sizes.
        zoom: standard deviation of the logarithm of the target's change of size.
    """

    clip: float = 0.3
    cutout: float = 0.25
    shape: float = 0.25
    region: float = 0.2
    absent: float = 0.05
    wide: float = 0.5
    reach: float = 1.15
    zoom: float = 0.35


@dataclass(frozen=True)
class Shot:
    """One crop with what is known of it.

    Attributes:
        image: `S×S×3`.
        box: the target in crop pixels, `None` where it is absent.
        heat: temperatures `S×S` in [0, 1] where they are known.
        mask: coverage of the target `S×S` where it is known.
    """

    image: Image
    box: Box | None
    heat: Field | None = None
    mask: Mask | None = None


@dataclass(frozen=True)
class Aim:
    """Where the target lies in the crop to be made: its middle and the root of its area, in crop pixels."""

    size: int
    center: tuple[float, float]
    extent: float


class PairMaker:
    """Draws pairs of crops from footage and the world.

    Args:
        footage: real material; where there is none, all is procedural.
        mixture: which pairs.
        crops: the windows of the system that trains.

    Raises:
        RecipeError: if every share is zero, or only shares of footage that is not there are above it.
    """

    def __init__(self, footage: Footage, mixture: Mixture, crops: Crops) -> None:
        self.footage, self.mixture, self.crops = footage, mixture, crops
        self.cutouts = [clip for clip in footage.clips if clip.masks]
        shares: list[tuple[Callable[[np.random.Generator], tuple[Shot, Shot]], float]] = [
            (self._clip, mixture.clip if footage.clips else 0.0),
            (self._cutout, mixture.cutout if self.cutouts else 0.0),
            (self._shape, mixture.shape),
            (self._region, mixture.region if footage.stills else 0.0),
        ]
        if not sum(share for _, share in shares) > 0:
            raise RecipeError("The recipe's mixture leaves no pairs to draw: give a share above zero to `shape`.")
        self.makers = [maker for maker, _ in shares]
        self.shares = np.array([share for _, share in shares]) / sum(share for _, share in shares)

    def pair(self, rng: np.random.Generator) -> tuple[Shot, Shot]:
        """A template shot and a search shot."""
        return self.makers[int(rng.choice(len(self.makers), p=self.shares))](rng)

    def _template_aim(self) -> Aim:
        size = self.crops.template_size
        return Aim(size, (size / 2, size / 2), size / self.crops.template_factor)

    def _search_aim(self, rng: np.random.Generator) -> Aim:
        size, mixture = self.crops.search_size, self.mixture
        nominal = size / self.crops.search_factor
        if rng.random() < mixture.wide:
            offset = rng.uniform(-mixture.reach, mixture.reach, 2)
        else:
            offset = np.clip(rng.normal(0, 0.25, 2), -mixture.reach, mixture.reach)
        extent = nominal * math.exp(float(np.clip(rng.normal(0, mixture.zoom), -0.8, 0.8)))
        center = size / 2 + offset * nominal
        return Aim(size, (float(center[0]), float(center[1])), extent)

    def _clip(self, rng: np.random.Generator) -> tuple[Shot, Shot]:
        clip = _chosen(rng, self.footage.clips)
        first, second = two_frames(rng, clip)
        template = shot_of_frame(clip, first, self._template_aim())
        aim = self._search_aim(rng)
        if rng.random() < self.mixture.absent and len(self.footage.clips) > 1:
            other = _chosen(rng, [each for each in self.footage.clips if each is not clip])
            return template, replace(shot_of_frame(other, int(rng.choice(other.visible)), aim), box=None)
        return template, shot_of_frame(clip, second, aim)

    def _region(self, rng: np.random.Generator) -> tuple[Shot, Shot]:
        still = _chosen(rng, self.footage.stills)
        height, width = still.rgb.shape[:2]
        box = max((_region_of(rng, width, height) for _ in range(4)), key=lambda each: _contrast(still.rgb, each))
        template = shot_of_region(still, box, self._template_aim(), 0.0, (1.0, 1.0))
        stretch = math.exp(rng.normal(0, 0.15))
        turn = float(rng.normal(0, 0.12))
        return template, shot_of_region(still, box, self._search_aim(rng), turn, (stretch, 1 / stretch))

    def _cutout(self, rng: np.random.Generator) -> tuple[Shot, Shot]:
        clip = _chosen(rng, self.cutouts)
        first, second = two_frames(rng, clip)
        warmth = float(rng.random())
        sprites = [cutout(clip, index, warmth) for index in (first, second)]
        if sprites[0] is None or sprites[1] is None:
            return self._shape(rng)
        return self._rendered(rng, sprites[0], sprites[1])

    def _shape(self, rng: np.random.Generator) -> tuple[Shot, Shot]:
        thing = made_sprite(rng, self._surface(rng))
        changed = bent(rng, thing) if rng.random() < 0.7 else thing
        return self._rendered(rng, thing, changed)

    def _surface(self, rng: np.random.Generator) -> Image | None:
        stills, clips = self.footage.stills, self.footage.clips
        if rng.random() < 0.3 or not (stills or clips):
            return None
        if clips and (not stills or rng.random() < 0.4):
            return _chosen(rng, _chosen(rng, clips).frames)
        return _chosen(rng, stills).rgb

    def _plate(self, rng: np.random.Generator) -> Still:
        stills, clips = self.footage.stills, self.footage.clips
        chance = rng.random()
        if stills and chance < 0.6:
            return _chosen(rng, stills)
        if clips and chance < 0.85:
            return Still(_chosen(rng, _chosen(rng, clips).frames))
        return Still(paint(rng, pattern(rng, 256, 192)))

    def _rendered(self, rng: np.random.Generator, first: Sprite, second: Sprite) -> tuple[Shot, Shot]:
        plate, margins = self._plate(rng), rng.uniform(-0.06, 0.15, 4) * (rng.random() < 0.35)
        angle, zoom = float(rng.normal(0, 0.3)), float(rng.uniform(0.25, 1.2))
        aim = self._template_aim()
        template = Stage(plate, aim, zoom, rng)
        if rng.random() < 0.3:
            template.add_others(rng, self._others(rng, first))
        box = template.add_target(first, (1.0, 1.0), angle, margins)
        search = Stage(plate if rng.random() < 0.85 else self._plate(rng), self._search_aim(rng), zoom, rng)
        search.add_others(rng, self._others(rng, second))
        stretch = math.exp(rng.normal(0, 0.15))
        if rng.random() < self.mixture.absent:
            return template.shot(box), search.shot(None)
        turned = angle + float(rng.normal(0, 0.2))
        found = search.add_target(second, (stretch, 1 / stretch), turned, margins)
        if rng.random() < 0.25:
            search.add_occluder(rng, made_sprite(rng, self._surface(rng)), found)
        return template.shot(box), search.shot(found)

    def _others(self, rng: np.random.Generator, target: Sprite) -> list[Sprite]:
        count = int(rng.choice(4, p=(0.3, 0.3, 0.25, 0.15)))
        alike = rng.random() < 0.4
        return [recoloured(rng, target, 0.35) if alike else made_sprite(rng, self._surface(rng)) for _ in range(count)]


class Stage:
    """A picture under construction: a plate, then things laid on it.

    Args:
        plate: the background.
        aim: where the target is to lie.
        zoom: plate pixels in a crop pixel.
        rng: source of the window's place.
    """

    def __init__(self, plate: Still, aim: Aim, zoom: float, rng: np.random.Generator) -> None:
        self.aim = aim
        height, width = plate.rgb.shape[:2]
        scale = 1 / min(zoom, 0.98 * min(width, height) / aim.size)
        x = rng.uniform(0, width * scale - aim.size)
        y = rng.uniform(0, height * scale - aim.size)
        window = np.array([[scale, 0, -x], [0, scale, -y]])
        self.image = _warped(plate.rgb, window, aim.size)
        if plate.thermal is not None:
            self.heat = _temperatures(plate.thermal, window, aim.size)
        else:
            unevenness = 0.3 * noise(rng, aim.size, aim.size, 3, 3)
            self.heat = (rng.uniform(0, 0.7) + unevenness).astype(np.float32)
        self.mask: Mask | None = None

    def add(self, thing: Sprite, affine: Affine) -> Mask | None:
        """Lays a sprite on colours and temperatures; returns its coverage."""
        lay(self.heat, thing.heat, thing.alpha, affine)
        return lay(self.image, thing.image, thing.alpha, affine)

    def add_target(
        self, thing: Sprite, stretch: tuple[float, float], angle: float, margins: npt.NDArray[np.float64]
    ) -> Box:
        """Lays the target where it is aimed at; its box may be annotated loosely, by `margins` of its sides."""
        affine = placed(thing, (0.0, 0.0), stretch, angle)
        box = widened(thing.box(affine), margins)
        factor = self.aim.extent / math.sqrt(box.area)
        affine = affine * factor
        affine[:, 2] += np.array(self.aim.center) - factor * np.array(box.center)
        self.mask = self.add(thing, affine)
        return widened(thing.box(affine), margins)

    def add_others(self, rng: np.random.Generator, things: Sequence[Sprite]) -> None:
        """Lays other things about, of the target's size and not on its middle."""
        for thing in things:
            away = rng.uniform(0.9, 2.0) * self.aim.extent
            direction = rng.uniform(0, 2 * math.pi)
            x = self.aim.center[0] + away * math.cos(direction)
            y = self.aim.center[1] + away * math.sin(direction)
            scale = self.aim.extent * rng.uniform(0.6, 1.4) / math.sqrt(thing.size[0] * thing.size[1])
            self.add(thing, placed(thing, (x, y), (scale, scale), float(rng.normal(0, 0.4))))

    def add_occluder(self, rng: np.random.Generator, thing: Sprite, target: Box) -> None:
        """Lays a thing over a side of the target."""
        cx, cy = target.center
        x = cx + rng.choice((-1, 1)) * rng.uniform(0.3, 0.6) * target.w
        y = cy + rng.choice((-1, 1)) * rng.uniform(0.0, 0.6) * target.h
        scale = self.aim.extent * rng.uniform(0.4, 0.9) / math.sqrt(thing.size[0] * thing.size[1])
        self.add(thing, placed(thing, (float(x), float(y)), (scale, scale), float(rng.normal(0, 0.4))))

    def shot(self, box: Box | None) -> Shot:
        """What has been made."""
        return Shot(self.image, box, self.heat, self.mask)


def two_frames(rng: np.random.Generator, clip: Clip) -> tuple[int, int]:
    """Two frames of a clip that show its target, either order of time."""
    first, second = rng.choice(clip.visible, 2)
    return int(first), int(second)


def shot_of_frame(clip: Clip, index: int, aim: Aim) -> Shot:
    """Cuts the crop out of a frame in which the target lies as aimed."""
    box = clip.box(index)
    crop = crop_for(box, aim)
    mask = crop.extract(clip.masks[index]) if clip.masks else None
    return Shot(crop.extract(clip.frames[index]), crop.into(box), None, mask)


def crop_for(box: Box, aim: Aim) -> Crop:
    """The window in which a box lies as aimed, to the pixel of the image."""
    side = max(8, round(aim.size * math.sqrt(box.area) / aim.extent))
    cx, cy = box.center
    scale = side / aim.size
    return Crop(round(cx - aim.center[0] * scale), round(cy - aim.center[1] * scale), side, aim.size)


def shot_of_region(still: Still, box: Box, aim: Aim, turn: float, stretch: tuple[float, float]) -> Shot:
    """A region of a picture, turned and stretched about its middle, as aimed."""
    scale = aim.extent / math.sqrt(box.area)
    rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    linear = scale * rotation * stretch
    affine = np.column_stack([linear, np.array(aim.center) - linear @ np.array(box.center)])
    heat = None
    if still.thermal is not None:
        heat = _temperatures(still.thermal, affine, aim.size)
    # The box of a turned rectangle grows; what a person would draw stays close to the stretched one.
    w, h = box.w * scale * stretch[0], box.h * scale * stretch[1]
    found = Box(aim.center[0] - w / 2, aim.center[1] - h / 2, w, h)
    return Shot(_warped(still.rgb, affine, aim.size), found, heat)


def cutout(clip: Clip, index: int, warmth: float) -> Sprite | None:
    """The target of a clip's frame as a sprite with a temperature of its own."""
    image, mask = clip.frames[index], clip.masks[index]
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    heat = np.clip(warmth + 0.3 * (grey - 0.5), 0, 1).astype(np.float32)
    return sprite(image, heat, mask)


def widened(box: Box, margins: npt.NDArray[np.float64]) -> Box:
    """A box with its left, top, right and bottom moved outwards by shares of its sides."""
    left, top, right, bottom = (float(each) for each in margins)
    return Box(box.x - left * box.w, box.y - top * box.h, box.w * (1 + left + right), box.h * (1 + top + bottom))


def _temperatures(thermal: npt.NDArray[np.uint8], affine: Affine, size: int) -> Field:
    return np.asarray(_warped(thermal, affine, size), np.float32) / np.float32(255)


def _warped(picture: npt.NDArray[np.uint8], affine: Affine, size: int) -> npt.NDArray[np.uint8]:
    shifted = affine.copy()
    shifted[:, 2] += affine[:, :2] @ (0.5, 0.5) - 0.5
    # Shrinking without smoothing would alias; halving first is cheap and enough.
    while math.sqrt(abs(np.linalg.det(shifted[:, :2]))) < 0.6:
        picture = np.asarray(cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.uint8)
        shifted[:, :2] *= 2
        shifted[:, 2] += shifted[:, :2] @ (0.25, 0.25)
    return np.asarray(cv2.warpAffine(picture, shifted, (size, size), flags=cv2.INTER_LINEAR), np.uint8)


def _region_of(rng: np.random.Generator, width: int, height: int) -> Box:
    extent, ratio = rng.uniform(18, min(width, height) / 2.5), math.exp(rng.uniform(-0.8, 0.8))
    w, h = extent * math.sqrt(ratio), extent / math.sqrt(ratio)
    return Box(rng.uniform(0, max(1, width - w)), rng.uniform(0, max(1, height - h)), w, h)


def _contrast(image: Image, box: Box) -> float:
    """How much there is to see in a region, from every third pixel."""
    x, y, w, h = (int(value) for value in box)
    return float(image[y : y + h : 3, x : x + w : 3].std())


def _chosen(rng: np.random.Generator, things: Sequence[T]) -> T:
    return things[int(rng.integers(len(things)))]
