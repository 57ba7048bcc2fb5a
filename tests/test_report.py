"""`tectum report robustness`: what runs lose where a sense was dropped, read from their folders."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from tectum.cli.main import app
from tectum.errors import ResultError
from tectum.evaluation.robustness import NOTHING, compare, read_runs
from tectum.evaluation.run_folder import Config
from tectum.evaluation.scoring import score
from tectum.evaluation.statistics import bootstrap

SEQUENCES = 8
LENGTH = 10
SHIFTS = {("duo", ""): 2, ("duo", "rgb=0.5"): 6, ("ckd", ""): 1, ("ckd", "rgb=0.5"): 2, ("ckd", "thermal=0.5"): 3}
"""Pixels, for targets of 20, by which boxes of each tracker under each drop are off, more in later sequences."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The truth in `truth`, and in a folder for each tracker one for each drop."""
    place = tmp_path_factory.mktemp("place")
    boxes = np.tile([40.0, 40, 20, 20], (LENGTH, 1)) + np.arange(LENGTH)[:, None] * [2, 0, 0, 0]
    for number in range(SEQUENCES):
        write(place / "truth" / f"walk{number}" / "groundtruth.txt", boxes)
        (place / "truth" / f"walk{number}" / "rgb").mkdir()
        for (tracker, drop), shift in SHIFTS.items():
            off = np.arange(LENGTH)[:, None] > 0
            write(folder(place, tracker, drop) / f"walk{number}.txt", boxes + off * [shift + number / 4, 0, 0, 0])
    for tracker, drop in SHIFTS:
        sign(place, tracker, drop)
    return place


def folder(place: Path, tracker: str, drop: str) -> Path:
    return place / tracker / (drop or "whole")


def write(path: Path, boxes: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savetxt(path, boxes, "%.3f", ",")


def sign(place: Path, tracker: str, drop: str, **changed: object) -> Path:
    """Writes the record of a run and returns its folder."""
    config = Config(f"{tracker}-tiny", tracker, "thermal", "copy", "cpu", 1, "plain", "all", 1, "", drop)
    settings = {**asdict(config), "drop_seed": 1 if drop else None, **changed}
    held = folder(place, tracker, drop)
    held.mkdir(parents=True, exist_ok=True)
    (held / "run.json").write_text(json.dumps({"config": settings, "root": str(place / "truth")}))
    return held


def every(place: Path) -> list[tuple[str | None, Path]]:
    return [(tracker, folder(place, tracker, drop)) for tracker, drop in SHIFTS]


def reported(place: Path, *words: object) -> Result:
    return CliRunner().invoke(app, ["report", "robustness", "--draws", "200", *map(str, words)])


def test_changes_and_differences_are_those_of_a_paired_bootstrap(place: Path) -> None:
    found = compare(read_runs(every(place)), place / "truth")
    assert (found.trackers, found.drops) == (("duo", "ckd"), (NOTHING, "rgb=0.5", "thermal=0.5"))
    trials = {(trial.tracker, trial.dropped): trial for trial in found.trials}
    assert list(trials) == sorted(
        ((tracker, drop or NOTHING) for tracker, drop in SHIFTS),
        key=lambda pair: (found.drops.index(pair[1]), found.trackers.index(pair[0])),
    )
    names = {f"{tracker} {drop}": folder(place, tracker, drop) for tracker, drop in SHIFTS}
    board = score("plain", place / "truth", names)
    tallies = {card.tracker: card.tally for card in board.cards}
    alone = {card.tracker: card.scores["SR"] for card in board.cards}

    def pair(one: str, other: str) -> tuple[float, float, float, float]:
        [held] = [
            each
            for each in bootstrap(board.protocol, {name: tallies[name] for name in (one, other)}).differences
            if each.key == "SR"
        ]
        return (held.gap.value, held.gap.low, held.gap.high, held.chance)

    fall = trials["ckd", "rgb=0.5"].change["SR"]
    assert (fall.gap.value, fall.gap.low, fall.gap.high, fall.chance) == pytest.approx(pair("ckd rgb=0.5", "ckd "))
    lead = trials["ckd", "rgb=0.5"].lead["SR"]
    assert (lead.gap.value, lead.gap.low, lead.gap.high, lead.chance) == pytest.approx(
        pair("ckd rgb=0.5", "duo rgb=0.5")
    )
    relief = trials["ckd", "rgb=0.5"].relief["SR"]
    expected = (alone["ckd rgb=0.5"] - alone["ckd "]) - (alone["duo rgb=0.5"] - alone["duo "])
    assert relief.gap.value == pytest.approx(expected)
    assert 0 < relief.gap.low < expected < relief.gap.high
    assert not relief.noise


def test_there_is_no_change_or_lead_without_the_run_that_it_needs(place: Path) -> None:
    found = compare(read_runs(every(place)), place / "truth", draws=200)
    trials = {(trial.tracker, trial.dropped): trial for trial in found.trials}
    assert not trials["duo", NOTHING].change
    assert not trials["duo", "rgb=0.5"].lead
    assert not trials["ckd", NOTHING].relief
    assert trials["ckd", "thermal=0.5"].change
    assert not trials["ckd", "thermal=0.5"].lead
    assert not trials["ckd", "thermal=0.5"].relief
    lone = compare(read_runs([("ckd", folder(place, "ckd", "rgb=0.5"))]), place / "truth")
    assert [(trial.dropped, dict(trial.change)) for trial in lone.trials] == [("rgb=0.5", {})]


def test_the_command_prints_tables_in_every_form_and_writes_them(place: Path, tmp_path: Path) -> None:
    words = [f"{tracker}={path}" for tracker, path in every(place)]
    result = reported(place, *words, "--out", tmp_path, "--format", "csv")
    assert result.exit_code == 0, result.output
    rows = list(csv.DictReader(StringIO(result.stdout.replace("\r\n", "\n").split("\n\n")[0])))
    assert [(row["dropped"], row["tracker"]) for row in rows] == [
        *((NOTHING, "duo"), (NOTHING, "ckd"), ("rgb=0.5", "duo"), ("rgb=0.5", "ckd"), ("thermal=0.5", "ckd"))
    ]
    held = [float(row["SR"]) for row in rows]
    assert held[2] < held[0]
    assert float(rows[2]["SR change"]) == pytest.approx(held[2] - held[0])
    assert float(rows[3]["SR change_low"]) < float(rows[3]["SR change"]) < float(rows[3]["SR change_high"])
    assert rows[0]["SR change"] == ""
    written = {"robustness.json", "robustness.csv", "robustness.md", "robustness.tex", "differences.csv", "falls.csv"}
    assert {path.name for path in tmp_path.iterdir()} == written | {"robustness.png", "robustness.pdf"}
    assert all(path.stat().st_size for path in tmp_path.iterdir())
    for form, told in (("table", "SR change"), ("markdown", "| dropped | tracker |"), ("latex", "\\toprule")):
        assert told in reported(place, *words, "--format", form).stdout
    everything = json.loads(reported(place, *words, "--format", "json").stdout)
    assert everything == json.loads((tmp_path / "robustness.json").read_text())
    assert everything["trials"][3]["change"]["SR"]["difference"] == pytest.approx(held[3] - held[1])
    assert "no format 'xml'" in reported(place, *words, "--format", "xml").stderr


def test_trackers_are_called_after_their_presets_and_folders_may_hold_the_sign(place: Path) -> None:
    result = reported(place, folder(place, "ckd", ""), folder(place, "ckd", "rgb=0.5"), "--format", "json")
    assert {trial["tracker"] for trial in json.loads(result.stdout)["trials"]} == {"ckd-tiny"}


def test_sequences_that_a_run_lacks_are_left_out_of_differences_and_told(place: Path, tmp_path: Path) -> None:
    for drop in ("", "rgb=0.5"):
        half = sign(tmp_path, "ckd", drop)
        for number in range(SEQUENCES if drop else SEQUENCES // 2):
            (half / f"walk{number}.txt").write_bytes((folder(place, "ckd", drop) / f"walk{number}.txt").read_bytes())
    runs = read_runs([(None, folder(tmp_path, "ckd", drop)) for drop in ("", "rgb=0.5")])
    change = compare(runs, place / "truth").trials[1].change["SR"]
    assert change.sequences == SEQUENCES // 2
    words = (*(run.folder for run in runs), "--root", place / "truth")
    assert "ckd-tiny has results for 4 of 8 sequences only" in " ".join(reported(place, *words).stdout.split())


def test_runs_that_cannot_be_compared_are_told(place: Path, tmp_path: Path) -> None:
    whole, half = folder(place, "ckd", ""), folder(place, "ckd", "rgb=0.5")
    (tmp_path / "empty").mkdir()
    for other, told in (
        (tmp_path / "empty", "has no run.json that says of which run it is"),
        (
            sign(tmp_path, "a", "", preset="ckd-tiny", weights="else"),
            "has weights ckd, but .* has else: tell trackers apart by NAME=FOLDER",
        ),
        (sign(tmp_path, "b", "", split="test"), "has split all, but .* has test: only runs on the same sequences"),
        (sign(tmp_path, "c", "rgb=0.5", preset="ckd-tiny", weights="ckd"), "are both ckd-tiny without rgb=0.5: tell"),
    ):
        with pytest.raises(ResultError, match=told):
            read_runs([(None, whole), (None, half), (None, other)])
    result = reported(place, tmp_path / "nowhere")
    assert result.exit_code == 2
    assert "error: " in result.stderr


def test_draws_of_several_seeds_are_several_drops(place: Path, tmp_path: Path) -> None:
    other = sign(tmp_path, "ckd", "rgb=0.5", drop_seed=2)
    runs = read_runs([("ckd", folder(place, "ckd", "rgb=0.5")), ("ckd", other)])
    assert [run.dropped for run in runs] == ["rgb=0.5 (seed 1)", "rgb=0.5 (seed 2)"]
