"""Who plays: which kinds fit a place, and what they wear."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tectum.world.actors import Actor
from tectum.world.cast import FROM_ABOVE, FROM_THE_SIDE, Maker
from tectum.world.materials import COLOURS, TEXTURES, Finish
from tectum.world.outlines import Outline
from tectum.world.plan import Plan
from tectum.world.script import Backdrop


def cast_of(plan: Plan) -> dict[str, Maker]:
    """The kinds of things that may be met in a plan's place."""
    if plan.place == "air":
        return FROM_ABOVE
    indoors = {"person", "dog", "ball", "balloon", "drone", "box", "bottle"}
    outdoors = set(FROM_THE_SIDE) - {"bottle", "box"}
    allowed = indoors if plan.place == "room" else outdoors - ({"bus"} if plan.place == "field" else set())
    return {kind: maker for kind, maker in FROM_THE_SIDE.items() if kind in allowed}


def drawn(rng: np.random.Generator, plan: Plan) -> Outline:
    """A target of the plan's kind, or of any that fits its place."""
    cast = cast_of(plan)
    kinds = [plan.kind] if plan.kind else list(cast)
    return cast[str(rng.choice(kinds))](rng)


def finished(rng: np.random.Generator, outline: Outline) -> tuple[tuple[str, Finish], ...]:
    """Something to wear for each role of an outline: skin like skin, fur like fur, the rest by chance."""
    found = []
    engine = float(rng.uniform(0, 10))
    for role, material in outline.roles:
        finish = Finish.random(rng, material, 0.45 if role == "body" else 0.75)
        if role == "skin":
            tone = str(rng.choice(["pink", "brown", "orange"]))
            finish = replace(finish, colour=tone, texture="plain")
        elif role in ("dark", "glass"):
            finish = replace(finish, colour=str(rng.choice(["black", "black", "grey", "brown"])), texture="plain")
        elif material == "fur" or role == "light":
            finish = replace(finish, texture=str(rng.choice(["plain", "mottled"])))
        if material == "leaf":
            finish = replace(
                finish, colour="green", accent=str(rng.choice(["brown", "yellow", "black"])), texture="mottled"
            )
        if outline.kind in ("car", "bus", "drone"):
            finish = replace(finish, warmth=engine * float(rng.uniform(0.2, 1)))
        found.append((role, finish))
    return tuple(found)


def varied(rng: np.random.Generator, finish: Finish) -> Finish:
    """Another colour or another pattern, on another piece of the same material."""
    seed = int(rng.integers(2**31))
    if finish.texture != "plain" and rng.random() < 0.4:
        textures = [each for each in TEXTURES if each != finish.texture]
        return replace(finish, texture=str(rng.choice(textures)), seed=seed)
    colours = [each for each in COLOURS if each not in (finish.colour, finish.accent)]
    return replace(finish, colour=str(rng.choice(colours)), seed=seed)


def sober(rng: np.random.Generator, finish: Finish) -> Finish:
    """The paler, plainer look of what people build to stand about."""
    if finish.material not in ("stone", "metal"):
        return replace(finish, fade=float(rng.uniform(0.2, 0.7)))
    colour = str(rng.choice(["grey", "white", "brown", "yellow", "orange", "black", "green"]))
    texture = finish.texture if rng.random() < 0.25 else "plain"
    return replace(finish, colour=colour, texture=texture, fade=float(rng.uniform(0.4, 0.9)))


def camouflaged(target: Actor, backdrop: Backdrop) -> Actor:
    """The target in the colours of the ground."""
    body = replace(target.finish, colour=backdrop.ground.colour, accent=backdrop.ground.accent, texture="mottled")
    finishes = tuple((role, body if role == "body" else each) for role, each in target.finishes)
    return replace(target, finishes=finishes)
