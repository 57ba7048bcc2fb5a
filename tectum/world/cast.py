"""The things that move in scenes: people, animals, vehicles and loose things, each a little different every time."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np

from tectum.world.outlines import Outline, Part, block, disc, limb, ring

_VEHICLE = (("body", "metal"), ("glass", "glass"), ("dark", "rubber"), ("light", "metal"), ("second", "metal"))


def _person(rng: np.random.Generator) -> Outline:
    build, head, stride = rng.uniform(0.085, 0.12), rng.uniform(0.06, 0.075), rng.uniform(0.3, 0.6)
    hip, neck = -0.47, -0.83
    leg, arm = build * 0.55, build * 0.36
    sleeve, trouser = limb(0, neck + 0.04, 0.03, hip + 0.02, arm, arm * 0.8), limb(0, hip, 0, -0.03, leg, leg * 0.6)
    bag = [Part(block(-0.2, neck, -0.04, hip - 0.08, 0.03), "third")] if rng.random() < 0.35 else []
    parts = (
        Part(sleeve, "body", (0, neck), stride, 0.0),
        Part(trouser, "second", (0, hip), stride, math.pi),
        Part(trouser, "second", (0, hip), stride, 0.0),
        *bag,
        Part(limb(0, neck + 0.03, 0, hip, build, build * 0.8)),
        Part(limb(0, neck, 0, neck - 0.05, 0.035, 0.035), "skin"),
        Part(disc(0.01, -1 + head, head * 0.9, head), "skin"),
        Part(disc(-0.012, -1 + head * 0.75, head * 0.92, head * 0.75), "dark"),
        Part(sleeve, "body", (0, neck), stride, math.pi),
    )
    materials = (("body", "cloth"), ("second", "cloth"), ("third", "cloth"), ("skin", "skin"), ("dark", "fur"))
    return Outline("person", parts, rng.uniform(1.5, 1.9), materials, thick=0.75, supple=True)


def _beast(rng: np.random.Generator, kind: str, tall: float, leg: float, neck: float) -> Outline:
    """A trunk on four legs, with a head on a neck and a tail."""
    back, long, deep, stride = -0.72, rng.uniform(0.5, 0.62), rng.uniform(0.12, 0.16), rng.uniform(0.35, 0.6)
    belly, tip, hinge = back + 2 * deep - 0.1, (long + neck * 0.5, -0.88), (long, back)
    legs = [
        Part(limb(x, belly, x, -0.02, leg, leg * 0.6), "body", (x, belly), stride, phase)
        for x, phase in ((long * 0.82, 0.0), (-long * 0.85, 2.6), (long * 0.72, math.pi), (-long * 0.75, 5.6))
    ]
    parts = (
        *legs[:2],
        Part(limb(-long, back + 0.06, -long - 0.26, back - 0.02, 0.04, 0.02), "second", (-long, back + 0.06), 0.4),
        Part(limb(-long + deep, back + deep, long - deep, back + deep * 0.95, deep, deep)),
        Part(limb(long - 0.06, back + 0.08, *tip, deep * 0.75, deep * 0.5), "body", hinge, 0.1),
        Part(limb(*tip, tip[0] + 0.17, tip[1] + 0.06, 0.085, 0.05), "body", hinge, 0.1),
        Part(limb(tip[0] - 0.03, tip[1] - 0.06, tip[0] - 0.05, -0.99, 0.03, 0.012), "second", hinge, 0.1),
        *legs[2:],
    )
    return Outline(kind, parts, tall, (("body", "fur"), ("second", "fur")), thick=0.4, supple=True)


def _dog(rng: np.random.Generator) -> Outline:
    return _beast(rng, "dog", rng.uniform(0.5, 0.8), 0.055, 0.2)


def _horse(rng: np.random.Generator) -> Outline:
    return _beast(rng, "horse", rng.uniform(1.6, 2.0), 0.045, 0.34)


def _bird(rng: np.random.Generator) -> Outline:
    span, flap = rng.uniform(0.4, 0.5), rng.uniform(0.5, 0.9)
    wing = ((-0.18, -0.5), (0.2, -0.55), (0.1, -0.5 - span), (-0.12, -0.45 - span), (-0.3, -0.5 - 0.7 * span))
    parts = (
        Part(wing, "second", (0, -0.5), flap, 0.3),
        Part(((-0.4, -0.52), (-0.85, -0.62), (-0.9, -0.42), (-0.4, -0.42)), "second"),
        Part(disc(0, -0.47, 0.5, 0.17)),
        Part(disc(0.5, -0.55, 0.15, 0.13)),
        Part(((0.6, -0.58), (0.82, -0.52), (0.6, -0.48)), "third"),
        Part(wing, "body", (0, -0.5), flap, 0.0),
    )
    materials = (("body", "feather"), ("second", "feather"), ("third", "plastic"))
    return Outline("bird", parts, rng.uniform(0.3, 0.6), materials, thick=0.6, flies=True, supple=True)


def _wheel(x: float, radius: float) -> tuple[Part, ...]:
    """A tyre with a hub that shows its turning."""
    corners = [2 * math.pi * step / 5 for step in range(5)]
    hub = tuple((x + 0.55 * radius * math.cos(a), -radius + 0.55 * radius * math.sin(a)) for a in corners)
    return (Part(disc(x, -radius, radius), "dark"), Part(hub, "light", (x, -radius), spin=1.0))


def _car(rng: np.random.Generator) -> Outline:
    long, belt, wheel = rng.uniform(1.25, 1.55), rng.uniform(-0.62, -0.54), rng.uniform(0.2, 0.24)
    back, front = rng.uniform(0.5, 0.95) * long, rng.uniform(0.35, 0.6) * long
    roof = ((-back + 0.12, -1.0), (front - 0.3, -1.0), (front, belt), (-back, belt))
    glass = tuple((x * 0.88 - 0.02, min(belt - 0.03, y * 0.93)) for x, y in roof)
    nose = ((front, belt), (long - 0.08, belt + 0.08), (long, -0.32), (long, -0.14))
    parts = (
        Part(roof),
        Part(((-long, -0.14), (-long, belt + 0.04), (-long + 0.1, belt), *nose)),
        Part(glass, "glass"),
        Part(block(long - 0.12, -0.44, long - 0.02, -0.34), "light"),
        Part(block(-0.03, belt + 0.02, 0, -0.18), "dark"),
        *_wheel(-0.62 * long, wheel),
        *_wheel(0.62 * long, wheel),
    )
    return Outline("car", parts, rng.uniform(1.35, 1.6), _VEHICLE, thick=0.42)


def _bus(rng: np.random.Generator) -> Outline:
    long, count = rng.uniform(1.2, 1.8), int(rng.integers(4, 7))
    edges = np.linspace(-long + 0.1, long - 0.08, count + 1).tolist()
    windows = [Part(block(a + 0.02, -0.88, b - 0.02, -0.5), "glass") for a, b in pairwise(edges)]
    parts = (
        Part(block(-long, -1, long, -0.1, 0.05)),
        Part(block(-long, -0.36, long, -0.28), "second"),
        *windows,
        *_wheel(-0.6 * long, 0.15),
        *_wheel(0.65 * long, 0.15),
    )
    return Outline("bus", parts, rng.uniform(2.6, 3.2), _VEHICLE, thick=0.4)


def _cyclist(rng: np.random.Generator) -> Outline:
    reach, lean = rng.uniform(0.26, 0.32), rng.uniform(0.12, 0.26)
    rims = [Part(ring(x, -0.2, 0.2, 0.05), "dark", (x, -0.2), spin=1.0) for x in (-reach, reach)]
    leg, hip = limb(-0.1, -0.52, 0.06, -0.16, 0.05, 0.035), (-0.1, -0.52)
    fork, saddle = (reach - 0.06, -0.5), (-0.1, -0.48)
    bars = ((-reach, -0.2, *saddle), (*saddle, *fork), (*fork, 0.0, -0.2), (reach, -0.2, reach - 0.08, -0.58))
    parts = (
        Part(leg, "second", hip, 0.35, 0.0),
        *rims,
        *(Part(limb(*bar, 0.018, 0.018), "light") for bar in bars),
        Part(leg, "second", hip, 0.35, math.pi),
        Part(limb(-0.1, -0.54, lean - 0.06, -0.8, 0.08, 0.075)),
        Part(limb(lean - 0.05, -0.78, reach - 0.06, -0.58, 0.03, 0.025), "skin"),
        Part(disc(lean, -0.92, 0.07, 0.08), "skin"),
        Part(disc(lean - 0.01, -0.95, 0.08, 0.055), "third"),
    )
    wear = (("body", "cloth"), ("second", "cloth"), ("third", "plastic"), ("skin", "skin"))
    materials = (*wear, ("dark", "rubber"), ("light", "metal"))
    return Outline("cyclist", parts, rng.uniform(1.6, 1.8), materials, thick=0.4, supple=True)


def _ball(rng: np.random.Generator) -> Outline:
    parts = (Part(disc(0, -0.5, 0.5, corners=24), "body", (0, -0.5), spin=1.0),)
    return Outline("ball", parts, rng.uniform(0.22, 0.5), (("body", "plastic"),))


def _balloon(rng: np.random.Generator) -> Outline:
    wide, soft = rng.uniform(0.26, 0.36), rng.uniform(0.04, 0.1)
    parts = (
        Part(limb(0, -0.35, 0.03, 0, 0.008, 0.008), "dark", (0, -0.35), 0.3),
        Part(disc(0, -0.66, wide, 0.34, 24), "body", (0, -0.66), soft=soft),
        Part(((-0.04, -0.31), (0.04, -0.31), (0, -0.36)), "body"),
    )
    materials = (("body", "plastic"), ("dark", "cloth"))
    return Outline("balloon", parts, rng.uniform(0.4, 0.8), materials, flies=True, supple=True)


def _drone(rng: np.random.Generator) -> Outline:
    arm, long = rng.uniform(0.9, 1.2), rng.uniform(0.3, 0.5)
    blade = [
        Part(limb(x - 0.42, -0.92, x + 0.42, -0.92, 0.05, 0.05), "light", (x, -0.92), 0.25, x) for x in (-arm, arm)
    ]
    parts = (
        Part(limb(-arm, -0.7, arm, -0.7, 0.06, 0.06), "dark"),
        *(Part(limb(x, -0.9, x, -0.62, 0.06, 0.06), "dark") for x in (-arm, arm)),
        *blade,
        Part(block(-long, -0.85, long, -0.35, 0.1)),
        Part(disc(long * 0.5, -0.32, 0.16), "glass"),
        *(Part(limb(x, -0.4, 1.5 * x, 0, 0.04, 0.04), "dark") for x in (-long, long)),
    )
    materials = (("body", "plastic"), ("dark", "plastic"), ("light", "plastic"), ("glass", "glass"))
    return Outline("drone", parts, rng.uniform(0.25, 0.4), materials, thick=0.9, flies=True)


def _box(rng: np.random.Generator) -> Outline:
    wide, tape = rng.uniform(0.35, 0.7), rng.uniform(0.05, 0.12)
    parts = (Part(block(-wide, -1, wide, 0)), Part(block(-tape, -1, tape, 0), "second"))
    return Outline("box", parts, rng.uniform(0.3, 0.6), (("body", "wood"), ("second", "plastic")), thick=0.7)


def _bottle(rng: np.random.Generator) -> Outline:
    wide, neck = rng.uniform(0.14, 0.2), rng.uniform(0.05, 0.07)
    side = ((wide, 0.0), (wide, -0.55), (neck, -0.75), (neck, -0.93))
    parts = (
        Part((*side, *((-x, y) for x, y in reversed(side)))),
        Part(block(-wide, -0.46, wide, -0.16), "second"),
        Part(block(-neck * 1.15, -1, neck * 1.15, -0.9), "third"),
    )
    materials = (("body", "plastic"), ("second", "cloth"), ("third", "plastic"))
    return Outline("bottle", parts, rng.uniform(0.25, 0.4), materials)


def _car_from_above(rng: np.random.Generator) -> Outline:
    wide, nose, tail = rng.uniform(0.2, 0.24), rng.uniform(0.12, 0.2), rng.uniform(0.05, 0.16)
    parts = (
        Part(block(-0.5, -0.5 - wide, 0.5, -0.5 + wide, 0.08)),
        Part(block(0.36 - nose, -0.5 - wide * 0.8, 0.5 - nose, -0.5 + wide * 0.8, 0.04), "glass"),
        Part(block(-0.5 + tail, -0.5 - wide * 0.75, -0.42 + tail, -0.5 + wide * 0.75, 0.03), "glass"),
        Part(block(-0.4 + tail, -0.5 - wide * 0.8, 0.34 - nose, -0.5 + wide * 0.8, 0.04), "second"),
    )
    return Outline("car", parts, rng.uniform(4.0, 4.8), _VEHICLE, flies=True)


def _boat_from_above(rng: np.random.Generator) -> Outline:
    wide = rng.uniform(0.14, 0.2)
    side = ((-0.5, 0.8 * wide), (0.1, wide), (0.5, 0.0))
    hull = tuple([(x, -0.5 - y) for x, y in side] + [(x, -0.5 + y) for x, y in reversed(side[:2])])
    deck = tuple((x * 0.75 - 0.04, -0.5 + (y + 0.5) * 0.65) for x, y in hull)
    parts = (Part(hull), Part(deck, "second"), Part(block(-0.2, -0.57, 0.02, -0.43), "glass"))
    materials = (("body", "plastic"), ("second", "wood"), ("glass", "glass"))
    return Outline("boat", parts, rng.uniform(5, 9), materials, flies=True)


def _person_from_above(rng: np.random.Generator) -> Outline:
    wide, head = rng.uniform(0.36, 0.46), rng.uniform(0.13, 0.17)
    arms = [Part(limb(0, y, 0.22, y, 0.09, 0.07), "body", (0, y), 0.5, y) for y in (-0.5 - wide, -0.5 + wide)]
    parts = (*arms, Part(disc(0, -0.5, 0.16, wide)), Part(disc(0.04, -0.5, head), "dark"))
    return Outline(
        "person", parts, rng.uniform(0.5, 0.7), (("body", "cloth"), ("dark", "fur")), flies=True, supple=True
    )


Maker = Callable[[np.random.Generator], Outline]
"""Draws one thing of a kind."""

FROM_THE_SIDE: dict[str, Maker] = {
    "person": _person,
    "dog": _dog,
    "horse": _horse,
    "bird": _bird,
    "car": _car,
    "bus": _bus,
    "cyclist": _cyclist,
    "ball": _ball,
    "balloon": _balloon,
    "drone": _drone,
    "box": _box,
    "bottle": _bottle,
}
"""What a camera on the ground sees, by what a person would call it."""

FROM_ABOVE: dict[str, Maker] = {"car": _car_from_above, "boat": _boat_from_above, "person": _person_from_above}
"""What a camera in the air sees."""
