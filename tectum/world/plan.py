"""What a scene is to hold, in the words of the benchmarks' attributes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

PLACES = ("street", "field", "room", "air")
"""Where scenes play: between houses, in the open, indoors, and seen from the air."""

LIGHTS = ("day", "dusk", "night")
"""How light it is."""


@dataclass(frozen=True)
class Plan:
    """A wish list from which scripts are written.

    Attributes:
        place: one of `PLACES`.
        light: one of `LIGHTS`.
        kind: of the target; any that fits the place where not given.
        fog: whether there is fog.
        glare: whether a light shines into the lens.
        alike: how many things of the target's kind move about.
        twins: share of those that look the same as the target, 0 to 1; the others differ in colour or pattern.
        strangers: how many other things move about.
        occluders: how many things stand before the target's way.
        camera: how much the camera moves; 0 stands still, 1 is held by hand.
        leaves: whether the target leaves the view and comes back.
        fast: whether the target moves fast.
        scaling: whether the target comes near and goes away.
        small: whether the target is small.
        cluttered: whether the target has the colours of the ground.
        other_depth: whether look-alikes keep to other distances than the target.
        crossover: whether the target cannot be told by its warmth for a while.
    """

    place: str = "street"
    light: str = "day"
    kind: str | None = None
    fog: bool = False
    glare: bool = False
    alike: int = 2
    twins: float = 0.5
    strangers: int = 1
    occluders: int = 1
    camera: float = 0.5
    leaves: bool = False
    fast: bool = False
    scaling: bool = False
    small: bool = False
    cluttered: bool = False
    other_depth: bool = False
    crossover: bool = False

    @classmethod
    def random(cls, seed: int) -> Plan:
        """A plan by chance, always the same for the same seed; each difficulty comes up in a share of them."""
        rng = np.random.default_rng((seed, 1))

        def happens(share: float) -> bool:
            return bool(rng.random() < share)

        return cls(
            place=str(rng.choice(PLACES, p=(0.4, 0.25, 0.2, 0.15))),
            light=str(rng.choice(LIGHTS, p=(0.6, 0.2, 0.2))),
            fog=happens(0.12),
            glare=happens(0.15),
            alike=int(rng.integers(0, 4)),
            twins=float(rng.choice([0.0, 0.5, 1.0])),
            strangers=int(rng.integers(0, 4)),
            occluders=int(rng.integers(0, 3)),
            camera=float(rng.uniform(0, 1)),
            leaves=happens(0.15),
            fast=happens(0.15),
            scaling=happens(0.3),
            small=happens(0.15),
            cluttered=happens(0.15),
            other_depth=happens(0.3),
            crossover=happens(0.2),
        )
