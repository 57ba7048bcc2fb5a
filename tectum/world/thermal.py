"""What a thermal camera makes of temperatures."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from tectum.geometry import Image
from tectum.world.textures import Field


@dataclass(frozen=True)
class ThermalCamera:
    """An uncooled microbolometer: fewer pixels than the colour camera, soft, with a pattern of its own.

    Attributes:
        shrink: pixels of the colour camera in one of its own, along a side.
        blur: standard deviation of its optics' blur, in its own pixels.
        pattern: standard deviation of the fixed pattern over columns and pixels, in degrees.
        noise: standard deviation of the noise from frame to frame (NETD), in degrees.
        coldest: degrees Celsius shown as black.
        hottest: degrees Celsius shown as white.
        inverted: whether hot is shown black instead.
        seed: of the fixed pattern.
    """

    shrink: float = 2.0
    blur: float = 0.7
    pattern: float = 0.25
    noise: float = 0.12
    coldest: float = 8.0
    hottest: float = 38.0
    inverted: bool = False
    seed: int = 0

    def readings(self, temperatures: Field, rng: np.random.Generator) -> Field:
        """Degrees Celsius as its own pixels read them.

        Args:
            temperatures: `H×W` at the colour camera's resolution.
            rng: source of the noise.

        Returns:
            `(H/shrink)×(W/shrink)`.
        """
        height, width = temperatures.shape
        size = (max(2, round(width / self.shrink)), max(2, round(height / self.shrink)))
        coarse = cv2.resize(temperatures, size, interpolation=cv2.INTER_AREA)
        if self.blur:
            coarse = cv2.GaussianBlur(coarse, (0, 0), self.blur)
        noise = rng.standard_normal((size[1], size[0]), np.float32) * np.float32(self.noise)
        return np.asarray(coarse + noise + self.fixed_pattern(size), np.float32)

    def fixed_pattern(self, size: tuple[int, int]) -> Field:
        """What each pixel always reads too much, in degrees: half of it is shared by whole columns."""
        rng = np.random.default_rng(self.seed)
        columns = rng.standard_normal((1, size[0]), np.float32)
        pixels = rng.standard_normal((size[1], size[0]), np.float32)
        return np.asarray(np.float32(self.pattern) * (0.7 * columns + 0.7 * pixels), np.float32)

    def image(self, temperatures: Field, rng: np.random.Generator) -> Image:
        """The grey image `H×W×3` at the colour camera's resolution."""
        gain = 255 / (self.hottest - self.coldest)
        levels = (self.readings(temperatures, rng) - self.coldest) * gain
        grey = np.clip(255 - levels if self.inverted else levels, 0, 255).astype(np.uint8)
        whole = cv2.resize(grey, temperatures.shape[::-1], interpolation=cv2.INTER_LINEAR)
        return np.asarray(cv2.cvtColor(whole, cv2.COLOR_GRAY2RGB), np.uint8)
