from __future__ import annotations

import csv
import json
import math
import re
from io import BytesIO, StringIO, TextIOWrapper

import numpy as np
import pytest
from boards import Mean, board, tally

from tectum.errors import UnknownNameError
from tectum.evaluation.board import Board
from tectum.evaluation.statistics import Intervals, bootstrap
from tectum.evaluation.tables import attribute_table, board_json, difference_table, score_table, sequence_table
from tectum.evaluation.typesetting import Cell, Column, Kind, Table

NAMES = ("boy`headwithouthat", "s1", "s2", "s3")
GOOD = tally(np.array([0.9, 0.8, 0.7, 0.61]), NAMES)
FAIR = tally(np.array([0.5, 0.6, 0.7, 1 / 3]), NAMES)
POOR = tally(np.array([0.1, 0.2, 0.3, 0.25]), NAMES)


@pytest.fixture
def three() -> Board:
    return board({"poor": POOR, "good_1": GOOD, "fair": FAIR}, {"NO": NAMES[:2], "OV": NAMES[3:]}, fair=30.0)


@pytest.fixture
def intervals(three: Board) -> Intervals:
    return bootstrap(three.protocol, {card.tracker: card.tally for card in three.cards}, draws=200)


def texts(table: Table) -> list[list[str]]:
    stream = StringIO()
    table.show(stream)
    return [line.split() for line in stream.getvalue().splitlines()]


def ranks(table: Table, column: int) -> list[int]:
    return [row[column].rank for row in table.rows]


def test_trackers_stand_ranked_with_percent_sequences_and_speed(three: Board) -> None:
    table = score_table(three)
    assert [column.name for column in table.columns] == ["tracker", "SR", "AO", "sequences", "fps"]
    assert ["good_1", "75.2", "37.6", "4", "-"] in texts(table)
    assert ["fair", "53.3", "26.7", "4", "30.0"] in texts(table)
    assert ranks(table, 1) == [1, 2, 0]
    assert table.notes == (Mean.says,)


def test_intervals_stand_beside_scores(three: Board, intervals: Intervals) -> None:
    held = intervals.scores["fair"]["SR"]
    assert f"53.3 ± {100 * held.half_width:.1f}" in score_table(three, intervals).markdown()
    assert "95 % interval" in score_table(three, intervals).notes[-1]


def test_a_tracker_without_the_hard_sequences_is_named_and_not_the_best() -> None:
    table = score_table(board({"whole": FAIR, "half": GOOD.of(NAMES[:2]), "poor": POOR}))
    assert [row[0].value for row in table.rows] == ["half", "whole", "poor"]
    assert ranks(table, 1) == [0, 1, 2]
    assert table.notes[0].startswith("half has results for 2 of 4 sequences only")


def test_one_tracker_alone_is_not_marked(three: Board) -> None:
    assert ranks(score_table(board({"a": GOOD})), 1) == [0]


def test_csv_keeps_every_digit_and_reads_back(three: Board, intervals: Intervals) -> None:
    written = score_table(three, intervals).csv()
    assert written.count("\r\n") == 4
    rows = list(csv.DictReader(StringIO(written, newline="")))
    assert float(rows[1]["SR"]) == three.cards[1].scores["SR"]
    assert float(rows[1]["AO_high"]) == intervals.scores["fair"]["AO"].high
    assert [row["fps"] for row in rows] == ["", "30.0", ""]


def test_csv_quotes_what_would_break_it() -> None:
    table = Table("t", (Column("a,b"), Column("n", Kind.SHARE)), ((Cell('say "x",\ny'), Cell(math.nan)),))
    assert table.csv() == '"a,b",n\r\n"say ""x"",\ny",\r\n'


def test_markdown_marks_the_best_and_escapes_names(three: Board) -> None:
    written = sequence_table(three, "SR").markdown()
    assert r"| boy\`headwithouthat | **90.0** | <u>50.0</u> | 10.0 |" in written
    assert r"| sequence | good\_1 | fair | poor |" in written
    assert "| :-- | --: | --: | --: |" in written


def test_latex_marks_the_best_and_escapes_names(three: Board, intervals: Intervals) -> None:
    written = sequence_table(three, "SR").latex()
    assert r"boy\textasciigrave{}headwithouthat & \textbf{90.0} & \underline{50.0} & 10.0 \\" in written
    assert r"sequence & good\_1 & fair & poor \\" in written
    assert r"of 100 \% of them." in written
    assert r"$\pm$" in score_table(three, intervals).latex()
    odd = Table("t", (Column("tracker"), Column("gap", Kind.GAP)), ((Cell("[a] & {b}^~\\#$"), Cell(-0.012)),))
    assert r"{[}a] \& \{b\}\textasciicircum{}\textasciitilde{}\textbackslash{}\#\$ & $-$1.2 \\" in odd.latex()


def test_a_narrow_or_plain_terminal_loses_no_value(three: Board, intervals: Intervals) -> None:
    many = board({f"a_tracker_with_a_long_name_{place}": GOOD for place in range(30)})
    shown = StringIO()
    sequence_table(many, "SR").show(shown)
    row = next(line for line in shown.getvalue().splitlines() if line.strip().startswith("s1"))
    assert row.split() == ["s1", *["80.0"] * 30]
    plain = TextIOWrapper(BytesIO(), "ascii")
    score_table(three, intervals).show(plain)
    plain.seek(0)
    assert "53.3 +- " in plain.read()


def test_a_row_is_a_paragraph_where_a_terminal_is_too_narrow(
    three: Board, intervals: Intervals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "30")
    stream = StringIO()
    score_table(three, intervals).show(stream)
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).split() for line in stream.getvalue().splitlines()]
    assert ["tracker", "good_1"] in lines
    assert max(len(" ".join(line)) for line in lines) <= 30
    assert "'" in Table("t", (Column("a"),), ((Cell("it's"),),)).latex()


def test_a_terminal_shows_the_best_bold(three: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    stream = StringIO()
    attribute_table(three, "SR").show(stream)
    assert "\x1b[1m85.0" in stream.getvalue()
    assert "\x1b[4m55.0" in stream.getvalue()


def test_sequences_that_a_tracker_lacks_are_empty() -> None:
    table = sequence_table(board({"a": FAIR, "b": GOOD.of(NAMES[1:])}), "SR")
    assert table.rows[0][1].value is None
    assert ranks(table, 1) == [0, 1, 1, 1]


def test_attributes_of_a_single_sequence_are_marked(three: Board) -> None:
    table = attribute_table(three, "SR")
    assert [(row[0].value, row[1].value) for row in table.rows] == [("NO", 2), ("OV *", 1)]
    assert table.rows[0][2].value == pytest.approx(0.85)
    assert table.notes[0].startswith("* Fewer than two")


def test_differences_say_whether_they_are_noise(intervals: Intervals) -> None:
    everything = difference_table(intervals)
    assert len(everything.rows) == 6
    table = difference_table(intervals, "AO")
    assert [(row[1].value, row[2].value) for row in table.rows] == [
        *(("good_1", "fair"), ("good_1", "poor"), ("fair", "poor"))
    ]
    assert [row[-1].value for row in table.rows] == ["clear", "clear", "clear"]
    assert "+27.0 [" in table.markdown().replace("\\", "")
    assert "so few sequences (4) are too narrow" in table.notes[0]
    mixed = tally(np.array([1.0, 0.5, 0.8, 0.2]), NAMES)
    noisy = difference_table(bootstrap(Mean(), {"good": GOOD, "mixed": mixed}, draws=200))
    assert [row[-1].value for row in noisy.rows] == ["noise", "noise"]


def test_unknown_scores_are_named(three: Board, intervals: Intervals) -> None:
    with pytest.raises(UnknownNameError, match=r"'EAO'.* SR, AO"):
        attribute_table(three, "EAO")
    with pytest.raises(UnknownNameError, match=r"'AO'.* use one of SR"):
        sequence_table(three, "AO")
    with pytest.raises(UnknownNameError, match="'EAO'"):
        difference_table(intervals, "EAO")


def test_json_holds_everything_in_full_precision(three: Board, intervals: Intervals) -> None:
    held = json.loads(json.dumps(board_json(three, intervals), allow_nan=False))
    assert (held["benchmark"], held["split"], held["convention"]) == ("LasHeR", "test", "mean")
    assert list(held["trackers"]) == ["good_1", "fair", "poor"]
    fair = held["trackers"]["fair"]
    assert fair["SR"] == three.cards[1].scores["SR"]
    assert (fair["sequences"], fair["fps"]) == (4, 30.0)
    assert fair["interval"]["SR"] == [intervals.scores["fair"]["SR"].low, intervals.scores["fair"]["SR"].high]
    assert fair["by_sequence"]["s3"] == {"SR": 1 / 3}
    assert fair["attributes"]["OV"]["AO"] == pytest.approx(1 / 6)
    assert held["differences"][0]["tracker"] == "good_1"
    assert held["problems"] == [
        {"tracker": "b", "sequence": "s1", "sequences": ["s1"], "sentence": "b/s1.txt is empty."}
    ]


def test_json_writes_what_is_unknown_as_null() -> None:
    lone = board({"a": tally(np.array([np.nan]))}, {"NO": ("elsewhere",)})
    held = board_json(lone, bootstrap(Mean(), {"a": lone.cards[0].tally}, draws=5))
    assert "NaN" not in json.dumps(held)
    assert held["trackers"]["a"]["SR"] is None
    assert held["trackers"]["a"]["interval"]["SR"] == [None, None]
    assert board_json(lone)["confidence"] is None
