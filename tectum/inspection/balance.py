"""How evenly sensitivity is spread over parameters, of which there may be hundreds of millions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tectum.inspection.features import Array

TOP = 0.01
"""The share of parameters, the most sensitive ones, whose part of all sensitivity is told."""

SHARES = np.logspace(-4, 0, 49)
"""Shares of the parameters at which the curve of what they hold is drawn."""

LEVELS = 2**15
"""Values that are told apart: by the upper half of their bits, which is to one part in 128."""

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Spread:
    """Sensitivities by their size, which takes a tenth of the time of a sort and can be added up.

    Attributes:
        counts: how many have each of `LEVELS` sizes, from the least.
        sums: what these come to.
    """

    counts: Doubles
    sums: Doubles

    @classmethod
    def of(cls, values: Array) -> Spread:
        """Of sensitivities of any shape, none below 0."""
        row = np.ascontiguousarray(values, np.float32).ravel()
        levels = row.view(np.uint32) >> np.uint32(16)
        counts, sums = np.bincount(levels, None, LEVELS), np.bincount(levels, row, LEVELS)
        return cls(counts.astype(np.float64), sums.astype(np.float64))

    @classmethod
    def all(cls, some: Iterable[Spread]) -> Spread:
        """Of all that some are of."""
        spreads = list(some)
        return cls(sum(each.counts for each in spreads), sum(each.sums for each in spreads))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Balance:
    """How evenly sensitivity is spread over parameters.

    Attributes:
        count: of the parameters.
        mean: of their sensitivities; 0 leaves the others `nan`.
        top: share of all sensitivity that the most sensitive `TOP` of them hold, from `TOP` for an even spread to 1.
        gini: Gini coefficient, from 0 for an even spread towards 1.
        held: share that the most sensitive hold, at each of `SHARES`.
    """

    count: int
    mean: float
    top: float
    gini: float
    held: Array

    @classmethod
    def of(cls, spread: Spread) -> Balance:
        """Weighs at least one sensitivity; those of one size count as equal."""
        counts, sums = (values[::-1].cumsum() for values in (spread.counts, spread.sums))
        count, total = int(counts[-1]), float(sums[-1])
        if total == 0:
            return cls(count, 0.0, np.nan, np.nan, np.full(len(SHARES), np.nan, np.float32))
        numbers, held = np.append(0, counts), np.append(0, sums) / total

        def held_by(share: npt.ArrayLike) -> Doubles:
            return np.interp(np.ceil(np.multiply(share, count)), numbers, held)

        area = float((np.diff(numbers) * (held[1:] + held[:-1])).sum()) / count
        return cls(count, total / count, float(held_by(TOP)), area - 1, held_by(SHARES).astype(np.float32))

    @classmethod
    def by_chance(cls, batches: int) -> Balance:
        """What equally sensitive parameters show, were their gradients in so many batches normal and independent."""
        drawn = np.random.default_rng(0).gamma(batches / 2, size=200_000)
        return cls.of(Spread.of(drawn.astype(np.float32)))
