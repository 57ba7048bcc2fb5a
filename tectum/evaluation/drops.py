"""A sense hidden from a tracker in some frames of every sequence: what it loses when a sensor fails."""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import dataclass, replace
from hashlib import sha256

from tectum.errors import SourceError, UnknownNameError
from tectum.frames import Frame, Modality, Recording
from tectum.tracking.runner import reading

ASKED_FOR = "The drop that was asked for hides it."
"""Why a sense that is dropped is missing from a frame."""


@dataclass(frozen=True)
class Span:
    """A part of every sequence.

    Attributes:
        begin: share of the sequence's frames before the part, in [0, 1).
        end: share of the sequence's frames up to its end, above `begin` and at most 1.

    Raises:
        UnknownNameError: if there is no such part.
    """

    begin: float = 0.0
    end: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.begin < self.end <= 1:
            raise UnknownNameError(
                f"No part of a sequence goes from {self.begin:g} to {self.end:g}: "
                "give two shares from 0 to 1, the smaller one first, as 0.5-1."
            )

    def __str__(self) -> str:
        return f"{self.begin:.12g}-{self.end:.12g}"

    def places(self, length: int) -> frozenset[int]:
        """Its frames, counted from 0, in a sequence of so many."""
        return frozenset(place for place in range(length) if self.begin <= place / length < self.end)


@dataclass(frozen=True)
class RandomShare:
    """Frames drawn at random, though never the one that a tracker starts from.

    The draw depends on nothing but the seed and the sequence's name and place in it, so that all trackers lose the
    same frames, on any machine; the frames of a smaller share are among those of a larger one.

    Attributes:
        share: of the frames that are tracked, above 0 and below 1.
        seed: another one draws other frames.

    Raises:
        UnknownNameError: if it is no such share.
    """

    share: float
    seed: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise UnknownNameError(
                f"A share of {self.share:g} of the frames cannot be drawn: give one above 0 and below 1, as 0.5, "
                "or none to drop a sense throughout."
            )

    def __str__(self) -> str:
        return f"{self.share:.12g}"

    def places(self, sequence: str, length: int, start: int = 0, last: bool = False) -> frozenset[int]:
        """The frames that are drawn: the share of those from the start on, rounded.

        Args:
            sequence: its name.
            length: its frames.
            start: the frame, counted from 0, at which a tracker starts.
            last: whether to take those that would otherwise be drawn last.
        """
        later = range(start + 1, length)
        drawn = sorted(later, key=lambda place: sha256(f"{self.seed} {sequence} {place}".encode()).digest())
        return frozenset((drawn[::-1] if last else drawn)[: round(self.share * (length - start))])


@dataclass(frozen=True)
class Drop:
    """A sense and the frames of every sequence in which it is hidden; throughout unless a part or a share is named."""

    sense: Modality
    part: Span | RandomShare = Span()

    @classmethod
    def of(cls, text: str, seed: int = 1) -> Drop:
        """Reads `thermal`, a share of the frames such as `thermal=0.5`, or a part such as `thermal=0.5-1`.

        Args:
            text: what is dropped.
            seed: of the frames that are drawn for a share.

        Raises:
            UnknownNameError: if there is no such sense, share or part.
        """
        sense, sign, amount = text.partition("=")
        return cls(Modality.of(sense), _part(amount, seed)) if sign else cls(Modality.of(sense))

    def __str__(self) -> str:
        return str(self.sense) if self.part == Span() else f"{self.sense}={self.part}"

    def places(self, sequence: str, length: int, start: int = 0) -> frozenset[int]:
        """The frames, counted from 0, that lose the sense.

        Args:
            sequence: its name.
            length: its frames.
            start: the frame at which a tracker starts.
        """
        if isinstance(self.part, Span):
            return self.part.places(length)
        # From the other end of the draw than RGB, so that as few frames as can be lose both.
        return self.part.places(sequence, length, start, last=self.sense is not Modality.RGB)


def _part(amount: str, seed: int) -> Span | RandomShare:
    """Reads `0.5` or `0.5-1`."""
    begin, dash, end = amount.partition("-")
    try:
        return Span(float(begin), float(end)) if dash else RandomShare(float(begin), seed)
    except ValueError:
        raise UnknownNameError(
            f"'{amount}' is neither a share nor a part of a sequence: give a share of its frames, as 0.5, or the two "
            "that a part lies between, as 0.5-1."
        ) from None


@dataclass(frozen=True)
class Dropped:
    """A recording as a tracker sees it whose sensors fail.

        track = tectum.track(tracker, Dropped(open_recording("bus"), (Drop.of("thermal=0.5"),)), box=box)

    Attributes:
        recording: the whole one.
        drops: what is hidden of it; a frame may lose all of its senses.
        start: the frame, counted from 0, at which a tracker starts.

    Raises:
        SourceError: if the recording has no such sense, or does not know its length.
    """

    recording: Recording
    drops: tuple[Drop, ...]
    start: int = 0

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
        hidden = {drop: drop.places(self.name, self.length or 0, self.start) for drop in self.drops}
        with reading(self.recording) as frames:
            for place, frame in enumerate(frames):
                yield _without(frame, {drop.sense for drop, places in hidden.items() if place in places})


def _without(frame: Frame, senses: Set[Modality]) -> Frame:
    """What is left of a frame."""
    images = {sense: None if sense in senses else image for sense, image in frame.images.items()}
    return replace(frame, images=images, reasons={**frame.reasons, **dict.fromkeys(senses, ASKED_FOR)})
