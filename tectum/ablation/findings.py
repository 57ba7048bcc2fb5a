"""What a study has found so far: every variant's scores and differences, on every measure."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from pathlib import Path

from tectum.ablation.grid import Run
from tectum.ablation.places import Place
from tectum.ablation.record import Record, read_record, tracked
from tectum.ablation.statistics import Spread, difference, spread
from tectum.ablation.table import Measure, Table, Variant
from tectum.errors import ResultError
from tectum.evaluation.board import Board
from tectum.evaluation.protocol import Protocol, Tally
from tectum.evaluation.scoring import score
from tectum.evaluation.statistics import Difference


@dataclass(frozen=True)
class Finding:
    """One variant on one measure.

    Attributes:
        variant: which.
        spread: its score over seeds.
        gap: its difference to the baseline; `None` for the baseline itself.
        sequences: that it was scored on with the seed that has fewest.
    """

    variant: Variant
    spread: Spread
    gap: Difference | None
    sequences: int

    @property
    def has_interval(self) -> bool:
        """Whether anything tells how sure its difference is; one seed on one sequence does not."""
        return self.gap is not None and not isnan(self.gap.gap.low)


@dataclass(frozen=True)
class Findings:
    """All of a study.

    Attributes:
        table: what was asked.
        runs: all of them, done or not.
        by_measure: the variants in the table's order, for each measure in the table's order; those without any score
            are left out.
        sequences: how many each measure has.
        says: how each measure is scored, in a sentence or two.
        records: of the runs that are trained, by folder.
    """

    table: Table
    runs: tuple[Run, ...]
    by_measure: Mapping[Measure, tuple[Finding, ...]]
    sequences: Mapping[Measure, int]
    says: Mapping[Measure, str]
    records: Mapping[Path, Record]

    def runs_of(self, variant: Variant) -> list[Run]:
        """A variant's runs, seed by seed."""
        return [run for run in self.runs if run.variant == variant]


def gather(table: Table, runs: Sequence[Run], done: Container[Path], places: Sequence[Place]) -> Findings:
    """Scores all that is done.

    Args:
        table: what was asked.
        runs: all of them.
        done: folders of the runs to take.
        places: where they were scored.

    Raises:
        ResultError: if nothing is.
    """
    taken = [run for run in runs if run.folder in done]
    boards = {place.folder: board for place in places if (board := _board(place, taken)) is not None}
    if not boards:
        raise ResultError(f"Nothing of {table.origin} is scored: see what has failed, and run the same command again.")
    measures = [measure for measure in table.measures if measure.folder in boards]
    records = {run.folder: record for run in taken if (record := read_record(run.folder)) and record.weights}
    return Findings(
        table=table,
        runs=tuple(runs),
        by_measure={measure: tuple(_compared(table, measure, taken, boards[measure.folder])) for measure in measures},
        sequences={measure: len(boards[measure.folder].names) for measure in measures},
        says={measure: boards[measure.folder].protocol.says for measure in measures},
        records=records,
    )


def _board(place: Place, runs: Sequence[Run]) -> Board | None:
    """All runs with results there, as trackers named after their folders; `None` if there are none."""
    folders = {str(run.folder): run.folder / place.folder for run in runs if tracked(run, place)}
    return score(place.benchmark, place.root, folders, split=place.split) if folders else None


def _compared(table: Table, measure: Measure, runs: Sequence[Run], board: Board) -> list[Finding]:
    """Each variant that has a score, against the baseline."""
    tallies = {card.tracker: card.tally for card in board.cards}
    held: dict[str, dict[int, Tally]] = {}
    for run in runs:
        if str(run.folder) in tallies:
            held.setdefault(run.variant.name, {})[run.seed] = tallies[str(run.folder)]
    basis = held.get(table.baseline, {})
    return [
        _finding(board.protocol, measure.key, variant, held[variant.name], table.baseline, basis)
        for variant in table.variants
        if variant.name in held
    ]


def _finding(
    protocol: Protocol,
    key: str,
    variant: Variant,
    ours: Mapping[int, Tally],
    baseline: str,
    theirs: Mapping[int, Tally],
) -> Finding:
    known = variant.name != baseline and ours.keys() & theirs.keys()
    gap = difference(protocol, key, (variant.name, baseline), ours, theirs) if known else None
    return Finding(variant, spread(protocol, key, ours), gap, min(len(tally.names) for tally in ours.values()))
