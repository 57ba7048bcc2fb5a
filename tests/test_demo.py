from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from typer.testing import CliRunner

from tectum.cli.main import app
from tectum.evaluation.report import ContactSheet, Scores, plot_overlap, sheet_frames
from tectum.systems.catalogue import build
from tectum.weights import save

TRUTH = np.array([[10.0, 10, 30, 20], [12, 10, 30, 20], [14, 10, 30, 20]])


def picture(path: Path) -> npt.NDArray[Any]:
    image = cv2.imread(str(path))
    assert image is not None
    return np.asarray(image)


def test_the_demo_leaves_everything_it_promises(tmp_path: Path) -> None:
    out = tmp_path / "new" / "demo"
    result = CliRunner().invoke(app, ["demo", "--out", str(out), "--frames", "14", "--seed", "1"])
    assert result.exit_code == 0, result.output
    for measure in ("mean overlap", "success AUC", "precision at 20 px", "frames per second"):
        assert measure in result.output
    assert np.loadtxt(out / "scene.txt", delimiter=",").shape == (14, 4)
    video = cv2.VideoCapture(str(out / "demo.mp4"))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 14
    assert video.get(cv2.CAP_PROP_FRAME_WIDTH) == 2 * 640
    for name in ("contact_sheet.png", "overlap.png"):
        assert picture(out / name).std() > 1


def test_the_demo_takes_the_preset_that_its_weights_name(tmp_path: Path) -> None:
    weights = save(build("ostrack-tiny"), tmp_path / "best.safetensors", "ostrack-tiny")
    words = ["demo", "--out", str(tmp_path), "--frames", "2", "--weights", str(weights.parent)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert "ostrack-tiny on scene 0" in result.output


@pytest.mark.parametrize("words", [["--preset", "vipt-tiny", "--second", "depth"], ["--second", "event"]])
def test_the_demo_renders_the_sense_that_is_wanted(tmp_path: Path, words: list[str]) -> None:
    result = CliRunner().invoke(app, ["demo", "--out", str(tmp_path), "--frames", "2", *words])
    assert result.exit_code == 0, result.output
    video = cv2.VideoCapture(str(tmp_path / "demo.mp4"))
    assert video.get(cv2.CAP_PROP_FRAME_WIDTH) == 2 * 640


def test_a_demo_that_cannot_write_says_so_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    result = CliRunner().invoke(app, ["demo", "--out", str(tmp_path / "taken"), "--frames", "2", "--quiet"])
    assert result.exit_code == 2
    assert "taken" in result.output
    assert "Traceback" not in result.output


def test_the_given_frame_counts_in_no_score() -> None:
    boxes = TRUTH.copy()
    boxes[1:, 0] += 500
    scores = Scores.of(boxes, TRUTH)
    assert (scores.mean_overlap, scores.success_auc, scores.precision) == (0, 0, 0)
    assert scores.overlap[0] == 1
    with pytest.raises(ValueError, match="after the first"):
        Scores.of(boxes[:1], TRUTH[:1])


def test_a_contact_sheet_is_a_grid_in_reading_order(tmp_path: Path) -> None:
    sheet = ContactSheet(columns=2, tile_width=40)
    for shade in (40, 120, 200):
        sheet.add(np.full((30, 80, 3), shade, np.uint8), f"shade {shade}")
    image = picture(sheet.save(tmp_path / "sheet.png"))
    tall, wide = ContactSheet.LABEL + 15 + ContactSheet.GAP, 40 + ContactSheet.GAP
    assert image.shape == (2 * tall + ContactSheet.GAP, 2 * wide + ContactSheet.GAP, 3)
    middles = [image[tall - 7, 28, 0], image[tall - 7, wide + 28, 0], image[2 * tall - 7, 28, 0]]
    assert middles == [40, 120, 200]


def test_the_sheet_spans_the_whole_scene() -> None:
    assert len(sheet_frames(120)) == 12
    assert {0, 119} <= sheet_frames(120)
    assert sheet_frames(3) == {0, 1, 2}


def test_the_plot_is_written_even_where_truth_is_missing(tmp_path: Path) -> None:
    truth = TRUTH.copy()
    truth[1] = np.nan
    path = plot_overlap(tmp_path / "plots" / "overlap.png", Scores.of(TRUTH, truth), np.ones(3), "a title")
    assert picture(path).shape[1] > 600
