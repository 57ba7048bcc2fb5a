"""A sentence that names the target: by its kind, colour, pattern, size, movement and place, as far as needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from tectum.world.actors import Actor
from tectum.world.script import Script

LARGER = 1.35
"""Ratio of heights in the view from which one of two things is called large or small."""

STANDING = 0.7
"""Pixels per frame below which a thing is said to stand still."""


@dataclass(frozen=True)
class Facts:
    """What a sentence says of a thing; what is `None` is not said.

    Attributes:
        kind: what it is.
        colour: of its body.
        texture: of its body.
        size: `large` or `small` among the things of its kind in the first frame.
        motion: `moving left`, `moving right` or `standing still` in the first frames.
        beside: `left of` or `right of`, and the name of the thing that it is beside.
        rank: its place from the left among all that fit the rest, from 1.
    """

    kind: str
    colour: str | None = None
    texture: str | None = None
    size: str | None = None
    motion: str | None = None
    beside: tuple[str, str] | None = None
    rank: int | None = None


def sentence(script: Script) -> str:
    """The sentence for a script's target, such as `the red striped person moving left`."""
    first = FirstFrame(script)
    return first.worded(first.facts())


class FirstFrame:
    """What can be said of the things in the first frame of a script.

    Attributes:
        target: the thing to be named.
        actors: the things whose middle is in the view, the target first.
    """

    def __init__(self, script: Script) -> None:
        spans = [(actor, actor.span(0, script.camera)) for actor in script.actors]
        middles = {actor.name: ((x1 + x2) / 2, (y1 + y2) / 2) for actor, (x1, y1, x2, y2) in spans}
        width, height = script.camera.size
        self.target = script.target
        self.actors = [
            actor
            for actor in script.actors
            if actor is script.target or (0 <= middles[actor.name][0] < width and 0 <= middles[actor.name][1] < height)
        ]
        self._column = {name: x for name, (x, _) in middles.items()}
        self._tall = {actor.name: bottom - top for actor, (_, top, _, bottom) in spans}
        self._kind = {actor.name: actor.kind for actor in script.actors}

    def facts(self) -> Facts:
        """Facts that only the target fits, of which none could be left out.

        They are tried in the order in which people mention them. Where all of them together do not tell the target
        from its likes, its place among those of its colour and pattern does.
        """
        known = Facts(self.target.kind)
        for fact in self._told_of(self.target):
            if len(self.fitting(known)) > 1 and len(self.fitting(fact(known))) < len(self.fitting(known)):
                known = fact(known)
        if len(self.fitting(known)) == 1:
            return self._shortest(known)
        look = Facts(known.kind, known.colour, known.texture)
        return replace(look, rank=self.fitting(look).index(self.target) + 1)

    def fitting(self, known: Facts) -> list[Actor]:
        """The things that some facts are true of, from left to right."""
        fit = [actor for actor in self.actors if self._fits(actor, known)]
        fit.sort(key=lambda actor: self._column[actor.name])
        return fit if known.rank is None else fit[known.rank - 1 : known.rank]

    def worded(self, known: Facts) -> str:
        """Facts as English."""
        words = [each for each in (known.size, known.colour, known.texture, known.kind) if each]
        tail = [f" {known.motion}"] if known.motion else []
        if known.beside is not None:
            side, name = known.beside
            tail.append(f", to the {side} the {self._kind[name]}")
        if known.rank is not None:
            tail.append(f", {_ordinal(known.rank)} from the left")
        return " ".join(["the", *words]) + "".join(tail)

    def _fits(self, actor: Actor, known: Facts) -> bool:
        """Whether all facts but the rank are true of a thing."""
        return (
            known.kind == actor.kind
            and known.colour in (None, actor.finish.colour)
            and known.texture in (None, actor.finish.texture)
            and known.size in (None, self._size(actor))
            and known.motion in (None, _motion(actor))
            and (known.beside is None or self._is_beside(actor, known.beside))
        )

    def _shortest(self, known: Facts) -> Facts:
        """Without the facts that later ones made needless."""
        for name in ("colour", "texture", "size", "motion", "beside"):
            shorter = Facts(**{**vars(known), name: None})
            if len(self.fitting(shorter)) == 1:
                known = shorter
        return known

    def _told_of(self, actor: Actor) -> list[Callable[[Facts], Facts]]:
        """What may be said of a thing, in the order in which it is said; each adds a fact to those that are known."""
        size, motion, beside = self._size(actor), _motion(actor), self._beside(actor)
        return [
            lambda known: replace(known, colour=actor.finish.colour),
            lambda known: replace(known, texture=actor.finish.texture),
            lambda known: replace(known, size=size),
            lambda known: replace(known, motion=motion),
            lambda known: replace(known, beside=beside),
        ]

    def _size(self, actor: Actor) -> str | None:
        own, others = self._tall[actor.name], [each for each in self._of_kind(actor) if each is not actor]
        if others and all(own > LARGER * self._tall[each.name] for each in others):
            return "large"
        return "small" if others and all(LARGER * own < self._tall[each.name] for each in others) else None

    def _beside(self, actor: Actor) -> tuple[str, str] | None:
        """The nearest landmark, a thing that is the only one of its kind, and on which side of it the thing is."""
        x = self._column[actor.name]
        landmarks = [each.name for each in self.actors if each.kind != actor.kind and len(self._of_kind(each)) == 1]
        if not landmarks:
            return None
        nearest = min(landmarks, key=lambda name: abs(self._column[name] - x))
        return ("left of" if x < self._column[nearest] else "right of", nearest)

    def _is_beside(self, actor: Actor, beside: tuple[str, str]) -> bool:
        side, name = beside
        return actor.name != name and (self._column[actor.name] < self._column[name]) == (side == "left of")

    def _of_kind(self, actor: Actor) -> list[Actor]:
        return [each for each in self.actors if each.kind == actor.kind]


def _motion(actor: Actor) -> str:
    """How it moves over the ground in the first five frames."""
    pace = (actor.x.at(5) - actor.x.at(0)) / 5
    return "standing still" if abs(pace) < STANDING else "moving left" if pace < 0 else "moving right"


def _ordinal(rank: int) -> str:
    names = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")
    return names[rank - 1] if rank <= len(names) else f"number {rank}"
