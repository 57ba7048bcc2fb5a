"""What tables and pictures say of differences, and what they leave unsaid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from boards import Mean, tally
from matplotlib.axes import Axes

from tectum.ablation.findings import Finding, Findings
from tectum.ablation.grid import counted, lay_out
from tectum.ablation.plot import draw_findings
from tectum.ablation.report import findings_json, long_sheet, sheets
from tectum.ablation.statistics import difference, spread
from tectum.ablation.table import Measure, Table, Variant

BASE, NEW = Variant("base"), Variant("new", ("optim.lr=1e-4",))
MEASURE = Measure("world-bench", "SR", "rgb")
TABLE = Table("Two rates", "nano", (BASE, NEW), (MEASURE,), "base", (1,))


def found(*gaps: float) -> Findings:
    """What one seed finds on some sequences, on each of which the new variant is better by so much."""
    theirs = {1: tally(np.full(len(gaps), 0.4))}
    ours = {1: tally(0.4 + np.array(gaps))}
    gap = difference(Mean(), "SR", ("new", "base"), ours, theirs)
    held = (
        Finding(BASE, spread(Mean(), "SR", theirs), None, len(gaps)),
        Finding(NEW, spread(Mean(), "SR", ours), gap, len(gaps)),
    )
    runs = lay_out(TABLE, Path())
    return Findings(TABLE, runs, {MEASURE: held}, {MEASURE: len(gaps)}, {MEASURE: Mean.says}, {})


def differences(findings: Findings) -> Axes:
    """The right half of the picture."""
    return draw_findings(findings).subfigs[0].axes[1]


def caption(findings: Findings) -> str:
    return str(draw_findings(findings).get_supxlabel())


def test_one_seed_on_one_sequence_gives_no_verdict() -> None:
    findings = found(0.1)
    (sheet,) = sheets(findings)
    assert [cell.value for cell in sheet.rows[1][4:6]] == pytest.approx([np.nan, ""], nan_ok=True)
    said = " ".join(sheet.notes)
    assert "One seed on one sequence gives no interval" in said
    assert "brackets" not in said
    assert "too narrow" not in said
    assert long_sheet(findings).rows[1][7].value == ""
    told = findings_json(findings)["measures"][0]["variants"]["new"]["difference"]
    assert told["value"] == pytest.approx(0.1)
    assert told["noise"] is None


def test_few_sequences_give_a_verdict_and_a_warning() -> None:
    findings = found(0.1, 0.2, 0.15)
    (sheet,) = sheets(findings)
    assert sheet.rows[1][5].value == "better"
    assert "in brackets" in " ".join(sheet.notes)
    assert "Intervals over so few sequences (3) are too narrow." in sheet.notes
    assert sheets(found(0.1, -0.2, 0.15))[0].rows[1][5].value == "noise"
    assert findings_json(found(0.1, -0.2, 0.15))["measures"][0]["variants"]["new"]["difference"]["noise"] is True


def test_a_difference_without_an_interval_is_drawn_as_neither_clear_nor_noise() -> None:
    axes = differences(found(0.1))
    assert not [line for line in axes.lines if line.get_marker() == "o"]
    assert "hollow" not in caption(found(0.1))
    assert "no interval" in caption(found(0.1))
    (clear,) = [line for line in differences(found(0.1, 0.2, 0.15)).lines if line.get_marker() == "o"]
    (noise,) = [line for line in differences(found(0.1, -0.2, 0.15)).lines if line.get_marker() == "o"]
    assert noise.get_markerfacecolor() == "white" != clear.get_markerfacecolor()
    assert "hollow where they hold 0" in caption(found(0.1, -0.2, 0.15))


@pytest.mark.parametrize("gaps", [(0.3,), (-0.3,), (0.3, 0.31, 0.32)])
def test_the_axis_of_differences_holds_0(gaps: tuple[float, ...]) -> None:
    low, high = differences(found(*gaps)).get_xlim()
    assert low < 0 < high


def test_one_thing_is_not_several() -> None:
    assert (counted(1, "seed"), counted(2, "seed"), counted(1, "batch"), counted(40, "batch")) == (
        *("1 seed", "2 seeds", "1 batch", "40 batches"),
    )
    assert draw_findings(found(0.1)).subfigs[0].axes[0].get_title("left").endswith("(1 sequence)")
