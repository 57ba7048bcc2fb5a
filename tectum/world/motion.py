"""Smooth movements of single numbers, known at any moment."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Wave:
    """A movement of one number: `middle + sum(reach * sin(speed * t + phase))`, with `t` in frames."""

    middle: float
    reach: tuple[float, ...] = ()
    speed: tuple[float, ...] = ()
    phase: tuple[float, ...] = ()

    @classmethod
    def random(cls, rng: np.random.Generator, middle: float, reach: float, fastest: float) -> Wave:
        """Two sines that together stay within `reach`; `fastest` is in radians per frame."""
        split = float(rng.uniform(0.5, 0.8))
        speeds = (float(rng.uniform(0.3, 0.6)) * fastest, float(rng.uniform(0.6, 1.0)) * fastest)
        phases = (float(rng.uniform(0, 2 * math.pi)), float(rng.uniform(0, 2 * math.pi)))
        return cls(middle, (reach * split, reach * (1 - split)), speeds, phases)

    @classmethod
    def shake(cls, rng: np.random.Generator, reach: float) -> Wave:
        """The trembling of a hand that holds a camera: quick sines about zero that stay within `reach`."""
        speeds = tuple(float(speed) for speed in rng.uniform((0.2, 0.4, 0.8), (0.4, 0.8, 1.5)))
        phases = tuple(float(phase) for phase in rng.uniform(0, 2 * math.pi, 3))
        return cls(0.0, (0.55 * reach, 0.3 * reach, 0.15 * reach), speeds, phases)

    def at(self, time: float) -> float:
        """The number at a moment in frames."""
        parts = zip(self.reach, self.speed, self.phase, strict=True)
        return self.middle + sum(reach * math.sin(speed * time + phase) for reach, speed, phase in parts)

    def rate(self, time: float) -> float:
        """How fast the number changes, per frame."""
        parts = zip(self.reach, self.speed, self.phase, strict=True)
        return sum(reach * speed * math.cos(speed * time + phase) for reach, speed, phase in parts)

    def about(self, middle: float, share: float = 1.0) -> Wave:
        """The same movement about another middle, with a share of its reach."""
        return Wave(middle, tuple(share * reach for reach in self.reach), self.speed, self.phase)

    def __add__(self, other: Wave) -> Wave:
        """Both movements at once."""
        return Wave(
            self.middle + other.middle, self.reach + other.reach, self.speed + other.speed, self.phase + other.phase
        )


def still(value: float) -> Wave:
    """A number that does not move."""
    return Wave(value)
