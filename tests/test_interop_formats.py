"""Results in the official forms, read back by the toolkits themselves."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner
from typer.testing import Result as CliResult

from tectum.benchmarks import BENCHMARKS, find
from tectum.cli.main import Commands
from tectum.cli.submit import submit
from tectum.errors import TectumError, UnknownNameError
from tectum.evaluation.protocol import Form
from tectum.evaluation.scoring import score
from tectum.interop.formats import FORMATS, Result, format_for, pack, write_results

app = typer.Typer(cls=Commands)
app.command("submit")(submit)
app.callback()(lambda: None)


def result(rows: int = 5, seed: int = 0, anchor: int | None = None) -> Result:
    drawn = np.random.default_rng(seed)
    boxes = np.round(drawn.uniform(1, 90, (rows, 4)), 3)
    return Result(boxes, drawn.uniform(size=rows), drawn.uniform(0.01, 0.02, rows), anchor)


def test_every_benchmark_that_others_score_has_a_format() -> None:
    assert set(FORMATS) == set(BENCHMARKS) - {"plain", "world-bench", "imagenetvid", "youtubebb"}
    with pytest.raises(UnknownNameError, match="no official format for 'plain'"):
        format_for("plain")


@pytest.mark.parametrize("name", ["LasHeR", "RGBT210", "RGBT234", "GTOT"])
def test_rgbt_toolkit_reads_ours(name: str, tmp_path: Path) -> None:
    dataset = pytest.importorskip("rgbt.dataset.basedataset", reason="pip install rgbt brings the toolkit")
    held = {sequence: result(seed=seed) for seed, sequence in enumerate(find(name).names(tmp_path)[:3])}
    form = format_for(name.lower())
    folder = write_results(form, tmp_path, "ours", ((sequence, [one]) for sequence, one in held.items()))
    read = dataset.TrackerResult("ours", f"{folder}/", list(held), "", "ltwh")
    for sequence, one in held.items():
        assert np.array(read[sequence]).tolist() == np.float32(one.boxes).round().tolist()


def test_got10k_toolkit_reports_ours(tmp_path: Path) -> None:
    experiments = pytest.importorskip("got10k.experiments", reason="pip install got10k brings the toolkit")
    truth = result(6).boxes
    sequence = tmp_path / "data" / "val" / "GOT-10k_Val_000001"
    sequence.mkdir(parents=True)
    (sequence.parent / "list.txt").write_text("GOT-10k_Val_000001\n")
    np.savetxt(sequence / "groundtruth.txt", truth, delimiter=",", fmt="%.4f")
    (sequence / "meta_info.ini").write_text("[METAINFO]\nresolution: (400, 400)\n")
    for label, value in (("cover", 8), ("absence", 0), ("cut_by_image", 0)):
        np.savetxt(sequence / f"{label}.label", np.full(6, value), fmt="%d")
    for index in range(1, 7):
        (sequence / f"{index:08d}.jpg").touch()
    runs = [Result(truth, None, np.full(6, 0.02)), Result(truth + np.array([0, 0, 0, 5]), None, np.full(6, 0.02))]
    write_results(format_for("got10k"), tmp_path / "results", "ours", [("GOT-10k_Val_000001", runs)])
    experiment = experiments.ExperimentGOT10k(
        str(tmp_path / "data"), "val", result_dir=str(tmp_path / "results"), report_dir=str(tmp_path / "reports")
    )
    experiment.result_dir = str(tmp_path / "results")
    experiment.plot_curves = lambda *_: None
    overall = experiment.report(["ours"])["ours"]["overall"]
    heights = truth[1:, 3]
    assert overall["ao"] == pytest.approx((1 + (heights / (heights + 5)).mean()) / 2, abs=1e-6)
    assert overall["speed_fps"] == pytest.approx(50)


@pytest.fixture
def vot_results() -> object:
    """The VOT toolkit's reader of one sequence's results."""
    storage = pytest.importorskip("vot.workspace.storage", reason="pip install vot-toolkit brings the toolkit")
    tracker = pytest.importorskip("vot.tracker.results")
    return lambda folder, name: tracker.Trajectory.read(tracker.Results(storage.LocalStorage(str(folder))), name)


def test_vot_toolkit_reads_unsupervised_runs(vot_results: object, tmp_path: Path) -> None:
    one = result(5)
    one.boxes[3] = np.nan
    write_results(format_for("depthtrack"), tmp_path, "ours", [("bag", [one])])
    folder = tmp_path / "results" / "ours" / "rgbd-unsupervised" / "bag"
    read = vot_results(folder, "bag_001")
    assert len(read) == 5
    assert read.region(0).code == 1
    assert read.region(3).code == 0
    box = read.region(1)
    assert [box.x, box.y, box.width, box.height] == pytest.approx(one.boxes[1], abs=1e-4)
    assert "confidence" not in read.properties(0)
    assert read.properties(2) == {
        "confidence": pytest.approx(one.confidences[2], rel=1e-8),
        "time": pytest.approx(one.seconds[2], abs=1e-8),
    }
    assert (folder / "bag_001_confidence.value").read_text().startswith("\n")


def test_vot_toolkit_reads_runs_from_anchors(vot_results: object, tmp_path: Path) -> None:
    runs = [result(7, 0, anchor=0), result(4, 1, anchor=-3)]
    write_results(format_for("votrgbd2022"), tmp_path, "ours", [("bag", runs)])
    folder = tmp_path / "results" / "ours" / "baseline" / "bag"
    assert [len(vot_results(folder, f"bag_{anchor:08d}")) for anchor in (0, 3)] == [7, 4]
    with pytest.raises(TectumError, match="name no anchor"):
        write_results(format_for("votrgbd2022"), tmp_path, "ours", [("bag", [result()])])


@pytest.mark.parametrize(
    ("benchmark", "path"),
    [
        ("visevent", "ours_tracking_result/dog.txt"),
        ("tnl2k", "ours/dog.txt"),
        ("rgbd1k", "results/ours/rgbd-unsupervised/dog/dog_001.txt"),
        ("otb99lang", "ours/times/dog_time.txt"),
    ],
)
def test_files_lie_where_toolkits_look(benchmark: str, path: str, tmp_path: Path) -> None:
    form = format_for(benchmark)
    write_results(form, tmp_path, "ours", [("animals/dog", [result()])])
    assert (tmp_path / path).is_file()
    with zipfile.ZipFile(pack(form, tmp_path, "ours")) as packed:
        assert path in packed.namelist()


def test_submit_converts_a_folder(tmp_path: Path) -> None:
    names = find("got10k").names(tmp_path)
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    drawn = np.random.default_rng(0).uniform(5, 50, (4, 4))
    np.savetxt(theirs / f"{names[0]}.txt", np.hstack([drawn[:, :2], drawn[:, :2] + drawn[:, 2:]]), delimiter="\t")
    np.savetxt(theirs / f"{names[0]}_time.txt", [0.01, 0.02, 0.03, 0.04])
    (theirs / f"{names[1]}.txt").write_text("1,2,3,4\n1,2,x,4\n")
    words = ["submit", "GOT-10k", str(theirs), str(tmp_path / "out"), "--tracker", "ours", "--form", "xyxy", "--zip"]
    told = CliRunner().invoke(app, words)
    assert told.exit_code == 0, told.output
    assert "'x' in line 2" in told.stderr
    assert f"178 of {len(names)} sequences have no results" in told.stderr
    written = tmp_path / "out" / "ours" / names[0]
    assert np.abs(np.loadtxt(written / f"{names[0]}_001.txt", delimiter=",") - drawn).max() < 1e-3
    assert np.loadtxt(written / f"{names[0]}_time.txt").tolist() == [0.01, 0.02, 0.03, 0.04]
    with zipfile.ZipFile(tmp_path / "out" / "ours.zip") as packed:
        assert packed.namelist() == [f"{names[0]}/{names[0]}_001.txt", f"{names[0]}/{names[0]}_time.txt"]
    assert CliRunner().invoke(app, [*words, "--strict"]).exit_code == 2


def test_submit_asks_for_the_download_where_no_list_names_its_sequences(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "dog.txt").write_text("1,2,3,4\n")
    words = ["submit", "TrackingNet", str(tmp_path / "theirs"), str(tmp_path / "out")]
    told = CliRunner().invoke(app, [*words, "--root", str(tmp_path)])
    assert told.exit_code == 2
    assert "name it with --root" in told.stderr
    (tmp_path / "TEST" / "anno").mkdir(parents=True)
    (tmp_path / "TEST" / "anno" / "dog.txt").write_text("1,2,3,4\n")
    told = CliRunner().invoke(app, [*words, "--root", str(tmp_path), "--zip"])
    assert told.exit_code == 0, told.output
    with zipfile.ZipFile(tmp_path / "out" / "theirs.zip") as packed:
        assert packed.namelist() == ["dog.txt"]


def submitted(*words: object) -> CliResult:
    return CliRunner().invoke(app, ["submit", *map(str, words)])


@pytest.mark.parametrize("form", [Form.CORNERS, Form.XYXY])
def test_a_submission_scores_like_what_it_was_made_from(form: Form, tmp_path: Path) -> None:
    names = find("lasher").names(tmp_path)[:4]
    drawn = np.random.default_rng(1)
    for name in names:
        truth = drawn.integers(20, 90, (9, 4)) + np.array([200, 200, 0, 0])
        x, y, right, low = (truth + drawn.integers(-9, 9, truth.shape) * (np.arange(9) > 0)[:, None]).T
        right, low = x + right, y + low
        rows = (x, y, right, low) if form is Form.XYXY else (x, y, right, y, right, low, x, low)
        for folder, columns in (("truth", truth), ("theirs", np.stack(rows, 1))):
            (tmp_path / folder).mkdir(exist_ok=True)
            np.savetxt(tmp_path / folder / f"{name}.txt", columns, delimiter=",", fmt="%d")
    told = submitted("lasher", tmp_path / "theirs", tmp_path / "out", "--annotations", tmp_path / "truth")
    assert told.exit_code == 0, told.output
    board = score("lasher", tmp_path / "truth", {each: tmp_path / each for each in ("theirs", "out/theirs")})
    assert board.cards[0].scores == board.cards[1].scores


def test_a_form_that_only_the_truth_can_tell_is_asked_for(tmp_path: Path) -> None:
    name = find("lasher").names(tmp_path)[0]
    for folder, rows in (("truth", "50,50,20,20\n" * 3), ("theirs", "50,50,70,70\n" * 3)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{name}.txt").write_text(rows)
    words = ("lasher", tmp_path / "theirs", tmp_path / "out")
    told = submitted(*words)
    assert told.exit_code == 2
    assert "--form xywh or --form xyxy" in told.stderr
    assert not (tmp_path / "out").exists()
    told = submitted(*words, "--root", tmp_path / "truth")
    assert "boxes are read as xyxy" in told.stderr
    assert submitted(*words, "--form", "xywh").exit_code == 0
    assert (tmp_path / "out" / "theirs" / f"{name}.txt").read_text() == "50,50,70,70\n" * 3


def test_what_cannot_be_read_is_no_submission(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    for name in find("lasher").names(tmp_path):
        (tmp_path / "theirs" / f"{name}.txt").write_text("x,y,w,h\n1,2,3,4\n")
    told = submitted("lasher", tmp_path / "theirs", tmp_path / "out")
    assert told.exit_code == 2
    assert "None of 245 results can be read" in told.stderr
    assert told.stderr.count("\n") == 1
    (tmp_path / "theirs" / f"{name}.txt").write_text("40,20,3,4\n")
    told = submitted("lasher", tmp_path / "theirs", tmp_path / "out")
    assert told.exit_code == 0
    assert told.stderr.count("\n") == 11
    assert "234 more problems" in told.stderr


def test_files_of_another_submission_are_never_mixed_in(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    names = {each: find(each).names(tmp_path)[0] for each in ("gtot", "rgbt210")}
    for name in names.values():
        (tmp_path / "theirs" / f"{name}.txt").write_text("40,20,3,4\n")
    first = ("gtot", tmp_path / "theirs", tmp_path / "out")
    told = submitted(*first)
    assert told.exit_code == 0
    assert "1 of 50 sequences: " in told.stdout
    assert "and 44 more" in told.stderr
    (tmp_path / "out" / "theirs" / ".DS_Store").touch()
    assert submitted(*first, "--zip").exit_code == 0
    with zipfile.ZipFile(tmp_path / "out" / "theirs.zip") as packed:
        assert packed.namelist() == [f"theirs/{names['gtot']}.txt"]
    told = submitted("rgbt210", *first[1:])
    assert told.exit_code == 2
    assert f"holds other files, such as {names['gtot']}.txt" in told.stderr
