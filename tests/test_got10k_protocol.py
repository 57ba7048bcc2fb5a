"""GOT-10k's measures: closed forms, and the got10k toolkit's own report as referee."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tectum.benchmarks.base import Truth
from tectum.evaluation.got10k import GOT10k, bounded_overlaps
from tectum.evaluation.protocol import Run

SIZE = (60, 40)
BOX = [10.0, 10, 10, 10]
HALF = [10.0, 10, 10, 5]


def rows(*boxes: list[float]) -> np.ndarray:
    return np.array(boxes, np.float64).reshape(-1, 4)


def random_boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    return np.concatenate([rng.uniform(-10, 50, (count, 2)), rng.uniform(-1, 30, (count, 2))], axis=1).round(3)


def wide_truths(rng: np.random.Generator) -> list[Truth]:
    lengths = {"GOT-10k_Val_000001": 30, "GOT-10k_Val_000002": 55}
    return [
        Truth(name, random_boxes(rng, length), absent=rng.random(length) < 0.2, size=SIZE)
        for name, length in lengths.items()
    ]


def shaken(rng: np.random.Generator, truth: Truth) -> Run:
    return Run((truth.boxes + rng.normal(0, 2, truth.boxes.shape)).round(3))


def write_download(root: Path, truths: list[Truth]) -> None:
    (root / "val").mkdir(parents=True)
    (root / "val" / "list.txt").write_text("\n".join(truth.name for truth in truths))
    for truth in truths:
        folder = root / "val" / truth.name
        folder.mkdir()
        np.savetxt(folder / "groundtruth.txt", truth.boxes, fmt="%.3f", delimiter=",")
        np.savetxt(folder / "cover.label", np.where(truth.absent, 0, 8), fmt="%d")
        for label in ("absence", "cut_by_image"):
            np.savetxt(folder / f"{label}.label", np.zeros(len(truth.boxes)), fmt="%d")
        (folder / "meta_info.ini").write_text(f"[METAINFO]\nresolution: {truth.size}\n")
        for place in range(len(truth.boxes)):
            (folder / f"{place + 1:08d}.jpg").touch()


def write_results(root: Path, truth: Truth, runs: list[Run]) -> None:
    folder = root / "GOT-10k" / "ours" / truth.name
    folder.mkdir(parents=True)
    for number, run in enumerate(runs, start=1):
        np.savetxt(folder / f"{truth.name}_{number:03d}.txt", run.values, fmt="%.3f", delimiter=",")
    np.savetxt(folder / f"{truth.name}_time.txt", np.full(len(truth.boxes), 0.1))


def test_scores_are_those_of_the_got10k_toolkit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toolkit = pytest.importorskip("got10k.experiments", reason="got10k is not installed (tests/peers.txt)")
    monkeypatch.setattr(toolkit.ExperimentGOT10k, "plot_curves", lambda *_: None)
    rng = np.random.default_rng(0)
    truths = wide_truths(rng)
    runs = [[shaken(rng, truth) for _ in range(count)] for truth, count in zip(truths, (3, 1), strict=True)]
    write_download(tmp_path / "data", truths)
    for truth, several in zip(truths, runs, strict=True):
        write_results(tmp_path / "results", truth, several)
    experiment = toolkit.ExperimentGOT10k(
        str(tmp_path / "data"), "val", str(tmp_path / "results"), str(tmp_path / "reports")
    )
    report = experiment.report(["ours"])["ours"]

    tally = GOT10k().tally(truths, runs)
    scores, curve = GOT10k().scores(tally), GOT10k().curves(tally)[0]
    assert [scores["AO"], scores["SR50"]] == pytest.approx(
        [report["overall"]["ao"], report["overall"]["sr"]], abs=1e-12
    )
    assert curve.y == pytest.approx(np.array(report["overall"]["succ_curve"]), abs=1e-12)
    assert scores["SR75"] == curve.y[75]
    each = [report["seq_wise"][truth.name] for truth in truths]
    assert GOT10k().by_sequence(tally)["AO"] == pytest.approx(np.array([one["ao"] for one in each]), abs=1e-12)
    assert GOT10k().by_sequence(tally)["SR50"] == pytest.approx(np.array([one["sr"] for one in each]), abs=1e-12)


def test_frames_are_pooled_without_the_first_and_the_covered_ones() -> None:
    covered = Truth("a", rows(BOX, BOX, BOX, BOX), absent=np.array([False, False, True, False]), size=SIZE)
    plain = Truth("b", rows(BOX, BOX, [0, 0, 0, 0], [np.nan] * 4, BOX, BOX), size=SIZE)
    runs = [[Run(rows(HALF, HALF, HALF, BOX))], [Run(rows(HALF, BOX, HALF, HALF, [np.nan] * 4))]]
    tally = GOT10k().tally([covered, plain], runs)
    assert tally.parts["frames"].tolist() == [2, 3]
    scores = GOT10k().scores(tally)
    assert [float(scores[key]) for key in ("AO", "SR50", "SR75")] == pytest.approx([2.5 / 5, 2 / 5, 2 / 5])
    weighted = GOT10k().scores(tally, np.array([[2.0, 0], [0, 0]]))
    assert weighted["AO"] == pytest.approx(np.array([0.75, np.nan]), nan_ok=True)


def test_a_box_left_of_the_image_is_moved_into_it() -> None:
    left, inside = rows([-5, 10, 10, 10]), rows([0, 10, 10, 10])
    assert bounded_overlaps(left, inside, SIZE) == pytest.approx(np.ones(1))
    assert bounded_overlaps(left, inside, None) == pytest.approx(np.ones(1))
    right, cut = rows([55, 10, 10, 10]), rows([55, 10, 5, 10])
    assert bounded_overlaps(right, cut, SIZE) == pytest.approx(np.ones(1))
    assert bounded_overlaps(right, cut, None) == pytest.approx(np.full(1, 0.5))
