"""Surfaces: procedural textures in colour and in heat."""

from __future__ import annotations

from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from tectum.geometry import Image

Field: TypeAlias = npt.NDArray[np.float32]
"""Values `H×W` in [0, 1]."""


def noise(rng: np.random.Generator, width: int, height: int, cells: int = 4, octaves: int = 4) -> Field:
    """Smooth noise: random grids of doubling resolution and halving weight, stretched to [0, 1].

    Args:
        rng: source of randomness.
        width: in pixels.
        height: in pixels.
        cells: grid cells along the longer side of the coarsest octave.
        octaves: number of grids.

    Returns:
        `height×width` in [0, 1].
    """
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        count = cells * 2**octave
        shape = (max(2, count * height // max(width, height)), max(2, count * width // max(width, height)))
        grid = rng.random(shape, np.float32)
        total += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC) / 2**octave
    low, high = float(total.min()), float(total.max())
    return np.asarray((total - low) / max(high - low, 1e-6), np.float32)


def stripes(rng: np.random.Generator, width: int, height: int) -> Field:
    """Bent stripes of random direction, width and sharpness; `height×width` in [0, 1]."""
    angle, periods = rng.uniform(0, np.pi), rng.uniform(2, 10)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) / max(width, height)
    phase = np.cos(angle) * x + np.sin(angle) * y + rng.uniform(0, 0.3) * noise(rng, width, height, 2, 2)
    wave = 0.5 + 0.5 * np.sin(2 * np.pi * periods * phase)
    return np.asarray(np.clip((wave - 0.5) * rng.uniform(1, 6) + 0.5, 0, 1), np.float32)


def checks(rng: np.random.Generator, width: int, height: int) -> Field:
    """A board of two to eight random squares a side; `height×width` in [0, 1]."""
    board = rng.random((int(rng.integers(2, 9)), int(rng.integers(2, 9))), np.float32)
    return np.asarray(cv2.resize(board, (width, height), interpolation=cv2.INTER_NEAREST), np.float32)


def spots(rng: np.random.Generator, width: int, height: int) -> Field:
    """Discs in random places on a random grid; `height×width` in [0, 1]."""
    mask = np.zeros((height, width), np.uint8)
    gap = max(4.0, min(width, height) / float(rng.uniform(2, 5)))
    radius = max(1, round(gap * float(rng.uniform(0.22, 0.38))))
    for y in np.arange(gap / 2, height + gap / 2, gap):
        for x in np.arange(gap / 2, width + gap / 2, gap):
            dx, dy = rng.uniform(-0.15, 0.15, 2) * gap
            cv2.circle(mask, (round(float(x + dx)), round(float(y + dy))), radius, 255, -1, cv2.LINE_AA)
    return np.asarray(mask, np.float32) / np.float32(255)


def pattern(rng: np.random.Generator, width: int, height: int) -> Field:
    """One of the procedural patterns, with a little noise over it; `height×width` in [0, 1]."""
    kind = rng.integers(4)
    if kind == 0:
        base = stripes(rng, width, height)
    elif kind == 1:
        base = checks(rng, width, height)
    else:
        base = noise(rng, width, height, int(rng.integers(2, 9)), int(rng.integers(1, 6)))
    return np.asarray(0.85 * base + 0.15 * noise(rng, width, height, 16, 2), np.float32)


def paint(rng: np.random.Generator, field: Field) -> Image:
    """Colours a pattern by a ramp over two to four random colours.

    Args:
        rng: source of randomness.
        field: values `H×W` in [0, 1].

    Returns:
        `H×W×3`, 8 bit.
    """
    stops = rng.uniform(0, 255, (int(rng.integers(2, 5)), 3))
    places = np.linspace(0, 1, len(stops))
    index = (field * 255).astype(np.uint8)
    ramp = np.stack([np.interp(np.linspace(0, 1, 256), places, stops[:, c]) for c in range(3)], axis=-1)
    return np.asarray(ramp.astype(np.uint8)[index])
