from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from boards import Mean, board, numbered, tally

from tectum.errors import TectumError, UnknownNameError
from tectum.evaluation.board import Board
from tectum.evaluation.plots import plot_curves, plot_differences, plot_radar
from tectum.evaluation.statistics import bootstrap

NAMES = numbered(6)
ATTRIBUTES = {"NO": NAMES[:2], "PO": NAMES[2:], "OV": NAMES[1:4], "HI": NAMES[:1]}


def trackers(count: int, attributes: dict[str, tuple[str, ...]] = ATTRIBUTES) -> Board:
    """Trackers with names that Matplotlib has its own ideas about, each a point better than the next one."""
    base = np.linspace(0.6, 0.8, 6)
    return board({f"_t{place}$x$": tally(base - 0.01 * place) for place in range(count)}, attributes)


def words(path: Path) -> list[str]:
    """All texts of an SVG, in the order in which they were drawn."""
    return re.findall(r"<!-- (.*?) -->", path.read_text())


@pytest.mark.filterwarnings("error")
def test_curves_are_ranked_by_score_and_say_where_they_are_from(tmp_path: Path) -> None:
    drawn = words(plot_curves(tmp_path / "a.svg", trackers(22), "success"))
    legend = [text for text in drawn if text.startswith("[")]
    assert legend[:2] == ["[70.0] _t0$x$", "[69.0] _t1$x$"]
    assert len(legend) == 20
    assert "2 more" in drawn
    assert {"Success on LasHeR test", "convention mean", "Overlap threshold", "SR in percent"} <= set(drawn)


@pytest.mark.parametrize(("suffix", "magic"), [(".png", b"\x89PNG"), (".pdf", b"%PDF"), (".SVG", b"<?xml")])
def test_the_same_board_gives_the_same_file(tmp_path: Path, suffix: str, magic: bytes) -> None:
    first, second = (
        plot_curves(tmp_path / f"{name}{suffix}", trackers(2), "success").read_bytes() for name in ("a", "b")
    )
    assert first.startswith(magic)
    assert first == second


@pytest.mark.filterwarnings("error")
def test_a_radar_names_attributes_with_their_sequences_and_the_best(tmp_path: Path) -> None:
    drawn = words(plot_radar(tmp_path / "a.svg", trackers(10), "SR"))
    assert {
        "NO (2)",
        "PO (4)",
        "OV (3)",
        "62.0",
        "convention mean; the centre is 45, the rim tells each best score",
        "2 more",
    } <= set(drawn)
    assert not any(text.startswith("HI") for text in drawn)
    lost = board({"lost": tally(np.zeros(6))}, ATTRIBUTES)
    assert "convention mean; the centre is 0, the rim" in "".join(words(plot_radar(tmp_path / "lost.svg", lost, "SR")))


def test_a_radar_takes_three_attributes(tmp_path: Path) -> None:
    with pytest.raises(TectumError, match="it takes 3 attributes that two sequences or more have, and there are 2"):
        plot_radar(tmp_path / "a.png", trackers(2, {name: ATTRIBUTES[name] for name in ("NO", "PO", "HI")}), "SR")


def test_a_tracker_that_lacks_sequences_says_so(tmp_path: Path) -> None:
    lacking = board({"a": tally(np.ones(6)), "b": tally(np.ones(4))})
    assert "(4 of 6 sequences)" in words(plot_curves(tmp_path / "a.svg", lacking, "success"))


@pytest.mark.filterwarnings("error")
def test_differences_are_to_the_best_tracker_whatever_the_order(tmp_path: Path) -> None:
    tallies = {name: tally(np.linspace(0.5, 0.9, 9) + more) for name, more in (("b", 0), ("a", 0.1), ("c", -0.1))}
    intervals = bootstrap(Mean(), tallies, draws=50)
    drawn = words(plot_differences(tmp_path / "a.svg", intervals, "SR", "LasHeR test"))
    assert "Behind a on LasHeR test" in drawn
    assert [text for text in drawn if text in tallies] == ["b", "c"]


def test_what_cannot_be_plotted_is_a_sentence(tmp_path: Path) -> None:
    held = trackers(1)
    with pytest.raises(UnknownNameError, match="no curve 'recall' to plot: use one of success"):
        plot_curves(tmp_path / "a.png", held, "recall")
    with pytest.raises(UnknownNameError, match="no score 'EAO' to plot: use one of SR, AO"):
        plot_radar(tmp_path / "a.png", held, "EAO")
    with pytest.raises(UnknownNameError, match=r"ends in \.png, \.pdf, \.svg"):
        plot_curves(tmp_path / "a.bmp", held, "success")
    with pytest.raises(TectumError, match="takes two trackers"):
        plot_differences(tmp_path / "a.png", bootstrap(Mean(), {"a": tally(np.ones(3))}, draws=5), "SR")
    (tmp_path / "file").touch()
    with pytest.raises(TectumError, match="cannot be written"):
        plot_curves(tmp_path / "file" / "a.png", held, "success")
