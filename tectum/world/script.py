"""The description of a scene: plain data from which every frame of every sense follows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tectum.world.actors import Actor
from tectum.world.camera import Camera
from tectum.world.depth import DepthCamera
from tectum.world.events import EventCamera
from tectum.world.light import Light
from tectum.world.materials import Finish
from tectum.world.surfaces import Weather
from tectum.world.thermal import ThermalCamera

FPS = 30.0
"""Frames in a second."""


@dataclass(frozen=True)
class Crossover:
    """A stretch of time in which the target is as warm as what is behind it.

    Attributes:
        start: frame at which its contrast begins to fade.
        end: frame at which it is back.
        strength: share of the contrast that is lost in between, 0 to 1.
    """

    start: float
    end: float
    strength: float = 0.93

    def at(self, time: float) -> float:
        """The share of the target's thermal contrast that is lost at a moment."""
        ramp = max(1.0, 0.15 * (self.end - self.start))
        inside = min(time - self.start, self.end - time)
        return self.strength * min(1.0, max(0.0, inside / ramp))


@dataclass(frozen=True)
class Backdrop:
    """What is behind everything and below.

    Attributes:
        place: `street`, `field`, `room` or `air`.
        distance: of the farthest wall, wood or row of houses, in metres.
        ground: what covers the ground.
        wall: what covers the wall of a room.
        seed: of its random details.
        scenery: things that stand along it and never move.
    """

    place: str
    distance: float
    ground: Finish
    wall: Finish
    seed: int
    scenery: tuple[Actor, ...] = ()


@dataclass(frozen=True)
class Script:
    """A scene.

    Attributes:
        name: for files.
        seed: of all noise.
        length: in frames.
        camera: where it stands and how it moves.
        backdrop: what is behind.
        light: what lights it.
        weather: what sets temperatures.
        target: the thing to follow.
        others: things that move, some of which look like the target.
        props: things that stand about, some of them before the target's way.
        crossover: when the target cannot be told by its warmth, if ever.
        thermal: the thermal camera.
        ranging: the depth camera.
        dvs: the event camera.
    """

    name: str
    seed: int
    length: int
    camera: Camera
    backdrop: Backdrop
    light: Light
    weather: Weather
    target: Actor
    others: tuple[Actor, ...] = ()
    props: tuple[Actor, ...] = ()
    crossover: Crossover | None = None
    thermal: ThermalCamera = field(default_factory=ThermalCamera)
    ranging: DepthCamera = field(default_factory=DepthCamera)
    dvs: EventCamera = field(default_factory=EventCamera)

    @property
    def actors(self) -> tuple[Actor, ...]:
        """All live things, the target first."""
        return (self.target, *self.others, *self.props)

    def in_order(self, time: float) -> Iterator[tuple[Actor, float]]:
        """All live things with their distances in metres, from the farthest to the nearest."""
        placed = [(actor.inverse(time, self.camera), actor) for actor in self.actors]
        for inverse, actor in sorted(placed, key=lambda each: each[0]):
            yield actor, 1 / inverse
