"""Every moment of a script on a canvas: the backdrop, then all things from the farthest to the nearest."""

from __future__ import annotations

import math
from collections.abc import Collection
from functools import cached_property

import numpy as np

from tectum.geometry import Image
from tectum.world.actors import Actor
from tectum.world.affine import Affine, scaled
from tectum.world.backdrop import Layers, painted
from tectum.world.camera import Camera
from tectum.world.canvas import Canvas, Coat
from tectum.world.materials import MATERIALS
from tectum.world.script import Script
from tectum.world.surfaces import Plane, Texture, coated

SMEAR = 2.0
"""Pixels that a thing may move between two of the moments that are averaged for motion blur."""

SHADOW = {"day": 0.6, "dusk": 0.35, "night": 0.15}
"""Share of the light that is missing below things at each hour."""

MOMENTS = 6
"""Most moments that are averaged."""

LARGEST = 4096
"""Most pixels along a side of the target that are counted."""


class Painter:
    """Paints the moments of a script.

    Args:
        script: the scene.
        pictures: real pictures `H×W×3` for backdrops and surfaces; without them all is procedural.
    """

    def __init__(self, script: Script, pictures: tuple[Image, ...] = ()) -> None:
        self.script, self.pictures = script, pictures
        self._textures: dict[str, tuple[Texture, ...]] = {}

    @cached_property
    def layers(self) -> Layers:
        """The painted backdrop with its scenery."""
        backdrop, camera = self.script.backdrop, self.script.camera
        rng = np.random.default_rng(backdrop.seed)
        layers = painted(
            backdrop.place, camera, backdrop.distance, backdrop.ground, backdrop.wall, self.script.weather,
            backdrop.seed, self._picture(rng),
        )  # fmt: skip
        if not self.pictures:
            self._add_scenery(layers)
        return layers

    def paint(
        self, time: float, planes: Collection[Plane], *, depth: bool = False, cover: bool = False, scale: float = 1.0
    ) -> Canvas:
        """Paints one moment.

        Args:
            time: in frames.
            planes: which are wanted.
            depth: whether distances and echoes are wanted.
            cover: whether the seen part of the target is wanted.
            scale: pixels of the canvas in a pixel of the view.
        """
        camera = self.script.camera
        width, height = round(camera.size[0] * scale), round(camera.size[1] * scale)
        canvas = Canvas(
            (width, height),
            {plane: self.layers.shown(plane, camera, time, scale) for plane in planes},
            self.layers.distances(camera, time, scale) if depth else None,
            np.ones((height, width), np.float32) if depth else None,
            np.zeros((height, width), np.uint8) if cover else None,
        )
        actors = list(self.script.in_order(time))
        if not planes and not depth:
            # Only the target and what may hide it tell how much of it is seen.
            actors = actors[[actor for actor, _ in actors].index(self.script.target) :]
        for actor, distance in actors:
            if planes and camera.horizon is not None and not actor.outline.flies:
                self._shade(canvas, actor, scaled(actor.placed(time, camera), scale))
            self._lay(canvas, actor, scaled(actor.placed(time, camera), scale), distance, time)
        return canvas

    def moments(self, time: float) -> list[float]:
        """The moments that are averaged while the shutter is open, `time` in their middle."""
        exposure = self.script.light.exposure
        count = min(MOMENTS, max(1, math.ceil(self.farthest_way(time - exposure / 2, time + exposure / 2) / SMEAR)))
        return [time + exposure * ((step + 0.5) / count - 0.5) for step in range(count)]

    def farthest_way(self, start: float, end: float) -> float:
        """The farthest that anything in the view moves between two moments, in pixels; limbs are not counted."""
        camera = self.script.camera
        corners = np.array([[0, 0, 1], [camera.size[0], 0, 1], [0, camera.size[1], 1], [*camera.size, 1]], np.float64)
        ground = corners @ (camera.view_of_ground(end) - camera.view_of_ground(start)).T
        ways = [float(np.hypot(*ground.T).max())]
        for actor in self.script.actors:
            unit = np.array([[-0.3, 0, 1], [0.3, -1, 1]]).T
            before, after = actor.placed(start, camera) @ unit, actor.placed(end, camera) @ unit
            if -100 < before[0, 0] < camera.size[0] + 100:
                ways.append(float(np.hypot(*(after - before)).max()))
        return max(ways)

    def way_of_target(self, start: float, end: float) -> float:
        """How far the target's middle moves in the view between two moments, in pixels."""
        middle = np.array([0, -0.5, 1])
        before, after = (self.script.target.placed(time, self.script.camera) @ middle for time in (start, end))
        return float(np.hypot(*(after - before)))

    def areas_of_target(self, time: float) -> tuple[float, float]:
        """Pixels that the whole target covers, and those of them in the view, whatever stands before it."""
        script = self.script
        left, top, right, bottom = script.target.span(time, script.camera)
        corner = np.floor((left, top)) - 2
        size = (min(LARGEST, math.ceil(right - corner[0]) + 3), min(LARGEST, math.ceil(bottom - corner[1]) + 3))
        alone = Canvas(size, {}, cover=np.zeros((size[1], size[0]), np.uint8))
        placed = script.target.placed(time, script.camera)
        placed[:, 2] -= corner
        self._lay(alone, script.target, placed, 1.0, time)
        assert alone.cover is not None
        x, y = int(corner[0]), int(corner[1])
        width, height = script.camera.size
        inner = alone.cover[max(0, -y) : max(0, height - y), max(0, -x) : max(0, width - x)]
        return float(np.count_nonzero(alone.cover > 127)), float(np.count_nonzero(inner > 127))

    def stage_view(self, time: float, scale: float = 1.0) -> Affine:
        """The map from stage pixels to the canvas at the target's distance, by which light is placed."""
        camera = self.script.camera
        return scaled(camera.view(time, self.script.target.inverse(0, camera)), scale)

    def textures(self, actor: Actor) -> tuple[Texture, ...]:
        """The pixels of an actor's parts."""
        if actor.name not in self._textures:
            rng = np.random.default_rng(actor.finish.seed)
            picture = self._picture(rng)
            self._textures[actor.name] = tuple(
                coated(part, actor.finish_of(part), self.script.weather, picture) for part in actor.outline.parts
            )
        return self._textures[actor.name]

    def _lay(self, canvas: Canvas, actor: Actor, placed: Affine, distance: float, time: float) -> None:
        is_target = actor is self.script.target
        lost = self.script.crossover.at(time) if is_target and self.script.crossover else 0.0
        for part, texture in zip(actor.outline.parts, self.textures(actor), strict=True):
            points, to_view = actor.posed(part, time, placed)
            echo = MATERIALS[actor.finish_of(part).material].echo
            coat = Coat(texture, to_view, distance, echo, {Plane.HEAT: 1 - lost})
            canvas.lay(points, coat, is_target)

    def _shade(self, canvas: Canvas, actor: Actor, placed: Affine) -> None:
        """Lays the shadow of a thing that stands on the ground."""
        left, _, right, _ = actor.outline.extent
        across = 0.55 * (right - left) * abs(float(placed[0, 0]))
        feet = (float(placed[0, 2]), float(placed[1, 2]))
        canvas.shade(feet, max(across, 2.0), max(0.16 * across, 1.5), SHADOW[self.script.light.name])

    def _add_scenery(self, layers: Layers) -> None:
        """Lays things that never move on the painted backdrop, where they cost nothing per frame."""
        script, margin = self.script, layers.margin
        layer = layers.ground if script.camera.horizon is None else layers.far
        height, width = layer[Plane.HEAT].shape
        stage = Camera((width, height), script.camera.focal, script.camera.height, script.camera.horizon)
        canvas = Canvas((width, height), layer)
        for actor in script.backdrop.scenery:
            moved = actor.placed(0.0, stage)
            moved[:, 2] += margin
            self._lay(canvas, actor, moved, script.backdrop.distance, 0.0)

    def _picture(self, rng: np.random.Generator) -> Image | None:
        return self.pictures[int(rng.integers(len(self.pictures)))] if self.pictures else None
