"""From a plan and a seed to a script: who plays, where they stand, how they and the camera move."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from tectum.world.actors import Actor
from tectum.world.backdrop import named_ground
from tectum.world.camera import Camera
from tectum.world.casting import camouflaged, cast_of, drawn, finished, sober, varied
from tectum.world.lighting import lit
from tectum.world.materials import Finish
from tectum.world.motion import Wave, still
from tectum.world.outlines import Outline
from tectum.world.plan import Plan
from tectum.world.scenery import OCCLUDERS, SCENERY
from tectum.world.script import Backdrop, Crossover, Script
from tectum.world.sensors import sensors
from tectum.world.surfaces import Weather

TRIES = 60
"""How often a thing is given another place before it is left out."""


@dataclass(frozen=True)
class Stage:
    """What casting and blocking need to know.

    Attributes:
        plan: what the scene is to hold.
        camera: where it stands, before it moves.
        target_inverse: the target's usual inverse distance in 1/m.
        limit: the inverse distance of the farthest that may stand on the stage.
    """

    plan: Plan
    camera: Camera
    target_inverse: float
    limit: float

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the view."""
        return self.camera.size


def written(seed: int, plan: Plan, length: int = 100, size: tuple[int, int] = (480, 360), name: str = "") -> Script:
    """Writes the script of a scene.

    Args:
        seed: another number, another scene.
        plan: what it is to hold.
        length: in frames.
        size: width and height in pixels.
        name: for files; by default `scene-` and the seed.
    """
    rng = np.random.default_rng(seed)
    outline = drawn(rng, plan)
    stage = _stage(rng, plan, outline, size)
    target = _target(rng, stage, outline)
    tried = (_in_the_way(rng, stage, target, length, number) for number in range(plan.occluders))
    occluders = [each for each in tried if each is not None]
    others = _others(rng, stage, target)
    bystanders = [_bystander(rng, stage, target, number) for number in range(int(rng.integers(1, 4)))]
    camera = _moving(rng, stage, target)
    weather = Weather(float(rng.uniform(6, 26)), float(rng.uniform(0.2, 0.9)) if plan.light == "day" else 0.08)
    backdrop = _backdrop(rng, stage, camera)
    if plan.cluttered:
        target = camouflaged(target, backdrop)
    light = lit(rng, plan, camera, target, length)
    thermal, ranging, dvs = sensors(rng, plan, weather, 1 / stage.target_inverse)
    return Script(
        name or f"scene-{seed}", seed, length, camera, backdrop, light, weather, target, tuple(others),
        (*bystanders, *occluders), _crossover(rng, plan, length), thermal, ranging, dvs,
    )  # fmt: skip


def _stage(rng: np.random.Generator, plan: Plan, outline: Outline, size: tuple[int, int]) -> Stage:
    """Chooses the camera so that the target stands in the view at a good size."""
    width, height = size
    left, top, right, bottom = outline.extent
    share = float(rng.uniform(0.035, 0.055) if plan.small else rng.uniform(0.11, 0.22))
    tall = share * math.sqrt(width * height) / math.sqrt((right - left) * (bottom - top))
    focal = float(rng.uniform(0.6, 0.9) if plan.place == "room" else rng.uniform(0.65, 1.15)) * width
    inverse = tall / (focal * outline.tall)
    if plan.place == "air":
        return Stage(plan, Camera(size, focal, 1 / inverse, None), inverse, inverse)
    above = float(rng.uniform(1.2, 2.0) if plan.place == "room" else rng.choice([1.6, 2.5, 4.5]))
    row = float(rng.uniform(0.62, 0.85)) * height
    # Low things near the camera are looked down upon: the horizon may lie far above the view.
    horizon = float(rng.uniform(0.45, 0.75)) * height if outline.flies else row - focal * above * inverse
    far = inverse / float(rng.uniform(1.3, 2.2) if plan.place == "room" else rng.uniform(2.5, 7.0))
    return Stage(plan, Camera(size, focal, above, horizon), inverse, far)


def _target(rng: np.random.Generator, stage: Stage, outline: Outline) -> Actor:
    plan, width = stage.plan, stage.size[0]
    reach = 0.36 if plan.fast else float(rng.uniform(0.18, 0.34))
    pace = float(rng.uniform(0.4, 0.55)) if plan.fast else float(rng.uniform(0.03, 0.07))
    if plan.leaves:
        x = _leaving(rng, width, float(rng.uniform(0.045, 0.07)))
    else:
        x = Wave.random(rng, width * float(rng.uniform(0.42, 0.58)), reach * width, pace)
    finishes = finished(rng, outline)
    for _ in range(TRIES):
        actor = _actor(rng, stage, outline, finishes, "target", x, stage.target_inverse, pace)
        if _inside(stage, actor):
            break
        x = replace(x, phase=tuple(float(phase) for phase in rng.uniform(-0.5, 0.5, len(x.phase))))
    return actor


def _inside(stage: Stage, actor: Actor) -> bool:
    left, top, right, bottom = actor.frame(0, stage.camera)
    width, height = stage.size
    return left > 0.02 * width and top > 0.02 * height and right < 0.98 * width and bottom < 0.98 * height


def _leaving(rng: np.random.Generator, width: int, pace: float) -> Wave:
    """A way that starts in the middle of the view, leaves it and comes back."""
    side = float(rng.choice([-1, 1]))
    return Wave(
        width / 2, (side * 0.72 * width, 0.06 * width), (pace, 2.3 * pace), (float(rng.uniform(-0.3, 0.3)), 0.0)
    )


def _actor(
    rng: np.random.Generator,
    stage: Stage,
    outline: Outline,
    finishes: tuple[tuple[str, Finish], ...],
    name: str,
    x: Wave,
    inverse: float,
    pace: float,
) -> Actor:
    """Gives a thing its way over the stage."""
    plan, (_, height) = stage.plan, stage.size
    size = _sizes(rng, stage, outline, inverse)
    y = None
    if outline.flies or plan.place == "air":
        middle = height * float(rng.uniform(0.4, 0.62))
        y = Wave.random(rng, middle, (0.3 if plan.place == "air" else 0.2) * height, pace)
    rigid = not outline.supple and not any(part.spin for part in outline.parts)
    yaw = Wave.random(rng, 0.0, float(rng.uniform(0.3, 1.2)), 0.06) if rigid else None
    tilt = (
        Wave.random(rng, 0.0, 0.25, 0.08) if outline.flies and plan.place != "air" else Wave.random(rng, 0, 0.04, 0.1)
    )
    cadence = float(rng.uniform(0.16, 0.4)) * float(rng.choice([-1, 1]))
    return Actor(name, outline, finishes, x, y, size, yaw, tilt, cadence, heads=plan.place == "air")


def _sizes(rng: np.random.Generator, stage: Stage, outline: Outline, inverse: float) -> Wave:
    """How large a thing looks as it comes and goes, neither behind the backdrop nor below the view."""
    scaling = 0.65 if stage.plan.scaling else float(rng.uniform(0.05, 0.25))
    usual = stage.camera.focal * outline.tall
    if stage.plan.place == "air":
        return Wave.random(rng, math.log(inverse * usual), 0.3 * scaling, 0.04)
    least = math.log(1.1 * stage.limit * usual)
    nearest = stage.camera.inverse_of_ground(0.94 * stage.size[1]) * usual
    most = math.log(nearest if not outline.flies else 3 * inverse * usual)
    reach = min(scaling, 0.5 * max(most - least, 0.0))
    middle = min(max(math.log(inverse * usual), least + reach), most - reach)
    return Wave.random(rng, middle, reach, 0.06 if stage.plan.scaling else 0.04)


def _others(rng: np.random.Generator, stage: Stage, target: Actor) -> list[Actor]:
    """Look-alikes of the target and strangers, none of which hides it in the first frame."""
    others: list[Actor] = []
    for number in range(stage.plan.alike + stage.plan.strangers):
        alike = number < stage.plan.alike
        for _ in range(TRIES):
            other = _alike(rng, stage, target, number) if alike else _stranger(rng, stage, target, number)
            if all(_apart(stage, other, each) for each in (target, *others)):
                others.append(other)
                break
    return others


def _alike(rng: np.random.Generator, stage: Stage, target: Actor, number: int) -> Actor:
    plan = stage.plan
    finishes = target.finishes
    if plan.twins < 1 and rng.random() >= plan.twins:
        finishes = tuple((role, varied(rng, finish)) for role, finish in finishes)
    else:
        finishes = tuple((role, replace(finish, seed=int(rng.integers(2**31)))) for role, finish in finishes)
    away = float(rng.uniform(0.25, 0.45) * rng.choice([-1, 1])) if plan.other_depth else float(rng.normal(0, 0.12))
    inverse = max(stage.limit * 1.05, stage.target_inverse * math.exp(away))
    outline = target.outline if plan.twins > 0 else cast_of(plan)[target.kind](rng)
    x = Wave.random(rng, stage.size[0] * float(rng.uniform(0.2, 0.8)), 0.3 * stage.size[0], 0.06)
    return _actor(rng, stage, outline, finishes, f"alike-{number}", x, inverse, 0.06)


def _stranger(rng: np.random.Generator, stage: Stage, target: Actor, number: int) -> Actor:
    cast = cast_of(stage.plan)
    outline = cast[str(rng.choice(list(cast)))](rng)
    x = Wave.random(rng, stage.size[0] * float(rng.uniform(0.1, 0.9)), 0.3 * stage.size[0], 0.05)
    return _actor(
        rng, stage, outline, finished(rng, outline), f"stranger-{number}", x, _depth(rng, stage, outline), 0.05
    )


def _depth(rng: np.random.Generator, stage: Stage, outline: Outline) -> float:
    """An inverse distance near the target's at which a thing does not fill the view."""
    largest = 0.42 * stage.size[1] / (stage.camera.focal * outline.tall)
    chosen = stage.target_inverse * math.exp(float(rng.uniform(-0.6, 0.15)))
    return max(min(chosen, largest), stage.limit * 1.02)


def _apart(stage: Stage, first: Actor, second: Actor) -> bool:
    a, b = first.frame(0, stage.camera), second.frame(0, stage.camera)
    return a[2] < b[0] or b[2] < a[0] or a[3] < b[1] or b[3] < a[1]


def _bystander(rng: np.random.Generator, stage: Stage, target: Actor, number: int) -> Actor:
    """Something that stands behind the target's way."""
    makers = SCENERY[stage.plan.place]
    outline = makers[int(rng.integers(len(makers)))](rng)
    farthest = math.exp(target.size.middle - sum(map(abs, target.size.reach)))
    behind = farthest / (stage.camera.focal * target.outline.tall) * float(rng.uniform(0.4, 0.95))
    inverse = max(behind, stage.limit * 1.01)
    return _standing(rng, stage, outline, f"prop-{number}", float(rng.uniform(0, 1)) * stage.size[0], inverse)


def _in_the_way(rng: np.random.Generator, stage: Stage, target: Actor, length: int, number: int) -> Actor | None:
    """Something nearer than the target where it will pass, but does not start; `None` where nothing fits."""
    makers = OCCLUDERS[stage.plan.place]
    nearest = max(target.inverse(time, stage.camera) for time in range(0, length, 4))
    for _ in range(TRIES):
        moment = float(rng.uniform(0.15, 0.9)) * length
        outline = makers[int(rng.integers(len(makers)))](rng)
        inverse = nearest * float(rng.uniform(1.08, 1.3))
        actor = _standing(rng, stage, outline, f"occluder-{number}", target.x.at(moment), inverse)
        actor = _covering(stage, actor, target, moment)
        left, _, right, _ = actor.frame(0, stage.camera)
        first, _, last, _ = target.frame(moment, stage.camera)
        if right - left < max(2.2 * (last - first), 0.05 * stage.size[0]) and _apart(stage, actor, target):
            return actor
    return None


def _covering(stage: Stage, actor: Actor, target: Actor, moment: float) -> Actor:
    """Scales a thing so that it reaches over the target without filling the view."""
    left, top, right, bottom = target.frame(moment, stage.camera)
    if stage.plan.place == "air":
        wanted = 1.3 * max(right - left, bottom - top)
        return replace(actor, y=still((top + bottom) / 2 + wanted / 2), size=still(math.log(wanted)))
    inverse = math.exp(actor.size.at(0)) / (stage.camera.focal * actor.outline.tall)
    feet = stage.camera.row_of_ground(inverse)
    wanted = min(max(math.exp(actor.size.at(0)), 1.15 * (feet - top)), 1.2 * stage.size[1])
    tall = wanted / (stage.camera.focal * inverse)
    return replace(actor, outline=replace(actor.outline, tall=tall), size=still(math.log(wanted)))


def _standing(rng: np.random.Generator, stage: Stage, outline: Outline, name: str, x: float, inverse: float) -> Actor:
    # Seen from low above a person, a house would fill the view.
    tall = min(inverse * stage.camera.focal * outline.tall, stage.size[1] * float(rng.uniform(0.2, 0.5)))
    tall = tall if stage.plan.place == "air" else inverse * stage.camera.focal * outline.tall
    size = still(math.log(tall))
    y = still(float(rng.uniform(0, 1.1)) * stage.size[1]) if stage.plan.place == "air" else None
    finishes = tuple((role, sober(rng, finish)) for role, finish in finished(rng, outline))
    return Actor(name, outline, finishes, still(x), y, size, still(0.0), cadence=0.08)


def _moving(rng: np.random.Generator, stage: Stage, target: Actor) -> Camera:
    """Lets the camera follow the target by a share of its way, pan, tremble and zoom."""
    plan, (width, height) = stage.plan, stage.size
    follow = 0.0 if plan.leaves or plan.fast else float(rng.uniform(0, 0.85)) * plan.camera
    tremble = Wave.shake(rng, plan.camera * float(rng.uniform(1.0, 8.0)))
    across = target.x.about(0.0, follow) + Wave.random(rng, 0, 0.06 * width * plan.camera, 0.05) + tremble
    across = across + still(-across.at(0))
    sway = Wave.random(rng, 0, 0.04 * height * plan.camera, 0.05)
    down = sway + Wave.shake(rng, plan.camera * float(rng.uniform(1.0, 6.0)))
    if target.y is not None:
        down = down + target.y.about(0.0, follow)
    down = down + still(-down.at(0))
    # In the first frame the camera stands where the things were placed for it.
    shift = Wave.random(rng, 0, 0.05 * plan.camera * width / (stage.camera.focal * stage.target_inverse), 0.04)
    shift = shift + still(-shift.at(0))
    zoom = Wave.random(rng, 0.0, 0.1 * plan.camera, 0.04)
    roll = Wave.random(rng, 0.0, 0.025 * plan.camera, 0.05)
    return replace(stage.camera, across=across, down=down, shift=shift, zoom=zoom, roll=roll)


def _backdrop(rng: np.random.Generator, stage: Stage, camera: Camera) -> Backdrop:
    place = stage.plan.place
    wall = Finish.random(rng, "stone", 0.6)
    texture = wall.texture if wall.texture in ("plain", "mottled") else "plain"
    wall = replace(sober(rng, wall), texture=texture)
    scenery = []
    margin = camera.margin
    for number in range(int(rng.integers(5, 12))):
        makers = SCENERY[place]
        outline = makers[int(rng.integers(len(makers)))](rng)
        x = float(rng.uniform(-margin, stage.size[0] + margin))
        inverse = stage.limit if place != "air" else stage.target_inverse
        scenery.append(_standing(rng, stage, outline, f"scenery-{number}", x, inverse))
    return Backdrop(place, 1 / stage.limit, named_ground(rng, place), wall, int(rng.integers(2**31)), tuple(scenery))


def _crossover(rng: np.random.Generator, plan: Plan, length: int) -> Crossover | None:
    if not plan.crossover:
        return None
    start = float(rng.uniform(0.2, 0.5)) * length
    return Crossover(start, start + float(rng.uniform(0.25, 0.45)) * length)
