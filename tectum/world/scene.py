"""A seeded scene: a target among look-alikes, behind an occluder, before a moving background."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from tectum.errors import UnknownNameError
from tectum.frames import Frame, Modality
from tectum.geometry import Box, Image, iou
from tectum.world.senses import grey_image
from tectum.world.sprites import Affine, Sprite, lay, made_sprite, patch, placed, recoloured
from tectum.world.textures import Field, noise, paint

MARGIN = 64
"""Pixels by which the background reaches beyond the view, for the camera to move in."""

SENSES = frozenset({Modality.RGB, Modality.THERMAL})
"""The senses that a scene can be rendered in."""


@dataclass(frozen=True)
class Wave:
    """A smooth movement of one number: `middle + sum(reach * sin(speed * t + phase))`."""

    middle: float
    reach: tuple[float, ...]
    speed: tuple[float, ...]
    phase: tuple[float, ...]

    @classmethod
    def random(cls, rng: np.random.Generator, middle: float, reach: float, fastest: float) -> Wave:
        """Two sines that together stay within `reach`; `fastest` is in radians per frame."""
        split = float(rng.uniform(0.5, 0.8))
        speeds = (float(rng.uniform(0.3, 0.6)) * fastest, float(rng.uniform(0.6, 1.0)) * fastest)
        phases = (float(rng.uniform(0, 2 * math.pi)), float(rng.uniform(0, 2 * math.pi)))
        return cls(middle, (reach * split, reach * (1 - split)), speeds, phases)

    def at(self, time: float) -> float:
        """The number at a frame."""
        parts = zip(self.reach, self.speed, self.phase, strict=True)
        return self.middle + sum(reach * math.sin(speed * time + phase) for reach, speed, phase in parts)


def still(value: float) -> Wave:
    """A number that does not move."""
    return Wave(value, (), (), ())


@dataclass(frozen=True)
class Actor:
    """A sprite and how it moves.

    Attributes:
        sprite: the thing.
        x: horizontal place of its middle in pixels.
        y: vertical place of its middle in pixels.
        scale: natural logarithm of its size factor.
        stretch: natural logarithm of its change of aspect.
        angle: in radians.
    """

    sprite: Sprite
    x: Wave
    y: Wave
    scale: Wave
    stretch: Wave
    angle: Wave

    def affine(self, time: float) -> Affine:
        """From the sprite's pixels to the view's, at a frame."""
        factor, stretch = math.exp(self.scale.at(time)), math.exp(self.stretch.at(time) / 2)
        center = (self.x.at(time), self.y.at(time))
        return placed(self.sprite, center, (factor * stretch, factor / stretch), self.angle.at(time))


class Scene:
    """A recording that is rendered as it is read, the same for the same seed.

    Args:
        seed: which scene.
        length: frames.
        size: width and height in pixels.
        senses: what to render: RGB, thermal or both.
        pictures: real images `H×W×3` for backgrounds and surfaces; without them all is procedural.

    Raises:
        UnknownNameError: if a sense is asked for that scenes cannot render.
    """

    def __init__(
        self,
        seed: int,
        length: int = 120,
        size: tuple[int, int] = (640, 480),
        senses: frozenset[Modality] = SENSES,
        pictures: Sequence[Image] = (),
    ) -> None:
        if not senses or senses - SENSES:
            raise UnknownNameError(f"A scene is rendered in {', '.join(sorted(SENSES))}, not in {sorted(senses)}.")
        self.seed, self.length, self.size, self._senses = seed, length, size, senses
        self._rng = np.random.default_rng(seed)
        self._pictures = pictures
        width, height = size
        self._extent = 0.16 * math.sqrt(width * height)
        self.ground, self.warmth = self._background()
        self.occluder = self._post()
        thing = made_sprite(self._rng, self._surface())
        self.target = self._apart(thing, 0.32, [self.occluder])
        self.others: list[Actor] = []
        for _ in range(2):
            alike = recoloured(self._rng, thing, 0.3)
            self.others.append(self._apart(alike, 0.4, [self.target]))
        self.camera = tuple(Wave.random(self._rng, MARGIN / 2, MARGIN / 2, 0.05) for _ in range(2))

    @property
    def name(self) -> str:
        """`scene-` and the seed."""
        return f"scene-{self.seed}"

    @property
    def senses(self) -> frozenset[Modality]:
        """What is rendered."""
        return self._senses

    @cached_property
    def boxes(self) -> npt.NDArray[np.float64]:
        """The target's exact boxes `N×4`, occluded or not."""
        return np.array([self.box(index) for index in range(self.length)], np.float64)

    def box(self, index: int) -> Box:
        """The target's exact box in one frame."""
        return self.target.sprite.box(self.target.affine(index))

    def __iter__(self) -> Iterator[Frame]:
        for index in range(self.length):
            yield self.frame(index)

    def frame(self, index: int) -> Frame:
        """Renders one frame; any may be asked for, in any order."""
        width, height = self.size
        x, y = round(self.camera[0].at(index)), round(self.camera[1].at(index))
        window = (slice(y, y + height), slice(x, x + width))
        colour, heat = self.ground[window].copy(), self.warmth[window].copy()
        for actor in (*self.others, self.target, self.occluder):
            affine = actor.affine(index)
            if Modality.RGB in self._senses:
                lay(colour, actor.sprite.image, actor.sprite.alpha, affine)
            if Modality.THERMAL in self._senses:
                lay(heat, actor.sprite.heat, actor.sprite.alpha, affine)
        grain = np.random.default_rng((self.seed, index))
        images = {Modality.RGB: _grained(grain, colour, 3.0), Modality.THERMAL: _grained(grain, _seen_heat(heat), 4.0)}
        return Frame({sense: images[sense] for sense in Modality if sense in self._senses}, index, index / 30)

    def _surface(self) -> Image | None:
        return self._pictures[int(self._rng.integers(len(self._pictures)))] if self._pictures else None

    def _background(self) -> tuple[Image, Field]:
        """Ground in colour and warmth, larger than the view, with things standing about."""
        rng, width, height = self._rng, self.size[0] + 2 * MARGIN, self.size[1] + 2 * MARGIN
        picture = self._surface()
        if picture is not None:
            side = max(width, height)
            ground = np.ascontiguousarray(patch(rng, picture, side)[:height, :width])
        else:
            ground = paint(rng, noise(rng, width, height, 5, 6))
        warmth = np.asarray(0.25 + 0.2 * noise(rng, width, height, 4, 4), np.float32)
        for _ in range(10):
            thing = made_sprite(rng, self._surface())
            center = (float(rng.uniform(0, width)), float(rng.uniform(0, height)))
            scale = float(rng.uniform(0.4, 1.2)) * self._extent / max(thing.size)
            affine = placed(thing, center, (scale, scale), float(rng.normal(0, 0.3)))
            lay(ground, thing.image, thing.alpha, affine)
            lay(warmth, (thing.heat * np.float32(0.6)), thing.alpha, affine)
        return ground, warmth

    def _apart(self, sprite: Sprite, wide: float, others: Sequence[Actor]) -> Actor:
        """An actor that, in the first frame, does not touch others, so that the target can be shown clearly."""
        for _ in range(100):
            actor = self._actor(sprite, wide)
            first = np.array(actor.sprite.box(actor.affine(0)))
            if all(float(iou(first, np.array(other.sprite.box(other.affine(0))))) == 0 for other in others):
                break
        return actor

    def _actor(self, sprite: Sprite, wide: float) -> Actor:
        """Gives a sprite a way to go that keeps it within the view."""
        rng, (width, height) = self._rng, self.size
        base = math.log(self._extent / math.sqrt(sprite.size[0] * sprite.size[1]))
        return Actor(
            sprite,
            Wave.random(rng, width / 2, wide * width, 0.07),
            Wave.random(rng, height / 2, wide * 0.8 * height, 0.07),
            Wave.random(rng, base, 0.3, 0.05),
            Wave.random(rng, 0.0, 0.15, 0.05),
            Wave.random(rng, 0.0, 0.25, 0.05),
        )

    def _post(self) -> Actor:
        """A narrow thing that stands before the target's way."""
        thing = made_sprite(self._rng, self._surface())
        tall = math.log(0.22 * self.size[1] / thing.size[1])
        width, height = self.size
        return Actor(thing, still(width / 2), still(height / 2), still(tall), still(-1.8), still(0.0))


def _seen_heat(heat: Field) -> Image:
    """What a thermal camera of half the resolution makes of temperatures."""
    height, width = heat.shape
    coarse = cv2.resize(heat, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    return grey_image(np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR), np.float32))


def _grained(rng: np.random.Generator, image: Image, deviation: float) -> Image:
    tile = rng.normal(0, deviation, (64, 64, 3)).astype(np.int16)
    repeats = (-(-image.shape[0] // 64), -(-image.shape[1] // 64), 1)
    whole = np.tile(tile, repeats)[: image.shape[0], : image.shape[1]]
    return np.asarray(np.clip(image + whole, 0, 255).astype(np.uint8))
