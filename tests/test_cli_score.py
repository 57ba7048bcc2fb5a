"""`tectum score` as a careless user types it, on real results and on broken ones."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from tectum.cli.main import app
from tectum.evaluation.conventions import convention
from tests.test_results import text, write

REAL = Path(__file__).resolve().parents[1].parent / "shared" / "real" / "results"
FRAMES = 8


def tectum_score(*words: object) -> Result:
    return CliRunner().invoke(app, ["score", *map(str, words)])


def scores(*words: object) -> dict[str, Any]:
    result = tectum_score(*words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def real() -> Path:
    if not REAL.is_dir():
        pytest.skip("real results are not here: put the shared folder beside the repository")
    return REAL


BOXES = {
    name: np.array([40, 30, 20, 10]) + np.arange(FRAMES)[:, None] * [step, 1, 0, 0]
    for step, name in enumerate(("ant", "bee", "cat"), start=1)
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three sequences in the plain layout; two are fast, and all of them small."""
    for name, boxes in BOXES.items():
        held = {"attributes": ["small", "cheap", "wild", *(["fast"] if name != "ant" else [])]}
        write(tmp_path / "root" / name, {"groundtruth.txt": text(boxes), "meta.json": json.dumps(held)})
        (tmp_path / "root" / name / "rgb").mkdir()
    return tmp_path / "root"


def results(folder: Path, shift: float = 0) -> Path:
    return write(folder, {f"{name}.txt": text(boxes + np.array([shift, 0, 0, 0])) for name, boxes in BOXES.items()})


def test_apfnet_on_lasher(real: Path) -> None:
    board = scores("lasher", real / "lasher" / "APFNet", "--annotations", real / "lasher" / "groundtruth")
    card = board["trackers"]["APFNet"]
    assert 100 * card["SR"] == pytest.approx(36.24, abs=0.01)
    assert 100 * card["NPR"] == pytest.approx(43.93, abs=0.005)
    assert 100 * card["PR"] == pytest.approx(50.0, abs=0.05)
    assert card["sequences"] == 245
    assert len(card["attributes"]) == 19
    low, high = card["interval"]["SR"]
    assert low < card["SR"] < high
    assert not board["problems"]


def test_mfdimp_on_rgbt210(real: Path) -> None:
    words = ("--annotations", real / "rgbt210" / "groundtruth", "--draws", 0)
    card = scores("RGBT210", real / "rgbt210" / "mfDiMP", *words)["trackers"]["mfDiMP"]
    assert card["PR"] == pytest.approx(0.716817603601176, abs=1e-12)
    assert card["SR"] == pytest.approx(0.5090264452454584, abs=1e-12)
    assert not card["interval"]


def test_trackers_stand_side_by_side(root: Path, tmp_path: Path) -> None:
    mine, other = results(tmp_path / "mine", 9), results(tmp_path / "some" / "results", 2)
    result = tectum_score("plain", mine, f"other={other}", "--root", root, "--sequences", "--attributes")
    assert result.exit_code == 0, result.output
    assert result.stdout.index("other") < result.stdout.index("mine")
    for words in ("Differences in percentage points", "by attribute", "by sequence", "95 % interval"):
        assert words in result.stdout
    assert result.stdout.count(convention("plain").says) == 1
    assert not result.stderr


def test_other_formats(root: Path, tmp_path: Path) -> None:
    mine = results(tmp_path / "mine")
    words = ("plain", mine, "--root", root)
    rows = list(csv.reader(tectum_score(*words, "--format", "csv").stdout.splitlines()))
    assert rows[0][:2] == ["tracker", "SR"]
    assert float(rows[1][1]) == pytest.approx(20 / 21)
    assert "| mine |" in tectum_score(*words, "--format", "markdown").stdout
    assert r"\toprule" in tectum_score(*words, "--format", "latex").stdout


def test_a_folder_gets_every_table_and_plot(root: Path, tmp_path: Path) -> None:
    out, words = tmp_path / "out", (results(tmp_path / "mine"), results(tmp_path / "other", 3), "--root", root)
    result = tectum_score("plain", *words, "--out", out, "--draws", 50)
    assert result.exit_code == 0, result.output
    tables = ("scores.csv", "scores.json", "scores.md", "scores.tex", "sequences.csv", "attributes.csv")
    plots = ("success.png", "precision.png", "radar.png", "differences.png")
    assert all((out / name).with_suffix(".pdf").is_file() for name in plots)
    assert {*tables, *plots} <= {path.name for path in out.iterdir()}
    assert all((out / name).read_bytes().startswith(b"\x89PNG") for name in plots)
    assert json.loads((out / "scores.json").read_text()) == scores("plain", *words, "--draws", 50)
    assert len((out / "sequences.csv").read_text().splitlines()) == 1 + 2 * 3


def test_the_form_of_boxes_can_be_told(root: Path, tmp_path: Path) -> None:
    corners = {f"{name}.txt": text(np.column_stack([b[:, :2], b[:, :2] + b[:, 2:]])) for name, b in BOXES.items()}
    words = ("plain", write(tmp_path / "mine", corners), "--root", root, "--draws", 0)
    found = tectum_score(*words)
    assert "note: Boxes of mine are read as x1,y1,x2,y2" in found.stderr
    assert "--form xywh" in found.stderr
    assert "note" not in tectum_score(*words, "--quiet").stderr
    right = scores(*words)["trackers"]["mine"]["SR"]
    assert right == pytest.approx(20 / 21)
    assert scores(*words, "--form", "xyxy")["trackers"]["mine"]["SR"] == right
    assert scores(*words, "--form", "xywh")["trackers"]["mine"]["SR"] < right


def test_what_is_wrong_is_said_and_strict_makes_it_an_error(root: Path, tmp_path: Path) -> None:
    mine = results(tmp_path / "mine")
    write(mine, {"ant.txt": text(BOXES["ant"][:5]), "bee.txt": "left,top\n"})
    (mine / "cat.txt").unlink()
    words = ("plain", mine, "--root", root, "--draws", 0)
    result = tectum_score(*words)
    assert result.exit_code == 0
    assert "5 rows for 8 frames of ant" in result.stderr
    assert "'left' in line 1, which is no number" in result.stderr
    assert "1 sequence has no results of mine and is left out of its scores: cat" in result.stderr
    assert "1 of 3 sequences only" in result.stdout
    strict = tectum_score(*words, "--strict")
    assert (strict.exit_code, strict.stdout) == (2, result.stdout)
    problems = scores(*words)["problems"]
    assert [problem["sequences"] or problem["sequence"] for problem in problems] == [["cat"], "bee", "ant"]


def test_a_flood_of_problems_is_cut_short(root: Path, tmp_path: Path) -> None:
    many = {f"seq{number:02d}": text(BOXES["ant"]) for number in range(30)}
    write(tmp_path / "root", {f"{name}/groundtruth.txt": content for name, content in many.items()})
    for name in many:
        (tmp_path / "root" / name / "rgb").mkdir()
    write(tmp_path / "mine", {f"{name}.txt": content + content for name, content in many.items()})
    words = ("plain", tmp_path / "mine", "--root", root, "--draws", 0)
    result = tectum_score(*words)
    assert "3 sequences have no results of mine" in result.stderr
    assert result.stderr.count("surplus rows") == 1
    assert "30 sequences (seq00, seq01, seq02, seq03, seq04 and 25 more): " in result.stderr
    assert "NAME.txt has 16 rows for 8 frames of NAME" in result.stderr
    write(tmp_path / "mine", {f"{name}.txt": rows * (2 + place) for place, (name, rows) in enumerate(many.items())})
    assert "21 more problems of mine" in tectum_score(*words).stderr
    assert len(scores(*words)["problems"]) == 31


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["plane", "{mine}", "--root", "{root}"], "There is no benchmark 'plane'"),
        (["plain", "{mine}", "--root", "{root}", "--convention", "mine"], "There is no convention 'mine'"),
        (["plain", "{mine}", "--root", "{root}", "--split", "test"], "has no split 'test'"),
        (["plain", "{mine}", "--root", "{root}", "--form", "polar"], "There is no form 'polar'"),
        (["plain", "{mine}", "--root", "{root}", "--format", "pdf"], "There is no format 'pdf'"),
        (["plain", "{mine}"], "name the benchmark's download with --root"),
        (["plain", "{mine}", "--root", "{root}", "--annotations", "{root}"], "leave one of them out"),
        (["plain", "{mine}", "{mine}", "--root", "{root}"], "name them with NAME=FOLDER"),
        (["plain", "{root}", "--root", "{root}"], "looked for ant.txt"),
        (["plain", "nowhere", "--root", "{root}"], "There is no folder nowhere"),
        (["plain", "=nowhere", "--root", "{root}"], "There is no folder =nowhere"),
        (["lasher", "{mine}", "--root", "{root}"], "None of the 245 sequences of LasHeR"),
    ],
)
def test_a_mistake_is_one_sentence(words: list[str], said: str, root: Path, tmp_path: Path) -> None:
    mine = results(tmp_path / "mine")
    result = tectum_score(*(word.format(mine=mine, root=root) for word in words))
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stderr.startswith("error: ")
    assert not result.stdout


def test_scoring_starts_without_heavy_libraries() -> None:
    code = "import sys, tectum.cli.boards, tectum.evaluation.scoring; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "matplotlib", "pandas"} & set(loaded)


def test_output_that_nobody_takes_is_no_defect(root: Path, tmp_path: Path) -> None:
    out, code = tmp_path / "out", "from tectum.cli.main import run; run()"
    words = [sys.executable, "-c", code, "score", "plain", results(tmp_path / "mine"), "--root", root, "--draws", "0"]
    with Path("/dev/full").open("w") as full:
        told = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (told.returncode, told.stderr.count("\n")) == (2, 1)
    assert told.stderr.startswith("error: Nothing more can be written")
    reader, writer = os.pipe()
    os.close(reader)
    told = subprocess.run([*words, "--out", out], stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (told.returncode, told.stderr) == (141, "")
    assert (out / "scores.json").is_file()


def test_an_interrupt_while_modules_load_is_no_defect(tmp_path: Path) -> None:
    write(tmp_path, {"typer/__init__.py": "raise KeyboardInterrupt\n"})
    code = "from tectum.cli import run; run()"
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{Path(__file__).resolve().parents[1]}"}
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
    assert (told.returncode, told.stderr) == (130, "interrupted\n")
