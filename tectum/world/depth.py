"""What a depth camera makes of distances."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from tectum.geometry import Image
from tectum.world.textures import Field

Millimetres = npt.NDArray[np.uint16]
"""Distances `H×W`, 0 where nothing was measured."""

FARTHEST_SHOWN = 10_000
"""Millimetres beyond which depth images are cut, as the published RGB-D trackers cut them."""

MEDIANS_SHOWN = 3
"""Multiple of the median beyond which they are cut as well."""


@dataclass(frozen=True)
class DepthCamera:
    """A stereo or structured-light camera, which measures disparity.

    A step of disparity is a step of distance that grows with the distance squared. A border of a near thing casts a
    shadow without measurement on one side, and bleeds by some pixels.

    Attributes:
        strength: focal length times baseline, in pixel metres.
        step: the smallest step of disparity, in pixels.
        noise: standard deviation of the disparity, in pixels.
        farthest: metres beyond which it measures nothing.
        bleed: share of border pixels at which the near thing takes over its neighbours.
        dropout: share of pixels without measurement anywhere.
    """

    strength: float = 40.0
    step: float = 0.125
    noise: float = 0.08
    farthest: float = 20.0
    bleed: float = 0.5
    dropout: float = 0.002

    def measured(self, distances: Field, echo: Field, rng: np.random.Generator) -> Millimetres:
        """Millimetres as the camera measures them.

        Args:
            distances: true ones `H×W` in metres.
            echo: share of light that comes back `H×W`; below a half, most pixels have no measurement.
            rng: source of noise.

        Returns:
            `H×W`, 0 where nothing was measured.
        """
        chance = rng.random(distances.shape, np.float32)
        near = np.asarray(cv2.erode(distances, np.ones((3, 3), np.uint8)), np.float32)
        seen = np.where(chance < self.bleed, near, distances)
        disparity = np.float32(self.strength) / seen
        noisy = disparity + rng.standard_normal(disparity.shape, np.float32) * np.float32(self.noise)
        steps = np.maximum(np.round(noisy / np.float32(self.step)), 1)
        metres = np.float32(self.strength / self.step) / steps
        lost = (metres > self.farthest) | self.shadow(distances) | (chance < self.dropout)
        lost |= (echo < 0.5) & (_patches(rng, distances.shape) > echo)
        return np.where(lost, 0, np.minimum(metres * 1000, 65_535)).astype(np.uint16)

    def shadow(self, distances: Field) -> npt.NDArray[np.bool_]:
        """Where a near thing hides the background from the second lens: left of it, as wide as disparities differ."""
        disparity = np.float32(self.strength) / distances
        hidden = np.zeros(distances.shape, bool)
        widest = min(12, int(disparity.max() - disparity.min()), distances.shape[1] - 1)
        for shift in range(1, widest + 1):
            hidden[:, :-shift] |= disparity[:, shift:] - disparity[:, :-shift] >= shift
        return hidden


def _patches(rng: np.random.Generator, shape: tuple[int, ...]) -> Field:
    """Random numbers in [0, 1] that neighbours share."""
    coarse = rng.random((shape[0] // 4 + 1, shape[1] // 4 + 1), np.float32)
    return np.asarray(cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)


def jet(depth: Millimetres) -> Image:
    """Depth in JET colours, near blue and far red, as the published RGB-D trackers show it, in RGB order.

    Args:
        depth: millimetres `H×W`; what is beyond 10 m or three medians is cut, the rest spread over the colours.

    Returns:
        `H×W×3`, 8 bit.
    """
    median = float(np.median(depth))
    if median == 0 and depth.any():
        median = float(np.median(depth[depth > 0]))
    cut = np.minimum(depth, np.uint16(min(MEDIANS_SHOWN * median, FARTHEST_SHOWN)))
    scaled = cv2.normalize(cut, np.empty(0), 0, 255, cv2.NORM_MINMAX, dtype=cv2.CV_8U)
    return np.asarray(cv2.cvtColor(cv2.applyColorMap(scaled, cv2.COLORMAP_JET), cv2.COLOR_BGR2RGB), np.uint8)
