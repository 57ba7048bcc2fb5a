"""How scored trackers are shown on a terminal and written to a folder."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import typer

from tectum.errors import UnknownNameError
from tectum.evaluation.board import Board, Problem
from tectum.evaluation.statistics import Intervals, attribute_scores, bootstrap
from tectum.evaluation.tables import attribute_table, board_json, difference_table, score_table, sequence_table
from tectum.evaluation.typesetting import Cell, Column, Kind, Table, print_tables

FORMATS = ("table", "csv", "markdown", "latex", "json")

PLOTS = (".png", ".pdf")
"""For the eye and for papers."""

NAMED = 5
"""How many sequences a warning names."""

WARNINGS = 10
"""How many problems of one tracker are printed; the rest is counted."""


@dataclass(frozen=True)
class Showing:
    """What to print of a board.

    Attributes:
        format: one of `FORMATS`.
        sequences: whether to add a table by sequence.
        attributes: whether to add a table by attribute.

    Raises:
        UnknownNameError: if there is no such format.
    """

    format: str = "table"
    sequences: bool = False
    attributes: bool = False

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise UnknownNameError(f"There is no format '{self.format}': use one of {', '.join(FORMATS)}.")

    def show(self, board: Board, intervals: Intervals | None) -> None:
        """Prints tables, or the one JSON object that holds everything."""
        if self.format == "json":
            typer.echo(_json(board, intervals), nl=False)
            return
        print_tables(self._tables(board, intervals), self.format)

    def _tables(self, board: Board, intervals: Intervals | None) -> Iterator[Table]:
        key = board.protocol.keys[0]
        yield score_table(board, intervals)
        if intervals is not None and len(board.cards) > 1:
            yield difference_table(_to_the_best(board, intervals), key)
        if self.attributes:
            yield attribute_table(board, key)
        if self.sequences:
            yield sequence_table(board, key)


def draw(board: Board, draws: int, seed: int) -> Intervals | None:
    """Intervals of all scores and differences; `None` for no draws."""
    if not draws:
        return None
    return bootstrap(board.protocol, {card.tracker: card.tally for card in board.cards}, draws, seed)


def warn(board: Board, quiet: bool = False) -> None:
    """Says on the error stream what was found wrong and, unless quiet, what was guessed."""
    for tracker, group in groupby(board.problems, key=lambda problem: problem.tracker):
        problems = joined(list(group))
        for problem in problems[:WARNINGS]:
            typer.echo(f"warning: {problem.sentence}", err=True)
        if len(problems) > WARNINGS:
            whose = f"of {tracker}" if tracker else f"in the files of {board.benchmark}"
            more = len(problems) - WARNINGS
            typer.echo(f"warning: there are {more} more problems {whose}; --json and --out list all of them.", err=True)
    for notice in () if quiet else board.notices:
        typer.echo(f"note: {notice}", err=True)


def joined(problems: Sequence[Problem]) -> list[Problem]:
    """One problem for each sort, where sequences differ in nothing but their names."""
    alike: dict[str, list[Problem]] = {}
    for problem in problems:
        last = (problem.sequence or "").rpartition("/")[2]
        key = re.sub(rf"(?<!\w){re.escape(last)}(?!\w)", "NAME", problem.sentence) if last else problem.sentence
        alike.setdefault(key, []).append(problem)
    return [
        group[0] if len(group) == 1 else Problem(f"{len(group)} sequences ({_listed(group)}): {key}", group[0].tracker)
        for key, group in alike.items()
    ]


def _listed(problems: Sequence[Problem]) -> str:
    """Their sequences, as many as a sentence can take."""
    more = f" and {len(problems) - NAMED} more" if len(problems) > NAMED else ""
    return ", ".join(str(problem.sequence) for problem in problems[:NAMED]) + more


def write(board: Board, intervals: Intervals | None, out: Path) -> list[Path]:
    """Writes all tables and plots into a folder and returns the paths.

    Raises:
        TectumError: if a file cannot be written.
    """
    from tectum.evaluation.report import write_bytes

    scores = score_table(board, intervals)
    texts = {
        "scores.json": _json(board, intervals),
        "scores.csv": scores.csv(),
        "scores.md": scores.markdown(),
        "scores.tex": scores.latex(),
        "sequences.csv": _every_sequence(board).csv(),
    }
    if board.attributes:
        texts["attributes.csv"] = _every_attribute(board).csv()
    if intervals is not None and intervals.differences:
        texts["differences.csv"] = difference_table(intervals).csv()
    paths = [write_bytes(out / name, text.encode()) for name, text in texts.items()]
    return [*paths, *_plots(board, intervals, out)]


def _json(board: Board, intervals: Intervals | None) -> str:
    return json.dumps(board_json(board, intervals), indent=1, ensure_ascii=False) + "\n"


def _to_the_best(board: Board, intervals: Intervals) -> Intervals:
    """Only what parts the others from the best tracker: all pairs of many are no table to read."""
    best = board.cards[0].tracker
    shown = (each for each in intervals.differences if best in (each.tracker, each.against))
    return replace(intervals, differences=tuple(shown))


def _every_sequence(board: Board) -> Table:
    """All scores of all trackers on all sequences, one row for each tracker and sequence."""
    rows = []
    for card in board.cards:
        held = board.protocol.by_sequence(card.tally)
        for place, name in enumerate(card.tally.names):
            rows.append((Cell(card.tracker), Cell(name), *(Cell(float(values[place])) for values in held.values())))
    keys = board.protocol.by_sequence(board.cards[0].tally)
    columns = (Column("tracker"), Column("sequence"), *(Column(key, Kind.SHARE) for key in keys))
    return Table("By sequence", columns, tuple(rows))


def _every_attribute(board: Board) -> Table:
    """All scores of all trackers over the sequences of all attributes."""
    rows = []
    for card in board.cards:
        for attribute, held in attribute_scores(board, card).items():
            count = len(board.attributes[attribute].intersection(card.tally.names))
            rows.append((Cell(card.tracker), Cell(attribute), Cell(count), *(Cell(value) for value in held.values())))
    scores = (Column(key, Kind.SHARE) for key in board.protocol.keys)
    columns = (Column("tracker"), Column("attribute"), Column("sequences", Kind.COUNT), *scores)
    return Table("By attribute", columns, tuple(rows))


def _plots(board: Board, intervals: Intervals | None, out: Path) -> Iterator[Path]:
    """Every curve; the radar and the differences where there is enough for them."""
    from tectum.evaluation.plots import FEWEST_SPOKES, plot_curves, plot_differences, plot_radar

    key = board.protocol.keys[0]
    for curve in board.protocol.curves(board.cards[0].tally):
        yield from (plot_curves(out / f"{curve.key.replace(' ', '_')}{each}", board, curve.key) for each in PLOTS)
    if sum(len(members) > 1 for members in board.attributes.values()) >= FEWEST_SPOKES:
        yield from (plot_radar(out / f"radar{each}", board, key) for each in PLOTS)
    if intervals is not None and intervals.differences:
        title = f"{board.benchmark} {board.split}"
        yield from (plot_differences(out / f"differences{each}", intervals, key, title) for each in PLOTS)
