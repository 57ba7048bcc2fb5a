"""A recording for measuring: a textured square that moves over a textured ground, as 640x480 JPEGs on disk."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np

SIZE = (640, 480)
BOX = (288.0, 208.0, 64.0, 64.0)
SENSES = ("rgb", "thermal")


def texture(width: int, height: int, seed: int) -> np.ndarray:
    """Coloured noise on several scales: a JPEG of it is about as large as one of a street."""
    random = np.random.default_rng(seed)
    image = np.zeros((height, width, 3), np.float32)
    for cell in (4, 16, 64):
        coarse = random.random((height // cell + 2, width // cell + 2, 3), np.float32)
        image += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) / 3
    return (image.clip(0, 1) * 255).astype(np.uint8)


def write_walk(folder: Path, frames: int, senses: int = 1) -> Path:
    """Writes one sub-folder per sense and returns the folder.

    Args:
        folder: where to.
        frames: how many in each.
        senses: 1 for RGB, 2 for RGB and thermal.
    """
    for number, sense in enumerate(SENSES[:senses]):
        (folder / sense).mkdir(parents=True)
        ground, target = texture(*SIZE, seed=number), 255 - texture(64, 64, seed=9)
        for index in range(frames):
            x, y = place(index)
            image = ground.copy()
            image[y : y + 64, x : x + 64] = target
            cv2.imwrite(str(folder / sense / f"{index:05d}.jpg"), image, [cv2.IMWRITE_JPEG_QUALITY, 90])
    return folder


def place(index: int) -> tuple[int, int]:
    """Left and top of the target: once around an ellipse in 200 frames."""
    angle = 2 * math.pi * index / 200
    return round(BOX[0] + 150 * math.sin(angle)), round(BOX[1] + 100 * (1 - math.cos(angle)))
