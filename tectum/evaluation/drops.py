"""A sense hidden from a tracker in a part of every sequence: what it loses when a sensor fails."""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import dataclass, replace

from tectum.errors import SourceError, UnknownNameError
from tectum.frames import Frame, Modality, Recording
from tectum.tracking.runner import reading

ASKED_FOR = "The drop that was asked for hides it."
"""Why a sense that is dropped is missing from a frame."""


@dataclass(frozen=True)
class Drop:
    """A sense and the part of every sequence in which it is hidden.

    Attributes:
        sense: which.
        begin: share of the sequence's frames before the part, in [0, 1).
        end: share of the sequence's frames up to its end, above `begin` and at most 1.

    Raises:
        UnknownNameError: if there is no such part.
    """

    sense: Modality
    begin: float = 0.0
    end: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.begin < self.end <= 1:
            raise UnknownNameError(
                f"No part of a sequence goes from {self.begin:g} to {self.end:g}: "
                "give two shares from 0 to 1, the smaller one first, as 0.5-1."
            )

    @classmethod
    def of(cls, text: str) -> Drop:
        """Reads `thermal`, which is dropped throughout, or a part such as `thermal:0.5-1`.

        Raises:
            UnknownNameError: if there is no such sense or part.
        """
        sense, colon, part = text.partition(":")
        if not colon:
            return cls(Modality.of(sense))
        begin, _, end = part.partition("-")
        try:
            shares = float(begin), float(end)
        except ValueError:
            raise UnknownNameError(
                f"'{part}' is no part of a sequence: give two shares from 0 to 1, as {sense}:0.5-1."
            ) from None
        return cls(Modality.of(sense), *shares)

    def __str__(self) -> str:
        return f"{self.sense}:{self.begin:.12g}-{self.end:.12g}"

    def hides(self, place: int, length: int) -> bool:
        """Whether the frame at a place, counted from 0, of so many frames lies in the part."""
        return self.begin <= place / length < self.end


@dataclass(frozen=True)
class Dropped:
    """A recording as a tracker sees it whose sensors fail.

        track = tectum.track(tracker, Dropped(open_recording("bus"), (Drop.of("thermal:0.5-1"),)), box=box)

    Attributes:
        recording: the whole one.
        drops: what is hidden of it; a frame may lose all of its senses.

    Raises:
        SourceError: if the recording has no such sense, or does not know its length.
    """

    recording: Recording
    drops: tuple[Drop, ...]

    def __post_init__(self) -> None:
        for drop in self.drops:
            if drop.sense not in self.senses:
                raise SourceError(
                    f"Recording {self.name} has no {drop.sense} that could be dropped: drop one of its senses "
                    f"({', '.join(sorted(self.senses))}), or choose recordings with {drop.sense}."
                )
        if self.drops and self.length is None:
            raise SourceError(f"No part of {self.name} can be dropped, for its length is not known: record it first.")

    @property
    def name(self) -> str:
        """That of the whole recording."""
        return self.recording.name

    @property
    def senses(self) -> frozenset[Modality]:
        """Those of the whole recording: a sense that is dropped throughout is missing, too."""
        return self.recording.senses

    @property
    def length(self) -> int | None:
        """Frames in the recording."""
        return self.recording.length

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is to be known of the whole recording; that senses are dropped is known."""
        return tuple(getattr(self.recording, "warnings", ()))

    def __iter__(self) -> Iterator[Frame]:
        length = self.length or 0
        with reading(self.recording) as frames:
            for place, frame in enumerate(frames):
                yield _without(frame, {drop.sense for drop in self.drops if drop.hides(place, length)})


def _without(frame: Frame, senses: Set[Modality]) -> Frame:
    """What is left of a frame."""
    images = {sense: None if sense in senses else image for sense, image in frame.images.items()}
    return replace(frame, images=images, reasons={**frame.reasons, **dict.fromkeys(senses, ASKED_FOR)})
