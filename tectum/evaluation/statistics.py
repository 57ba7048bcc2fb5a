"""How sure scores are: a paired bootstrap over sequences, and scores over the sequences of each attribute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, combinations

import numpy as np
import numpy.typing as npt

from tectum.errors import TectumError
from tectum.evaluation.board import Board, Card
from tectum.evaluation.protocol import Protocol, Tally

Array = npt.NDArray[np.float64]
Pair = tuple[str, str]

_WEIGHTS_AT_ONCE = 2**18
"""How many weights a protocol is given in one call: 2 MB, and tens of times as much for its products with curves."""


@dataclass(frozen=True)
class Interval:
    """A score or a difference and how far it may be off.

    Attributes:
        value: what was measured.
        low: lower end of the interval; `nan` where fewer than two sequences say nothing of the spread.
        high: upper end.
    """

    value: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half the distance between the ends."""
        return (self.high - self.low) / 2


@dataclass(frozen=True)
class Difference:
    """What parts two trackers in one score, on the sequences that both have.

    Attributes:
        tracker: the one whose score is taken.
        against: the one whose score is subtracted.
        key: the score, such as `SR`.
        gap: the difference with its interval, in [-1, 1].
        chance: the bootstrap's two-sided p-value in (0, 1]: twice the smaller share of draws on one side of 0.
        sequences: how many sequences both have.
    """

    tracker: str
    against: str
    key: str
    gap: Interval
    chance: float
    sequences: int

    @property
    def noise(self) -> bool:
        """Whether the interval does not tell the difference from 0."""
        return not (self.gap.low > 0 or self.gap.high < 0)


@dataclass(frozen=True)
class Intervals:
    """What a bootstrap found.

    Attributes:
        protocol: which turned tallies into scores.
        confidence: share of such intervals that hold the true value, in (0, 1).
        draws: how often the sequences were drawn anew.
        scores: by tracker and key, on the sequences that the tracker has.
        differences: of every two trackers, in the order given, and every key.
    """

    protocol: Protocol
    confidence: float
    draws: int
    scores: Mapping[str, Mapping[str, Interval]]
    differences: tuple[Difference, ...]


@dataclass(frozen=True)
class _Sample:
    """One tracker's scores by key on some sequences: as they are, and in `B` draws of these sequences."""

    names: tuple[str, ...]
    scores: Mapping[str, float]
    drawn: Mapping[str, Array]


def bootstrap(
    protocol: Protocol, tallies: Mapping[str, Tally], draws: int = 2000, seed: int = 0, confidence: float = 0.95
) -> Intervals:
    """Percentile intervals of scores and of their differences, from drawing sequences with replacement.

    Sequences are what a benchmark samples from the world; frames of one sequence are too alike to be drawn one by
    one. The draws are the same for all trackers, so that what is hard for all does not blur their differences. A
    tracker's own interval is over the sequences that it has, a difference over those that both trackers have.

    Source: Efron and Tibshirani, *An Introduction to the Bootstrap*, 1993, chapters 13 (percentile intervals) and 15
    (the achieved significance level).

    Args:
        protocol: turns tallies into scores.
        tallies: by tracker; their order is that of the differences.
        draws: `B`, how often the sequences are drawn.
        seed: of the draws; the same seed gives the same intervals.
        confidence: share of such intervals that should hold the true value.

    Raises:
        TectumError: if there is nothing to draw or the confidence is no share.
    """
    if draws < 1 or not 0 < confidence < 1:
        raise TectumError(
            f"A bootstrap of {draws} draws with a confidence of {confidence:g} cannot be made: "
            "take at least one draw and a confidence between 0 and 1."
        )
    samples = {tracker: _sample(protocol, tally, draws, seed) for tracker, tally in tallies.items()}
    scores = {
        tracker: {key: interval_of(sample.scores[key], sample.drawn[key], confidence) for key in protocol.keys}
        for tracker, sample in samples.items()
    }
    differences: dict[Pair, list[Difference]] = {}
    for shared, pairs in _pairs_by_sequences(tallies).items():
        held = dict(samples)
        for tracker in set(chain.from_iterable(pairs)):
            if samples[tracker].names != shared:
                held[tracker] = _sample(protocol, tallies[tracker].of(shared), draws, seed)
        differences |= {pair: [_difference(pair, key, held, confidence) for key in protocol.keys] for pair in pairs}
    ordered = chain.from_iterable(differences[pair] for pair in combinations(tallies, 2))
    return Intervals(protocol, confidence, draws, scores, tuple(ordered))


def contrast(
    protocol: Protocol,
    names: Pair,
    more: Sequence[Tally],
    less: Sequence[Tally],
    draws: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> dict[str, Difference]:
    """What parts the sums of some scores, on the sequences that all have and in the same draws of them.

    With two tallies on each side this is a difference of differences, such as how much less one tracker falls than
    another: `more` is its score in the hard case and the other's in the easy one, `less` the other two.

    Args:
        protocol: turns tallies into scores.
        names: how the two sides are called.
        more: whose scores are added.
        less: whose scores are subtracted.
        draws: `B`, how often the sequences are drawn.
        seed: of the draws; with that of `bootstrap` they are the same.
        confidence: share of such intervals that should hold the true value.

    Returns:
        By score.
    """
    shared = [name for name in more[0].names if all(name in tally.names for tally in (*more, *less))]
    added, taken = ([_sample(protocol, tally.of(shared), draws, seed) for tally in side] for side in (more, less))
    found = {}
    for key in protocol.keys:
        drawn = np.sum([each.drawn[key] for each in added], 0) - np.sum([each.drawn[key] for each in taken], 0)
        value = sum(each.scores[key] for each in added) - sum(each.scores[key] for each in taken)
        gap = interval_of(float(value), drawn, confidence)
        found[key] = Difference(*names, key, gap, chance_of_zero(drawn), len(shared))
    return found


def attribute_scores(board: Board, card: Card) -> dict[str, dict[str, float]]:
    """A tracker's scores over the sequences of each attribute.

    Returns:
        By attribute and key, in [0, 1]; `nan` where the tracker has no sequence with the attribute.
    """
    if not board.attributes:
        return {}
    counted = [[name in members for name in card.tally.names] for members in board.attributes.values()]
    scores = board.protocol.scores(card.tally, np.array(counted, np.float64))
    return {
        attribute: {key: float(scores[key][row]) for key in board.protocol.keys}
        for row, attribute in enumerate(board.attributes)
    }


def _pairs_by_sequences(tallies: Mapping[str, Tally]) -> dict[tuple[str, ...], list[Pair]]:
    """Every two trackers by the sequences that both have, so that each tracker is drawn once for all its rivals."""
    known = {tracker: frozenset(tally.names) for tracker, tally in tallies.items()}
    pairs: dict[tuple[str, ...], list[Pair]] = {}
    for first, second in combinations(tallies, 2):
        shared = tuple(name for name in tallies[first].names if name in known[second])
        pairs.setdefault(shared, []).append((first, second))
    return pairs


def _sample(protocol: Protocol, tally: Tally, draws: int, seed: int) -> _Sample:
    """Scores a tally as it is and on draws of its sequences; a single sequence cannot be drawn in two ways."""
    count = len(tally.names)
    unknown = dict.fromkeys(protocol.keys, np.full(draws, np.nan))
    if count == 0:
        return _Sample(tally.names, dict.fromkeys(protocol.keys, np.nan), unknown)
    scores = {key: float(value) for key, value in protocol.scores(tally).items()}
    if count == 1:
        return _Sample(tally.names, scores, unknown)
    generator = np.random.default_rng(seed)
    step = max(1, _WEIGHTS_AT_ONCE // count)
    parts = [
        protocol.scores(tally, _weights(generator, min(step, draws - done), count)) for done in range(0, draws, step)
    ]
    return _Sample(tally.names, scores, {key: np.concatenate([part[key] for part in parts]) for key in protocol.keys})


def _weights(generator: np.random.Generator, draws: int, count: int) -> Array:
    """How often each of `S` sequences comes up in each of `B` draws of `S` with replacement: `B×S`."""
    drawn = generator.integers(count, size=(draws, count)) + count * np.arange(draws)[:, None]
    return np.bincount(drawn.ravel(), minlength=draws * count).reshape(draws, count).astype(np.float64)


def interval_of(value: float, drawn: Array, confidence: float) -> Interval:
    """The percentile interval of a value from its draws `B`; without limits where no draw has a value."""
    known = drawn[~np.isnan(drawn)]
    if not len(known):
        return Interval(value, np.nan, np.nan)
    low, high = np.quantile(known, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(value, float(low), float(high))


def _difference(pair: Pair, key: str, samples: Mapping[str, _Sample], confidence: float) -> Difference:
    first, second = (samples[tracker] for tracker in pair)
    drawn = first.drawn[key] - second.drawn[key]
    return Difference(
        tracker=pair[0],
        against=pair[1],
        key=key,
        gap=interval_of(first.scores[key] - second.scores[key], drawn, confidence),
        chance=chance_of_zero(drawn),
        sequences=len(first.names),
    )


def chance_of_zero(drawn: Array) -> float:
    """The two-sided p-value of 0; one draw is added to each side, for a finite number of draws never shows 0."""
    known = drawn[~np.isnan(drawn)]
    if not len(known):
        return float("nan")
    smaller = min(np.count_nonzero(known <= 0), np.count_nonzero(known >= 0))
    return min(1.0, 2 * (int(smaller) + 1) / (len(known) + 1))
