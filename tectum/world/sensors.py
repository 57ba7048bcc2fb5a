"""Cameras of the other senses that suit a scene."""

from __future__ import annotations

import numpy as np

from tectum.world.depth import DepthCamera
from tectum.world.events import EventCamera
from tectum.world.plan import Plan
from tectum.world.surfaces import Weather
from tectum.world.thermal import ThermalCamera


def sensors(
    rng: np.random.Generator, plan: Plan, weather: Weather, distance: float
) -> tuple[ThermalCamera, DepthCamera, EventCamera]:
    """Draws the settings of a thermal, a depth and an event camera.

    Args:
        rng: source of randomness.
        plan: what the scene is to hold.
        weather: which temperatures are about.
        distance: of the target in metres; the depth camera's range reaches beyond it.
    """
    coldest = weather.air - float(rng.uniform(4, 9))
    thermal = ThermalCamera(
        shrink=float(rng.choice([1.0, 1.5, 2.0, 3.0])),
        blur=float(rng.uniform(0.4, 1.0)),
        pattern=float(rng.uniform(0.05, 0.4)),
        noise=float(rng.uniform(0.05, 0.25)),
        coldest=coldest,
        hottest=max(coldest + 18, 31.0) + float(rng.uniform(0, 5)),
        inverted=bool(rng.random() < 0.1),
        seed=int(rng.integers(2**31)),
    )
    # Eight to thirty pixels of disparity at the target keep near and far things apart, whatever the scene's scale.
    strength = float(rng.uniform(8, 30)) * distance
    ranging = DepthCamera(strength, noise=float(rng.uniform(0.03, 0.15)), farthest=distance * float(rng.uniform(2, 4)))
    threshold = float(rng.uniform(0.15, 0.3))
    quiet = 0.05 if plan.light == "day" else 0.2
    dvs = EventCamera(
        rise=threshold,
        fall=threshold * float(rng.uniform(0.9, 1.15)),
        mismatch=float(rng.uniform(0.02, 0.04)),
        noise=quiet * float(rng.uniform(0.3, 2)),
        dark=2e-3 if plan.light == "day" else 5e-4,
        seed=int(rng.integers(2**31)),
    )
    return thermal, ranging, dvs
