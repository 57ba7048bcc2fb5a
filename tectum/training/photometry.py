"""Changes of light and lens that leave geometry alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np

from tectum.frames import Modality
from tectum.geometry import Image

Change: TypeAlias = Callable[[Image], Image]

_TILE = 48


@dataclass(frozen=True)
class Photometry:
    """How strongly pictures are changed; by default as the field does (pytracking's and OSTrack's settings).

    Attributes:
        brightness: largest relative change of each crop's own brightness.
        grey: share of pairs whose colours are shown in grey.
        light: largest relative change of brightness, contrast and gamma that both crops share.
        colour: largest relative change of saturation and of each channel's gain.
        coarse: share of pairs shown as if taken at a lower resolution, as small targets are.
        blur: share of search crops blurred by motion or focus.
        grain: share of crops with noise.
    """

    brightness: float = 0.2
    grey: float = 0.05
    light: float = 0.0
    colour: float = 0.0
    coarse: float = 0.0
    blur: float = 0.0
    grain: float = 0.0

    def changed(self, rng: np.random.Generator, sense: Modality, template: Image, search: Image) -> tuple[Image, Image]:
        """Changes what one sense shows of a pair.

        Args:
            rng: source of randomness.
            sense: only colours can lose their colour.
            template: `T×T×3`, 8 bit.
            search: `S×S×3`, 8 bit.
        """
        both = self._shared(rng, sense)
        return self._own(rng, both, blurs=False)(template), self._own(rng, both, blurs=True)(search)

    def _shared(self, rng: np.random.Generator, sense: Modality) -> list[Change]:
        steps: list[Change] = []
        if self.light or self.colour:
            steps.append(_tone(rng, self.light, self.colour))
        if rng.random() < self.grey and sense == Modality.RGB:
            steps.append(_greyed)
        if rng.random() < self.coarse:
            steps.append(_coarse(float(rng.uniform(1.2, 4.0))))
        return steps

    def _own(self, rng: np.random.Generator, both: Sequence[Change], blurs: bool) -> Change:
        steps = [*both]
        if self.brightness or self.colour:
            steps.append(_brightness(rng, self.brightness, self.colour / 3))
        if rng.random() < self.blur and blurs:
            steps.append(_motion_blur(rng) if rng.random() < 0.6 else _focus_blur(float(rng.uniform(0.5, 2.5))))
        if rng.random() < self.grain:
            steps.append(_grain(rng, float(rng.uniform(2, 14))))
        return _chain(steps)


def _chain(steps: Sequence[Change]) -> Change:
    def run(image: Image) -> Image:
        for step in steps:
            image = step(image)
        return image

    return run


def _brightness(rng: np.random.Generator, brightness: float, colour: float) -> Change:
    gain = rng.uniform(1 - brightness, 1 + brightness) * rng.uniform(1 - colour, 1 + colour, 3)
    table = np.clip(np.arange(256)[:, None] * gain, 0, 255).astype(np.uint8)[:, None]
    return lambda image: np.asarray(cv2.LUT(image, table), np.uint8)


def _tone(rng: np.random.Generator, light: float, colour: float) -> Change:
    gain = rng.uniform(1 - light, 1 + light) * rng.uniform(1 - colour / 2, 1 + colour / 2, 3)
    shift = rng.uniform(-100, 100) * light
    gamma = float(np.exp(rng.uniform(-light, light)))
    ramp = 255 * (np.arange(256) / 255) ** gamma
    table = np.clip(ramp[:, None] * gain + shift, 0, 255).astype(np.uint8)[:, None]
    saturation = float(rng.uniform(1 - 2 * colour, 1 + colour))

    def change(image: Image) -> Image:
        toned = np.asarray(cv2.LUT(image, table), np.uint8)
        return np.asarray(cv2.addWeighted(toned, saturation, _greyed(toned), 1 - saturation, 0), np.uint8)

    return change


def _greyed(image: Image) -> Image:
    return np.asarray(cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB), np.uint8)


def _coarse(factor: float) -> Change:
    def change(image: Image) -> Image:
        height, width = image.shape[:2]
        size = (max(1, int(width / factor)), max(1, int(height / factor)))
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)

    return change


def _motion_blur(rng: np.random.Generator) -> Change:
    length = int(rng.integers(3, 13))
    kernel = np.zeros((length, length), np.float32)
    middle, angle = length // 2, rng.uniform(0, np.pi)
    reach = np.array([np.cos(angle), np.sin(angle)]) * length / 2
    start, end = np.round(middle - reach).astype(int), np.round(middle + reach).astype(int)
    cv2.line(kernel, (int(start[0]), int(start[1])), (int(end[0]), int(end[1])), 1.0)
    kernel /= max(float(kernel.sum()), 1.0)
    return lambda image: np.asarray(cv2.filter2D(image, -1, kernel), np.uint8)


def _focus_blur(sigma: float) -> Change:
    return lambda image: np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)


def _grain(rng: np.random.Generator, deviation: float) -> Change:
    # A small tile of noise, repeated, costs a tenth of fresh noise and looks the same to a network.
    tile = rng.normal(0, deviation, (_TILE, _TILE, 3)).astype(np.int16)

    def change(image: Image) -> Image:
        repeats = (-(-image.shape[0] // _TILE), -(-image.shape[1] // _TILE), 1)
        whole = np.tile(tile, repeats)[: image.shape[0], : image.shape[1]]
        return np.asarray(np.clip(image + whole, 0, 255).astype(np.uint8))

    return change
