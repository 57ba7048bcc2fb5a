"""Boards of made-up scores under the simplest convention: the mean over sequences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tectum.benchmarks.base import Truth
from tectum.evaluation.board import Board, Card, Problem
from tectum.evaluation.protocol import Array, Curve, Protocol, Run, Tally


class Mean(Protocol):
    """Each sequence has one value per key; `AO` is a second key."""

    name = "mean"
    says = "The mean over sequences, of 100 % of them."
    keys = ("SR", "AO")

    def tally(self, truths: Sequence[Truth], runs: Sequence[Sequence[Run]]) -> Tally:
        raise NotImplementedError

    def scores(self, tally: Tally, weights: Array | None = None) -> dict[str, Array]:
        shares = np.ones(len(tally.names)) if weights is None else weights
        with np.errstate(invalid="ignore"):
            return {key: np.asarray(shares @ tally.parts[key] / shares.sum(-1)) for key in self.keys}

    def by_sequence(self, tally: Tally) -> dict[str, Array]:
        return {"SR": tally.parts["SR"]}

    def curves(self, tally: Tally) -> tuple[Curve, ...]:
        x = np.linspace(0, 1, 21)
        return (Curve("success", "Success", "Overlap threshold", "Success rate", x, 1 - x, "SR"),)


def tally(values: Array, names: Sequence[str] | None = None) -> Tally:
    return Tally(tuple(names or numbered(len(values))), {"SR": np.asarray(values), "AO": np.asarray(values) / 2})


def numbered(count: int) -> tuple[str, ...]:
    return tuple(f"s{place}" for place in range(count))


def board(tallies: Mapping[str, Tally], attributes: Mapping[str, Sequence[str]] | None = None, **known: float) -> Board:
    """Trackers in order of their scores; `known` are their frames per second."""
    cards = [
        Card(name, Path(name), held, {key: float(score) for key, score in Mean().scores(held).items()}, known.get(name))
        for name, held in tallies.items()
    ]
    names = max((held.names for held in tallies.values()), key=len)
    return Board(
        benchmark="LasHeR",
        split="test",
        protocol=Mean(),
        cards=tuple(sorted(cards, key=lambda card: -card.scores["SR"])),
        names=names,
        attributes={name: frozenset(members) for name, members in (attributes or {}).items()},
        problems=(Problem("b/s1.txt is empty.", "b", "s1", ("s1",)),),
    )
