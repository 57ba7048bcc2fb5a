"""Changes of light and lens that leave geometry alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np

from tectum.geometry import Image

Change: TypeAlias = Callable[[Image], Image]


@dataclass(frozen=True)
class Strengths:
    """How strongly pictures are changed.

    Attributes:
        light: largest relative change of brightness, contrast and gamma.
        colour: largest relative change of saturation and of each channel's gain.
        grey: share of pairs shown in grey.
        coarse: share of pairs shown as if taken at a lower resolution, as small targets are.
        blur: share of search crops blurred by motion or focus.
        grain: share of crops with noise.
    """

    light: float = 0.25
    colour: float = 0.3
    grey: float = 0.2
    coarse: float = 0.45
    blur: float = 0.25
    grain: float = 0.3


def shared_change(rng: np.random.Generator, strengths: Strengths) -> Change:
    """One random change for both crops of a pair: scene light, greyness, resolution."""
    steps: list[Change] = [_tone(rng, strengths.light, strengths.colour)]
    if rng.random() < strengths.grey:
        steps.append(_greyed)
    if rng.random() < strengths.coarse:
        steps.append(_coarse(float(rng.uniform(1.2, 4.0))))
    return _chain(steps)


def own_change(rng: np.random.Generator, strengths: Strengths) -> Change:
    """One random change for one crop: a little light, motion or focus blur, noise."""
    steps: list[Change] = [_tone(rng, strengths.light / 2, strengths.colour / 3)]
    if rng.random() < strengths.blur:
        steps.append(_motion_blur(rng) if rng.random() < 0.6 else _focus_blur(float(rng.uniform(0.5, 2.5))))
    if rng.random() < strengths.grain:
        steps.append(_grain(rng, float(rng.uniform(2, 14))))
    return _chain(steps)


def _chain(steps: list[Change]) -> Change:
    def run(image: Image) -> Image:
        for step in steps:
            image = step(image)
        return image

    return run


def _tone(rng: np.random.Generator, light: float, colour: float) -> Change:
    gain = rng.uniform(1 - light, 1 + light) * rng.uniform(1 - colour / 2, 1 + colour / 2, 3)
    shift = rng.uniform(-100, 100) * light
    gamma = float(np.exp(rng.uniform(-light, light)))
    ramp = 255 * (np.arange(256) / 255) ** gamma
    table = np.clip(ramp[:, None] * gain + shift, 0, 255).astype(np.uint8)[:, None]
    saturation = float(rng.uniform(1 - 2 * colour, 1 + colour))

    def change(image: Image) -> Image:
        toned = cv2.LUT(image, table)
        grey = cv2.cvtColor(cv2.cvtColor(toned, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        return np.asarray(cv2.addWeighted(toned, saturation, grey, 1 - saturation, 0), np.uint8)

    return change


def _greyed(image: Image) -> Image:
    return np.asarray(cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB), np.uint8)


def _coarse(factor: float) -> Change:
    def change(image: Image) -> Image:
        height, width = image.shape[:2]
        small = cv2.resize(image, (int(width / factor), int(height / factor)), interpolation=cv2.INTER_AREA)
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
    seed = int(rng.integers(2**31))

    def change(image: Image) -> Image:
        # A small tile of noise, repeated, costs a tenth of fresh noise and looks the same to a network.
        tile = np.random.default_rng(seed).normal(0, deviation, (48, 48, 3)).astype(np.int16)
        repeats = (-(-image.shape[0] // 48), -(-image.shape[1] // 48), 1)
        whole = np.tile(tile, repeats)[: image.shape[0], : image.shape[1]]
        return np.asarray(np.clip(image + whole, 0, 255).astype(np.uint8))

    return change
