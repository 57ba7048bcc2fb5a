"""Which tables scores are shown in: trackers, differences, sequences, attributes, dropped senses; and as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tectum.errors import UnknownNameError
from tectum.evaluation.board import Board, Card
from tectum.evaluation.robustness import Robustness, Trial
from tectum.evaluation.statistics import Difference, Intervals, attribute_scores
from tectum.evaluation.typesetting import Cell, Column, Kind, Table, Value

__all__ = [
    "Table",
    "attribute_table",
    "board_json",
    "difference_table",
    "robustness_differences",
    "robustness_json",
    "robustness_table",
    "score_table",
    "sequence_table",
]


ENOUGH = 20
"""Sequences below which a bootstrap's intervals hold the truth clearly less often than they say."""


def score_table(board: Board, intervals: Intervals | None = None) -> Table:
    """Every tracker's scores in percent, in the board's order, with intervals where they are known.

    Trackers that lack sequences which others have are never marked as the best: they may lack the hard ones.
    """
    keys, cards = board.protocol.keys, board.cards
    columns = [Column("tracker"), *(Column(key, Kind.SHARE) for key in keys), Column("sequences", Kind.COUNT)]
    cells = [[Cell(card.tracker) for card in cards]]
    for key in keys:
        ranks = _ranks(_comparable(cards, [card.scores.get(key) for card in cards]))
        cells.append([Cell(_score(card, key, intervals), rank) for card, rank in zip(cards, ranks, strict=True)])
    cells.append([Cell(len(card.tally.names)) for card in cards])
    if any(card.fps is not None for card in cards):
        columns.append(Column("fps", Kind.SPEED))
        cells.append([Cell(card.fps) for card in cards])
    notes = [*_partial(board), board.protocol.says]
    if intervals is not None:
        notes.append(f"± is half of the {_method(intervals)}.{_narrow([len(card.tally.names) for card in cards])}")
    return Table(f"{_split(board)}: scores in percent", tuple(columns), tuple(zip(*cells, strict=True)), tuple(notes))


def difference_table(intervals: Intervals, key: str | None = None) -> Table:
    """What parts every two trackers, in percentage points, and whether it may be noise.

    Args:
        intervals: of a bootstrap.
        key: the only score to show; all by default.

    Raises:
        UnknownNameError: if there is no such score.
    """
    if key is not None:
        _check(key, intervals.protocol.keys)
    keys = intervals.protocol.keys if key is None else (key,)
    columns = (
        *(Column("score"), Column("tracker"), Column("against")),
        *(Column("difference", Kind.GAP), Column("p", Kind.CHANCE), Column("sequences", Kind.COUNT), Column("verdict")),
    )
    rows = [_difference_row(each) for wanted in keys for each in intervals.differences if each.key == wanted]
    note = (
        f"In brackets the {_method(intervals)}, the same draws for both trackers. Where it holds 0, the difference "
        "may be noise; with many pairs some seem clear by chance."
    )
    note += _narrow([difference.sequences for difference in intervals.differences])
    return Table("Differences in percentage points", columns, tuple(rows), (note, intervals.protocol.says))


def sequence_table(board: Board, key: str) -> Table:
    """Every tracker's score on each sequence, in percent.

    Args:
        board: the trackers.
        key: the score.

    Raises:
        UnknownNameError: if the convention has no such score for single sequences.
    """
    scores = [_by_sequence(board, card) for card in board.cards]
    known = [name for name in board.protocol.keys if all(name in held for held in scores)]
    _check(key, known)
    rows = []
    for name in board.names:
        values = [held[key].get(name) for held in scores]
        rows.append((Cell(name), *_cells(values, values)))
    columns = (Column("sequence"), *(Column(card.tracker, Kind.SHARE) for card in board.cards))
    return Table(f"{_split(board)}: {key} in percent, by sequence", columns, tuple(rows), (board.protocol.says,))


def attribute_table(board: Board, key: str) -> Table:
    """Every tracker's score over the sequences of each attribute, in percent; all scores of a tracker that is alone.

    Args:
        board: the trackers.
        key: the score of several trackers.

    Raises:
        UnknownNameError: if the convention has no such score.
    """
    _check(key, board.protocol.keys)
    alone = len(board.cards) == 1
    scores = [attribute_scores(board, card) for card in board.cards]
    rows, few = [], False
    for attribute, members in board.attributes.items():
        count = len(members.intersection(board.names))
        few = few or count < 2
        if alone:
            cells = [Cell(scores[0][attribute][each]) for each in board.protocol.keys]
        else:
            values = [held[attribute][key] for held in scores]
            cells = _cells(values, _comparable(board.cards, values))
        rows.append((Cell(attribute if count > 1 else f"{attribute} *"), Cell(count), *cells))
    heads = board.protocol.keys if alone else [card.tracker for card in board.cards]
    columns = (Column("attribute"), Column("sequences", Kind.COUNT), *(Column(head, Kind.SHARE) for head in heads))
    mark = ("* Fewer than two sequences have this attribute.",) if few else ()
    shown = board.cards[0].tracker if alone else key
    title = f"{_split(board)}: {shown} in percent, by attribute"
    return Table(title, columns, tuple(rows), (*mark, *_partial(board), board.protocol.says))


def robustness_table(report: Robustness, changes: Sequence[str] = ()) -> Table:
    """Every tracker's scores under every drop in percent, and what the drop changed in points, with intervals.

    Args:
        report: the trials.
        changes: the scores whose change is shown; the first one by default.

    Raises:
        UnknownNameError: if there is no such score.
    """
    keys, changed = report.board.protocol.keys, changes or (report.key,)
    for key in changed:
        _check(key, keys)
    columns = (
        *(Column("dropped"), Column("tracker"), *(Column(key, Kind.SHARE) for key in keys)),
        *(*(Column(f"{key} change", Kind.GAP) for key in changed), Column("sequences", Kind.COUNT)),
    )
    rows = []
    for dropped in report.drops:
        trials = [trial for trial in report.trials if trial.dropped == dropped]
        cards = [trial.card for trial in trials]
        ranks = {key: _ranks(_comparable(cards, [card.scores[key] for card in cards])) for key in keys}
        for place, trial in enumerate(trials):
            scores = (Cell(trial.scores[key], ranks[key][place]) for key in keys)
            gaps = (Cell(trial.change[key].gap if trial.change else None) for key in changed)
            rows.append((Cell(dropped), Cell(trial.tracker), *scores, *gaps, Cell(len(trial.card.tally.names))))
    method = f"± is half of the {_method(report)}; brackets hold that of a change, over the sequences of both runs."
    notes = (*_partial(report.board), method + _few(report), report.board.protocol.says)
    return Table(f"{_split(report.board)}: scores in percent where a sense is dropped", columns, tuple(rows), notes)


def robustness_differences(report: Robustness, keys: Sequence[str] = ()) -> tuple[Table, Table]:
    """What parts all trackers from the first one under each drop, and by how much less each falls, in points.

    Args:
        report: the trials of two trackers or more.
        keys: the scores to show; the first one by default.

    Raises:
        UnknownNameError: if there is no such score.
    """
    first, leads = report.trackers[0], [(trial.dropped, trial.lead) for trial in report.trials]
    reliefs = [(trial.dropped, trial.relief) for trial in report.trials]
    return (
        _by_drop(report, f"Scores against those of {first}, in percentage points", leads, keys),
        _by_drop(report, f"How much less a score falls than that of {first}, in percentage points", reliefs, keys),
    )


def robustness_json(report: Robustness) -> dict[str, Any]:
    """All trials in full precision, ready for `json.dumps`: scores in [0, 1], `None` where there is none.

    Returns:
        `benchmark`, `split`, `convention`, `says`, `sequences`, `confidence`, `draws`, `problems` and `trials`, each
        with `tracker`, `dropped`, `sequences`, its scores by key, `interval` (by key, low and high) and differences by
        key: `change` by the drop, `lead` over the first tracker, and `relief`, how much less it falls than that one.
    """
    board = report.board
    return {
        **_heading(board),
        "confidence": report.confidence,
        "draws": report.draws,
        "trials": [_trial_json(trial) for trial in report.trials],
        "problems": [problem.sentence for problem in board.problems],
    }


def _heading(board: Board) -> dict[str, Any]:
    """What was scored, and by which rules."""
    return {
        "benchmark": board.benchmark,
        "split": board.split,
        "convention": board.protocol.name,
        "says": board.protocol.says,
        "sequences": len(board.names),
    }


def board_json(board: Board, intervals: Intervals | None = None) -> dict[str, Any]:
    """All of a board in full precision, ready for `json.dumps`: scores in [0, 1], `None` where there is none.

    Returns:
        `benchmark`, `split`, `convention`, `says`, `sequences` (how many could be scored), `confidence` (of the
        intervals, `None` without), `trackers` by name, `differences` (of every two trackers and each score),
        `problems` and `notices`. A tracker has its scores by key, `sequences`, `fps`, `interval` (by key, low and
        high), `attributes` (by attribute and key) and `by_sequence` (by sequence and key).
    """
    return {
        **_heading(board),
        "confidence": intervals.confidence if intervals else None,
        "trackers": {card.tracker: _card_json(board, card, intervals) for card in board.cards},
        "differences": [_difference_json(difference) for difference in intervals.differences] if intervals else [],
        "problems": [
            {
                "tracker": problem.tracker,
                "sequence": problem.sequence,
                "sequences": list(problem.sequences),
                "sentence": problem.sentence,
            }
            for problem in board.problems
        ],
        "notices": list(board.notices),
    }


def _by_drop(
    report: Robustness, title: str, held: Sequence[tuple[str, Mapping[str, Difference]]], keys: Sequence[str]
) -> Table:
    """A row for each difference under a drop."""
    for key in keys:
        _check(key, report.board.protocol.keys)
    columns = (
        *(Column("dropped"), Column("score"), Column("tracker"), Column("against")),
        *(Column("difference", Kind.GAP), Column("p", Kind.CHANCE), Column("sequences", Kind.COUNT), Column("verdict")),
    )
    rows = [
        (Cell(dropped), *_difference_row(differences[key]))
        for key in keys or (report.key,)
        for dropped, differences in held
        if differences
    ]
    note = (
        f"In brackets the {_method(report)}, the same draws for all. Where it holds 0, the difference may be noise; "
        f"with many pairs some seem clear by chance.{_few(report)}"
    )
    return Table(title, columns, tuple(rows), (note,))


def _trial_json(trial: Trial) -> dict[str, Any]:
    return {
        "tracker": trial.tracker,
        "dropped": trial.dropped,
        "sequences": len(trial.card.tally.names),
        **{key: _null(score.value) for key, score in trial.scores.items()},
        "interval": {key: [_null(score.low), _null(score.high)] for key, score in trial.scores.items()},
        **{
            name: {key: _difference_json(each) for key, each in held.items()}
            for name, held in (("change", trial.change), ("lead", trial.lead), ("relief", trial.relief))
        },
    }


def _card_json(board: Board, card: Card, intervals: Intervals | None) -> dict[str, Any]:
    held = intervals.scores.get(card.tracker, {}) if intervals else {}
    by_sequence = _by_sequence(board, card)
    return {
        **{key: _null(card.scores.get(key)) for key in board.protocol.keys},
        "sequences": len(card.tally.names),
        "fps": _null(card.fps),
        "interval": {key: [_null(interval.low), _null(interval.high)] for key, interval in held.items()},
        "attributes": {
            attribute: {key: _null(value) for key, value in scores.items()}
            for attribute, scores in attribute_scores(board, card).items()
        },
        "by_sequence": {
            name: {key: _null(values[name]) for key, values in by_sequence.items()} for name in card.tally.names
        },
    }


def _difference_json(difference: Difference) -> dict[str, Any]:
    return {
        "tracker": difference.tracker,
        "against": difference.against,
        "key": difference.key,
        "difference": _null(difference.gap.value),
        "interval": [_null(difference.gap.low), _null(difference.gap.high)],
        "p": _null(difference.chance),
        "noise": difference.noise,
        "sequences": difference.sequences,
    }


def _difference_row(difference: Difference) -> tuple[Cell, ...]:
    return (
        *(Cell(difference.key), Cell(difference.tracker), Cell(difference.against)),
        *(Cell(difference.gap), Cell(difference.chance), Cell(difference.sequences)),
        Cell("noise" if difference.noise else "clear"),
    )


def _by_sequence(board: Board, card: Card) -> dict[str, dict[str, float]]:
    """By key and sequence."""
    return {
        key: dict(zip(card.tally.names, map(float, values), strict=True))
        for key, values in board.protocol.by_sequence(card.tally).items()
    }


def _score(card: Card, key: str, intervals: Intervals | None) -> Value:
    held = intervals.scores.get(card.tracker, {}) if intervals else {}
    return held[key] if key in held else card.scores.get(key)


def _comparable(cards: Sequence[Card], values: Sequence[float | None]) -> list[float | None]:
    """One value per tracker, without those of trackers that lack sequences which others have."""
    most = max((len(card.tally.names) for card in cards), default=0)
    return [value if len(card.tally.names) == most else None for card, value in zip(cards, values, strict=True)]


def _cells(values: Sequence[float | None], ranked: Sequence[float | None]) -> list[Cell]:
    return [Cell(value, rank) for value, rank in zip(values, _ranks(ranked), strict=True)]


def _ranks(values: Sequence[float | None]) -> list[int]:
    """1 for the largest value, 2 for the next one, 0 for all others; nothing stands out of fewer than two."""
    known = [value for value in values if value is not None and not math.isnan(value)]
    places = {value: place for place, value in enumerate(sorted(set(known), reverse=True)[:2], start=1)}
    return [places.get(value, 0) if value is not None and len(known) > 1 else 0 for value in values]


def _partial(board: Board) -> list[str]:
    """A sentence on each tracker that lacks sequences, for its scores are over others than those of the rest."""
    total = len(board.names)
    return [
        f"{card.tracker} has results for {len(card.tally.names)} of {total} sequences only; its scores are over these."
        for card in board.cards
        if len(card.tally.names) < total
    ]


def _split(board: Board) -> str:
    return f"{board.benchmark} {board.split}"


def _method(intervals: Intervals | Robustness) -> str:
    return f"{100 * intervals.confidence:g} % interval of a bootstrap over sequences ({intervals.draws} draws)"


def _few(report: Robustness) -> str:
    return _narrow([len(trial.card.tally.names) for trial in report.trials])


def _narrow(counts: Sequence[int]) -> str:
    few = min(counts, default=ENOUGH)
    return f" Intervals over so few sequences ({few}) are too narrow." if few < ENOUGH else ""


def _check(key: str, known: Sequence[str]) -> None:
    if key not in known:
        raise UnknownNameError(f"There is no score '{key}' to show here: use one of {', '.join(known)}.")


def _null(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value
