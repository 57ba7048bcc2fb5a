"""Light that suits a plan: the hour, lamps along the way, glare where it hurts, fog that dims but does not hide."""

from __future__ import annotations

import math

import numpy as np

from tectum.world.actors import Actor
from tectum.world.camera import Camera
from tectum.world.light import Lamp, Light
from tectum.world.motion import Wave
from tectum.world.plan import Plan

AMBIENT = {"day": (0.75, 1.15), "dusk": (0.14, 0.3), "night": (0.008, 0.025)}
"""Least and most light everywhere at each hour; 1 shows a white surface as white."""

TINTS = {"day": (1.0, 1.0, 1.0), "dusk": (1.1, 0.97, 0.9), "night": (1.05, 0.98, 0.9)}
"""Factors of red, green and blue at each hour."""

NOISE = {"day": (1.5e-4, 3e-3), "dusk": (8e-4, 6e-3), "night": (3e-3, 6e-3)}
"""Variance of shot noise in white and deviation of read noise at each hour, as cameras raise their gain."""


def lit(rng: np.random.Generator, plan: Plan, camera: Camera, target: Actor, length: int) -> Light:
    """Lights a scene.

    Args:
        rng: source of randomness.
        plan: what the scene is to hold.
        camera: how it is seen.
        target: where glare should meet it.
        length: in frames.
    """
    low, high = AMBIENT[plan.light]
    ambient = float(rng.uniform(low, high))
    tint = [float(factor * rng.uniform(0.93, 1.07)) for factor in TINTS[plan.light]]
    shot, read = NOISE[plan.light]
    gain = float(rng.uniform(0.4, 1.6))
    return Light(
        name=plan.light,
        ambient=Wave.random(rng, ambient, 0.06 * ambient, 0.05),
        tint=(tint[0], tint[1], tint[2]),
        lamps=_lamps(rng, plan, camera),
        glares=_glares(rng, camera, target, length) if plan.glare else (),
        flicker=Wave.random(rng, 1.0, 0.25, 0.12),
        fog=float(rng.uniform(0.3, 0.7)) * target.inverse(0, camera) if plan.fog else 0.0,
        mist=float(rng.uniform(0.5, 0.7)),
        exposure=float(rng.uniform(0.2, 0.4) if plan.light == "day" else rng.uniform(0.4, 0.7)),
        shot_noise=shot * gain,
        read_noise=read * math.sqrt(gain),
    )


def _lamps(rng: np.random.Generator, plan: Plan, camera: Camera) -> tuple[Lamp, ...]:
    """Few small pools of light at night, one wide one by day."""
    width, height = camera.size
    if plan.light == "day":
        return (Lamp(float(rng.uniform(0, width)), float(rng.uniform(0, height)), 0.5 * width, 0.15),)
    power = (0.04, 0.2) if plan.light == "night" else (0.1, 0.3)
    return tuple(
        Lamp(float(x * width), float(y * height), float(reach * width), float(rng.uniform(*power)))
        for x, y, reach in rng.uniform((-0.1, 0.1, 0.04), (1.1, 0.9, 0.1), (int(rng.integers(1, 4)), 3))
    )


def _glares(rng: np.random.Generator, camera: Camera, target: Actor, length: int) -> tuple[Lamp, ...]:
    """Sources near places that the target comes by, with a bright heart and a wide veil."""
    found = []
    for moment in rng.uniform(0.2, 0.9, 2) * length:
        size = math.exp(target.size.at(moment))
        y = target.y.at(moment) if target.y else camera.row_of_ground(target.inverse(moment, camera))
        x = target.x.at(moment) + float(rng.uniform(-0.5, 0.5)) * size
        y -= size * float(rng.uniform(0.3, 1.5))
        found.append(Lamp(x, y, float(rng.uniform(0.012, 0.035)) * camera.size[0], float(rng.uniform(0.9, 2.5))))
        found.append(Lamp(x, y, float(rng.uniform(0.08, 0.2)) * camera.size[0], float(rng.uniform(0.15, 0.5))))
    return tuple(found)
