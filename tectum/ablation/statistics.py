"""How sure an ablation is: scores over seeds, and differences paired over seeds and sequences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean, stdev

import numpy as np
import numpy.typing as npt

from tectum.evaluation.protocol import Protocol, Tally
from tectum.evaluation.statistics import Difference, Interval, chance_of_zero, interval_of

Array = npt.NDArray[np.float64]

DRAWS = 2000
"""How often sequences and seeds are drawn."""

_WEIGHTS_AT_ONCE = 2**18
"""How many weights a protocol is given in one call."""


@dataclass(frozen=True)
class Spread:
    """A score over seeds.

    Attributes:
        values: by seed, in [0, 1].
    """

    values: Mapping[int, float]

    @property
    def mean(self) -> float:
        """Over the seeds."""
        return fmean(self.values.values()) if self.values else float("nan")

    @property
    def deviation(self) -> float:
        """The standard deviation over the seeds, with `n - 1`; `nan` for fewer than two."""
        return stdev(self.values.values()) if len(self.values) > 1 else float("nan")


def spread(protocol: Protocol, key: str, tallies: Mapping[int, Tally]) -> Spread:
    """A variant's score with each seed.

    Args:
        protocol: turns tallies into scores.
        key: the score, such as `SR`.
        tallies: of the variant, by seed.
    """
    return Spread({seed: float(protocol.scores(tally)[key]) for seed, tally in tallies.items()})


def difference(
    protocol: Protocol,
    key: str,
    names: tuple[str, str],
    ours: Mapping[int, Tally],
    theirs: Mapping[int, Tally],
    draws: int = DRAWS,
    confidence: float = 0.95,
) -> Difference:
    """What parts two variants in a score, on average over seeds, with an interval for other seeds and sequences.

    A hierarchical bootstrap of differences. The runs of one seed are a pair: they share the order of data and, where
    shapes agree, the initial weights. Sequences are a second level, crossed with the first, as every run is scored on
    all of them. In each draw, sequences are drawn with replacement, the same for all runs, which gives a difference
    per seed; the mean over seeds is then moved by what other seeds might have given. With so few of them as one can
    afford, drawing seeds too with replacement makes intervals far too narrow (in simulations, those of 95 % from
    three seeds hold the truth in 75 % of cases where seeds matter most); so the seeds' part is drawn from Student's t
    with the `n - 1` degrees of freedom that they leave, times the standard error of their mean. Without a spread over
    sequences this is the paired t interval, without one over seeds the percentile bootstrap over sequences. With both
    it errs to the wide side, for what a seed and a sequence have in common counts twice. Of a single seed, the
    interval says nothing of other seeds.

    Source: Owen, *The pigeonhole bootstrap*, Annals of Applied Statistics 1(2), 2007, on crossed levels; Hesterberg,
    *What teachers should know about the bootstrap*, The American Statistician 69(4), 2015, on the narrowness of
    bootstraps of few; Bouthillier et al., *Accounting for variance in machine learning benchmarks*, MLSys 2021, on
    drawing seeds and test data alike.

    Args:
        protocol: turns tallies into scores.
        key: the score, such as `SR`.
        names: of the variant, and of the one that it is compared with.
        ours: tallies of the variant, by seed.
        theirs: of the other one; what is compared is the seeds that both have, on the sequences that all of these have.
        draws: `B`, how often is drawn.
        confidence: share of such intervals that should hold the true difference.

    Returns:
        The difference with its interval, whose ends are `nan` where neither seeds nor sequences vary.
    """
    seeds = sorted(ours.keys() & theirs.keys())
    shared = _shared([tallies[seed] for tallies in (ours, theirs) for seed in seeds])
    if not seeds or not shared:
        return Difference(*names, key, Interval(np.nan, np.nan, np.nan), float("nan"), len(shared))
    rng = np.random.default_rng(0)
    weights = _weights(rng, draws, len(shared))
    drawn, value = np.empty((len(seeds), draws)), np.empty(len(seeds))
    for row, seed in enumerate(seeds):
        pair = [tallies[seed].of(shared) for tallies in (ours, theirs)]
        drawn[row] = _scores(protocol, key, pair[0], weights) - _scores(protocol, key, pair[1], weights)
        value[row] = float(protocol.scores(pair[0])[key]) - float(protocol.scores(pair[1])[key])
    means = drawn.mean(0)
    if len(seeds) > 1:
        errors = drawn.std(0, ddof=1) / np.sqrt(len(seeds))
        # Scores are in [0, 1], whatever a t with one degree of freedom would have them be.
        means = (means + errors * rng.standard_t(len(seeds) - 1, draws)).clip(-1, 1)
    elif len(shared) == 1:
        means = np.full(draws, np.nan)
    return Difference(
        *names, key, interval_of(float(value.mean()), means, confidence), chance_of_zero(means), len(shared)
    )


def _shared(tallies: list[Tally]) -> tuple[str, ...]:
    """The sequences that all tallies have, in the order of the first."""
    known = [frozenset(tally.names) for tally in tallies]
    return tuple(name for name in tallies[0].names if all(name in each for each in known)) if tallies else ()


def _weights(rng: np.random.Generator, draws: int, count: int) -> Array:
    """How often each of `S` sequences comes up in each of `B` draws of `S` with replacement: `B×S`."""
    return rng.multinomial(count, np.full(count, 1 / count), draws).astype(np.float64)


def _scores(protocol: Protocol, key: str, tally: Tally, weights: Array) -> Array:
    step = max(1, _WEIGHTS_AT_ONCE // weights.shape[1])
    parts = [protocol.scores(tally, weights[start : start + step])[key] for start in range(0, len(weights), step)]
    return np.concatenate(parts)
