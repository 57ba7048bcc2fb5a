"""How what a sensor measured becomes an 8-bit image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import cv2
import numpy as np
import numpy.typing as npt

from tectum.errors import SourceError
from tectum.frames import Modality
from tectum.geometry import Image
from tectum.sources.streams import RawImage

Render = Callable[[RawImage], npt.NDArray[np.uint8]]
"""Turns a raw image into 8 bit, `H×W` or `H×W×3` in RGB order; it may remember earlier images."""


class ColorMap(StrEnum):
    """How a depth image is coloured."""

    JET = "jet"
    TURBO = "turbo"
    GRAY = "gray"


_COLOR_MAPS = {ColorMap.JET: cv2.COLORMAP_JET, ColorMap.TURBO: cv2.COLORMAP_TURBO}


@dataclass(frozen=True)
class DepthRendering:
    """How depth becomes an image; by default as the published RGB-D trackers were fed, in RGB order.

    Attributes:
        unit: millimetres in one unit of the file.
        clip: whether depths beyond `min(medians * median, farthest)` are cut to that value.
        medians: multiple of the image's median depth, which counts pixels without measurement as 0; where
            more than half have none, the median is taken of the others.
        farthest: in millimetres.
        color_map: colours for near (low) to far (high).
        swapped: give the colours in BGR order, as the published RGB-D trackers saw them in training.
    """

    unit: float = 1.0
    clip: bool = True
    medians: float = 3.0
    farthest: float = 10_000.0
    color_map: ColorMap = ColorMap.JET
    swapped: bool = False

    def __post_init__(self) -> None:
        for name in ("unit", "medians", "farthest"):
            if not getattr(self, name) > 0:
                raise SourceError(f"Depth rendering needs {name} above zero, not {getattr(self, name)}.")
        object.__setattr__(self, "color_map", ColorMap(self.color_map))

    def renderer(self) -> Render:
        """A function from raw depth to an image; images that are coloured already pass unchanged."""
        return self._render

    def _render(self, depth: RawImage) -> npt.NDArray[np.uint8]:
        if depth.ndim == 3:
            return eight_bit(depth)
        if self.clip:
            depth = np.minimum(depth, np.array(self._limit(depth)).astype(depth.dtype))
        scaled = cv2.normalize(depth, np.empty(0), 0, 255, cv2.NORM_MINMAX, dtype=cv2.CV_8U)
        return self._colored(np.asarray(scaled, np.uint8))

    def _limit(self, depth: RawImage) -> float:
        """The clipping depth in units of the file."""
        median = float(np.median(depth))
        if median == 0 and depth.any():
            median = float(np.median(depth[depth > 0]))
        largest = np.iinfo(depth.dtype).max if depth.dtype.kind in "iu" else np.inf
        return min(self.medians * median, self.farthest / self.unit, float(largest))

    def _colored(self, gray: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        if self.color_map == ColorMap.GRAY:
            return gray
        colored = cv2.applyColorMap(gray, _COLOR_MAPS[self.color_map])
        if not self.swapped:
            cv2.cvtColor(colored, cv2.COLOR_BGR2RGB, dst=colored)
        return np.asarray(colored, np.uint8)


@dataclass(frozen=True)
class ThermalRendering:
    """How thermal readings become an image: percentiles of the image are spread over 8 bit.

    The percentiles follow the recording slowly, so that a warm object that enters does not make the rest of the
    image flicker; when a sensor changes its range at once, they start anew.

    Attributes:
        low: percentile that becomes black, 0 to 100.
        high: percentile that becomes white, 0 to 100.
        memory: weight of the past against each new image, 0 (each image by itself) to below 1.
        stretch_8_bit: treat 8-bit images so too; by default they pass unchanged, as their camera made them.
    """

    low: float = 1.0
    high: float = 99.0
    memory: float = 0.95
    stretch_8_bit: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.low < self.high <= 100:
            raise SourceError(f"Thermal percentiles need 0 <= low < high <= 100, not {self.low} and {self.high}.")
        if not 0 <= self.memory < 1:
            raise SourceError(f"Thermal memory must be at least 0 and below 1, not {self.memory}.")

    def renderer(self) -> Render:
        """A function from raw readings to an image that remembers the range of one recording."""
        return _ThermalRenderer(self)


class _ThermalRenderer:
    """Spreads running percentiles of a recording over 8 bit."""

    def __init__(self, rendering: ThermalRendering) -> None:
        self._rendering = rendering
        self._low = self._high = float("nan")

    def __call__(self, raw: RawImage) -> npt.NDArray[np.uint8]:
        if raw.dtype == np.uint8 and not self._rendering.stretch_8_bit:
            return np.asarray(raw, np.uint8)
        self._follow(raw)
        gain = 255.0 / max(self._high - self._low, 1e-6)
        levels = raw.astype(np.float32)
        levels -= np.float32(self._low)
        return np.asarray(cv2.convertScaleAbs(np.maximum(levels, 0, out=levels), alpha=gain), np.uint8)

    def _follow(self, raw: RawImage) -> None:
        # Every fourth row and column tells the percentiles of a natural image well enough.
        low, high = np.percentile(raw[::4, ::4], (self._rendering.low, self._rendering.high))
        if not (low <= self._high and high >= self._low):
            self._low, self._high = float(low), float(high)
            return
        memory = self._rendering.memory
        self._low = memory * self._low + (1 - memory) * float(low)
        self._high = memory * self._high + (1 - memory) * float(high)


def eight_bit(raw: RawImage) -> npt.NDArray[np.uint8]:
    """Keeps 8-bit pixels as they are and the upper 8 bits of 16-bit colour."""
    if raw.dtype == np.uint8:
        return np.asarray(raw, np.uint8)
    return (raw >> 8).astype(np.uint8)


def three_channels(image: npt.NDArray[np.uint8]) -> Image:
    """Repeats a single channel three times; colour images pass unchanged."""
    if image.ndim == 3 and image.shape[2] == 3:
        return image
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2RGB), np.uint8)


def renderer(sense: Modality, depth: DepthRendering, thermal: ThermalRendering) -> Render:
    """The rendering of one sense for one pass over a recording.

    Colour cameras and event images pass unchanged, unless they have a single channel of more than 8 bit: that
    is a measurement, and is shown as thermal readings are.
    """
    if sense == Modality.DEPTH:
        return depth.renderer()
    stretched = thermal.renderer()
    if sense == Modality.THERMAL:
        return stretched
    return lambda raw: stretched(raw) if raw.ndim == 2 and raw.dtype != np.uint8 else eight_bit(raw)
