"""What an event camera makes of changing light.

The model is that of a dynamic vision sensor (Lichtsteiner, Posch, Delbruck, IEEE JSSC 2008), simulated as by Rebecq,
Gehrig, Scaramuzza (ESIM, CoRL 2018): between two samples the logarithm of a pixel's light goes in a straight line, so
that the times at which it crosses thresholds are known exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from tectum.geometry import Image
from tectum.world.textures import Field

EVENT = np.dtype([("t", np.uint32), ("x", np.uint16), ("y", np.uint16), ("p", np.uint8)])
"""One event: microseconds since the start of the recording, column, row, and 1 for a rise or 0 for a fall."""

Events = npt.NDArray[np.void]
"""Events of type `EVENT` in order of time."""

RISE = (220, 30, 30)
"""Colour of rising light in accumulated images, RGB, as VisEvent draws it."""

FALL = (30, 30, 200)
"""Colour of falling light."""


@dataclass(frozen=True)
class Pixels:
    """The state of all pixels of an event camera at one moment.

    Attributes:
        time: in microseconds.
        level: logarithm of the light `H×W`.
        reference: the level from which the next change is counted, `H×W`.
        ready: when each pixel can fire again, in microseconds `H×W`.
    """

    time: float
    level: Field
    reference: Field
    ready: npt.NDArray[np.float64]

    @classmethod
    def starting(cls, time: float, level: Field) -> Pixels:
        """Pixels that have just been switched on."""
        return cls(time, level, level.copy(), np.full(level.shape, -np.inf))


@dataclass(frozen=True)
class EventCamera:
    """A dynamic vision sensor.

    Attributes:
        rise: growth of the logarithm of light that makes an event.
        fall: decrease of the logarithm of light that makes an event.
        mismatch: standard deviation of both over the pixels.
        refractory: microseconds for which a pixel is blind after an event.
        noise: events in a second that a pixel fires by itself.
        dark: light, as a share of white, that a pixel sees in the dark.
        seed: of the mismatch.
    """

    rise: float = 0.22
    fall: float = 0.22
    mismatch: float = 0.03
    refractory: float = 300.0
    noise: float = 0.15
    dark: float = 0.002
    seed: int = 0

    def thresholds(self, shape: tuple[int, ...]) -> tuple[Field, Field]:
        """The thresholds of each pixel for rising and falling light, `H×W` each."""
        rng = np.random.default_rng(self.seed)
        rise, fall = (
            np.maximum(middle + np.float32(self.mismatch) * rng.standard_normal(shape, np.float32), 0.02)
            for middle in (np.float32(self.rise), np.float32(self.fall))
        )
        return np.asarray(rise, np.float32), np.asarray(fall, np.float32)

    def level(self, light: Field) -> Field:
        """The logarithm of linear light, which pixels watch."""
        return np.asarray(cv2.log(light + np.float32(self.dark)), np.float32)

    def watched(
        self, pixels: Pixels, time: float, level: Field, thresholds: tuple[Field, Field]
    ) -> tuple[Pixels, Events]:
        """Lets time pass.

        Args:
            pixels: their state before.
            time: until when, in microseconds.
            level: the logarithm of light then, `H×W`; in between it goes in a straight line.
            thresholds: of each pixel, for rising and falling light.

        Returns:
            Their state then, and what they fired.
        """
        rise, fall = thresholds
        change = level - pixels.reference
        # Light goes one way between two samples: only pixels that end beyond a threshold, or were blind, matter.
        busy = np.flatnonzero((change >= rise) | (change <= -fall) | (pixels.ready > pixels.time))
        reference, ready = pixels.reference.copy(), pixels.ready.copy()
        fired = self._fired(pixels, time, level, thresholds, busy)
        reference.flat[busy], ready.flat[busy] = fired.reference, fired.ready
        return Pixels(time, level, reference, ready), _listed(fired, busy, level.shape)

    def _fired(
        self, pixels: Pixels, time: float, level: Field, thresholds: tuple[Field, Field], busy: npt.NDArray[np.int64]
    ) -> _Fired:
        """When some pixels, by their flat places, cross their thresholds until a time."""
        known, reference, ready = (each.ravel()[busy] for each in (pixels.level, pixels.reference, pixels.ready))
        slope = (level.ravel()[busy] - known) / (time - pixels.time)
        blind = ready > pixels.time
        start = np.where(blind, np.minimum(ready, time), pixels.time)
        begun = known + slope * (start - pixels.time)
        reference = np.where(blind, begun, reference)
        rising = slope > 0
        step = np.where(rising, *(each.ravel()[busy] for each in thresholds))
        speed = np.maximum(np.abs(slope), 1e-12)
        first = start + np.maximum(step - np.where(rising, begun - reference, reference - begun), 0) / speed
        gap = step / speed + self.refractory
        count = np.where((first <= time) & (slope != 0), 1 + np.floor((time - first) / gap), 0).astype(np.int64)
        last = first + (count - 1) * gap
        reset = known + slope * (np.minimum(last + self.refractory, time) - pixels.time)
        fires = count > 0
        return _Fired(
            first, gap, count, rising, np.where(fires, reset, reference), np.where(fires, last + self.refractory, ready)
        )

    def background(self, start: float, end: float, shape: tuple[int, ...], rng: np.random.Generator) -> Events:
        """Events that pixels fire by themselves between two moments in microseconds."""
        count = int(rng.poisson(self.noise * shape[0] * shape[1] * (end - start) * 1e-6))
        events = np.empty(count, EVENT)
        events["t"] = rng.uniform(max(start, 0), max(end, 1), count)
        events["x"], events["y"] = rng.integers(shape[1], size=count), rng.integers(shape[0], size=count)
        events["p"] = rng.integers(2, size=count)
        return events


@dataclass(frozen=True)
class _Fired:
    """What some pixels do between two samples, one number each: events at `first + k * gap` for `k < count`."""

    first: npt.NDArray[np.float64]
    gap: npt.NDArray[np.float64]
    count: npt.NDArray[np.int64]
    rising: npt.NDArray[np.bool_]
    reference: npt.NDArray[np.float64]
    ready: npt.NDArray[np.float64]


def _listed(fired: _Fired, places: npt.NDArray[np.int64], shape: tuple[int, ...]) -> Events:
    """One entry per event of each pixel, the pixels given by their flat places."""
    pixel = np.repeat(np.arange(len(places)), fired.count)
    number = np.arange(len(pixel)) - np.repeat(np.cumsum(fired.count) - fired.count, fired.count)
    events = np.empty(len(pixel), EVENT)
    events["t"] = np.maximum(fired.first[pixel] + number * fired.gap[pixel], 0)
    events["y"], events["x"] = np.divmod(places[pixel], shape[1])
    events["p"] = fired.rising[pixel]
    return events


def in_order(parts: list[Events]) -> Events:
    """Events of several lists in order of time."""
    whole = np.concatenate(parts) if parts else np.empty(0, EVENT)
    return np.asarray(whole[np.argsort(whole["t"], kind="stable")])


def accumulated(events: Events, size: tuple[int, int]) -> Image:
    """The image of some events: the last one at each pixel on white ground, as VisEvent draws them; `H×W×3`."""
    image = np.full((size[1], size[0], 3), 255, np.uint8)
    colours = np.array([FALL, RISE], np.uint8)
    image[events["y"], events["x"]] = colours[events["p"]]
    return image
