"""What scoring gives: every tracker's card, side by side, and what had to be left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tectum.evaluation.protocol import Protocol, Tally


@dataclass(frozen=True)
class Problem:
    """Something that was found wrong and left out or passed over.

    Attributes:
        sentence: what is wrong, with the file's or the sequence's name.
        tracker: whose results; `None` if the benchmark's own files are at fault.
        sequence: where, if it is about one.
        sequences: where, if it is about several; the sentence may name only the first of them.
    """

    sentence: str
    tracker: str | None = None
    sequence: str | None = None
    sequences: tuple[str, ...] = ()


@dataclass(frozen=True)
class Card:
    """One tracker's scores on a split.

    Attributes:
        tracker: its name.
        folder: where its results lie.
        tally: what was measured of the sequences that could be scored.
        scores: by key, in [0, 1].
        fps: frames per second as its time files say, the mean over sequences; `None` without them.
    """

    tracker: str
    folder: Path
    tally: Tally
    scores: Mapping[str, float]
    fps: float | None = None


@dataclass(frozen=True)
class Board:
    """All trackers that were scored on one split under one convention, the best first.

    Attributes:
        benchmark: its title, such as `LasHeR`.
        split: such as `test`.
        protocol: how boxes became scores.
        cards: one per tracker, ranked by the protocol's first key.
        names: the sequences of the split that could be scored for at least their truth.
        attributes: for each attribute the sequences that have it.
        problems: what was found wrong, in order.
        notices: sentences on what was guessed and is not wrong, such as the form of boxes.
    """

    benchmark: str
    split: str
    protocol: Protocol
    cards: tuple[Card, ...]
    names: tuple[str, ...]
    attributes: Mapping[str, frozenset[str]] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    notices: tuple[str, ...] = ()
