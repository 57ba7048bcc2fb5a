"""The VOT challenges' overlap, long-term and anchored measures: closed forms, and the VOT toolkit as referee."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tectum.benchmarks.base import Truth
from tectum.errors import ResultError
from tectum.evaluation.anchored import Anchored, failure
from tectum.evaluation.longterm import LongTerm, LongTermFrames, confidence_thresholds
from tectum.evaluation.protocol import Form, Run
from tectum.evaluation.raster import raster_overlaps

SIZE = (60, 40)
ABSENT = [np.nan] * 4
BOX = [10.0, 10, 10, 10]
HALF = [10.0, 10, 10, 5]


def rows(*boxes: list[float]) -> np.ndarray:
    return np.array(boxes, np.float64).reshape(-1, 4)


def scores(protocol: Any, tally: Any) -> list[float]:
    return [float(value) for value in protocol.scores(tally).values()]


def drift(rng: np.random.Generator, length: int) -> np.ndarray:
    """Boxes that wander over the image and beyond, some rounded, some tiny, some absent."""
    path = np.array([20, 12]) + np.cumsum(rng.normal(0, 1.5, (length, 2)), axis=0)
    boxes = np.concatenate([path, rng.uniform(4, 20, (length, 2))], axis=1)
    boxes[::3] = np.rint(boxes[::3] * 2) / 2
    boxes[rng.random(length) < 0.05, 2:] = rng.choice([1, 0.5, 1.5])
    boxes[rng.random(length) < 0.1] = np.nan
    boxes[0] = [20, 12, 10, 8]
    return boxes


def tracked(rng: np.random.Generator, truth: np.ndarray, lost: int) -> np.ndarray:
    """A tracker's boxes: near the truth up to a frame, elsewhere from then on; the first row marks the start."""
    boxes = np.where(np.isnan(truth), rng.uniform(2, 20, truth.shape), truth + rng.normal(0, 1, truth.shape))
    boxes[lost:, :2] += 30
    boxes[rng.random(len(truth)) < 0.1] = np.nan
    boxes[0] = np.nan
    return boxes


@pytest.mark.parametrize(
    ("one", "two", "size", "overlap"),
    [
        (BOX, HALF, SIZE, 0.5),
        ([0.5, 0, 10, 10], [0, 0, 10, 10], SIZE, 1),
        ([1.5, 0, 10, 10], [0, 0, 10, 10], SIZE, 80 / 120),
        ([10.50000001, 10, 10, 10], BOX, SIZE, 1),
        ([-5, 0, 10, 10], [0, 0, 10, 10], SIZE, 50 / 100),
        ([55, 30, 10, 10], [50, 30, 10, 10], SIZE, 0.5),
        ([70, 10, 10, 10], [70, 10, 10, 10], SIZE, 0),
        (BOX, ABSENT, SIZE, 0),
        (ABSENT, ABSENT, SIZE, 1),
        ([0, 0, 0, 0], ABSENT, SIZE, 1),
        ([5, 0, 1, 9], [5, 20, 1, 9], SIZE, 1),
        (BOX, BOX, None, 1),
        ([1e300, 10, 10, 10], BOX, SIZE, 0),
        ([10, 10, 3e38, 3e38], BOX, SIZE, 100 / 1500),
        ([3e38, 10, 3e38, 10], BOX, SIZE, 0),
    ],
)
def test_overlap_counts_whole_pixels_inside_the_image(one: Any, two: Any, size: Any, overlap: float) -> None:
    assert raster_overlaps(rows(one), rows(two), size)[0] == pytest.approx(overlap)


@pytest.mark.parametrize("size", [SIZE, None])
def test_overlaps_are_those_of_the_vot_toolkit(size: tuple[int, int] | None) -> None:
    import vot_referee

    rng = np.random.default_rng(0)
    first = np.concatenate([rng.uniform(-30, 70, (1200, 2)), rng.uniform(-3, 50, (1200, 2))], axis=1)
    first[::2] = np.rint(first[::2] * 2) / 2
    first[::5] = rng.choice([-1, 0, 0.5, 1, 1.5, 2, 2.5], first[::5].shape)
    second = np.roll(first, 1, axis=0)
    second[::2] = first[::2] + rng.normal(0, 2, first[::2].shape)
    first[::11], second[::13] = np.nan, np.nan
    expected = vot_referee.overlaps(first, second, size)
    assert np.mean((expected > 0) & (expected < 1)) > 0.1
    np.testing.assert_array_equal(raster_overlaps(first, second, size), expected)


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=300))
def test_thresholds_fall_from_infinity_and_are_confidences(confidences: list[float]) -> None:
    thresholds = confidence_thresholds(np.array(confidences))
    assert len(thresholds) == min(len(confidences), 98) + 2
    assert set(thresholds[1:-1]) <= set(confidences)
    assert (np.diff(thresholds) <= 0).all()


def test_saying_that_the_target_is_absent_pays_and_a_box_there_costs() -> None:
    truth = Truth("one", rows(BOX, BOX, ABSENT, BOX), size=SIZE)
    silent, wrong = rows(ABSENT, BOX, ABSENT, HALF), rows(ABSENT, BOX, BOX, HALF)
    sure = np.array([np.nan, 0.9, 0.9, 0.8])
    tally = LongTerm().tally([truth], [[Run(silent, scores=sure)]])
    assert scores(LongTerm(), tally) == pytest.approx([2 * 2.5 / 3 * 2.5 / 3 / (5 / 3), 2.5 / 3, 2.5 / 3])
    tally = LongTerm().tally([truth], [[Run(wrong, scores=sure)]])
    assert scores(LongTerm(), tally) == pytest.approx([0.5, 0.5, 0.5])
    repeated = rows(BOX, BOX, BOX, HALF)
    tally = LongTerm().tally([truth], [[Run(repeated, scores=np.array([1, 0.9, 0.9, 0.8]))]])
    assert tally.parts["recall"][0, -1] == pytest.approx(2.5 / 3)


def test_frames_that_a_long_term_run_does_not_reach_are_misses_and_surplus_ones_are_cut() -> None:
    truth = Truth("one", rows(BOX, BOX, ABSENT, BOX), size=SIZE)
    short = LongTerm().tally([truth], [[Run(rows(BOX, BOX))]])
    assert [short.parts[part][0, -1] for part in ("precision", "recall")] == pytest.approx([2 / 4, 2 / 3])
    long = LongTerm().tally([truth], [[Run(rows(BOX, BOX, ABSENT, BOX, BOX, BOX))]])
    assert [long.parts[part][0, -1] for part in ("precision", "recall")] == pytest.approx([1, 4 / 3])


def test_a_sequence_without_target_is_left_out_of_the_long_term_scores() -> None:
    truths = [Truth("seen", rows(BOX, BOX), size=SIZE), Truth("never", rows(ABSENT, [0, 0, 0, 0]), size=SIZE)]
    runs = [[Run(rows(BOX, HALF))], [Run(rows(BOX, BOX))]]
    tally = LongTerm().tally(truths, runs)
    assert scores(LongTerm(), tally) == pytest.approx([0.75] * 3)
    assert np.isnan(LongTerm().by_sequence(tally)["F"]).tolist() == [False, True]
    assert np.isnan(scores(LongTerm(), tally.of(["never"]))).all()
    assert np.isnan(scores(LongTermFrames(), tally.of(["never"]))).all()
    assert scores(LongTermFrames(), tally)[1:] == pytest.approx([1.5 / 4, 1.5 / 2])
    assert np.isnan(scores(LongTerm(), LongTerm().tally([], []))).all()


def test_rows_of_annotated_images_are_taken_from_a_run_over_all_images() -> None:
    truth = Truth("one", rows(BOX, BOX, BOX), size=SIZE, images=np.array([0, 3, 6]))
    boxes, sure = rows(BOX, HALF, HALF, BOX, HALF), np.array([0.9, 0.1, 0.1, 0.8, 0.1])
    tally = LongTerm().tally([truth], [[Run(boxes, scores=sure)]])
    assert tally.parts["recall"][0] == pytest.approx([0, 1 / 3, 2 / 3, 2 / 3, 2 / 3])


def test_forms_of_boxes_do_not_matter() -> None:
    truth = Truth("one", rows(BOX, BOX), size=SIZE)
    corners = np.tile([10.0, 10, 20, 10, 20, 20, 10, 20], (2, 1))
    runs = [
        Run(rows(BOX, BOX)),
        Run(rows([10, 10, 20, 20], [10, 10, 20, 20]), Form.XYXY),
        Run(rows([15, 15, 10, 10], [15, 15, 10, 10]), Form.CENTER),
        Run(corners, Form.CORNERS),
    ]
    assert all(scores(LongTerm(), LongTerm().tally([truth], [[run]])) == [1, 1, 1] for run in runs)


@pytest.mark.parametrize("protocol", [LongTerm(), LongTermFrames(), Anchored()])
def test_weights_stand_for_repeated_sequences(protocol: Any) -> None:
    rng = np.random.default_rng(1)
    truths = [Truth(name, drift(rng, 200), size=SIZE, anchors=np.array([0])) for name in "abc"]
    runs = [
        [Run(tracked(rng, truth.boxes, lost), scores=rng.random(200), anchor=0)]
        for truth, lost in zip(truths, (200, 90, 150), strict=True)
    ]
    tally = protocol.tally(truths, runs)
    weighted = protocol.scores(tally, np.array([[1.0, 1, 1], [2, 0, 1], [0, 0, 0]]))
    drawn = protocol.scores(tally.of(["a", "c", "a"]))
    for key, value in protocol.scores(tally).items():
        assert value.shape == ()
        assert weighted[key][:2] == pytest.approx(np.array([value, drawn[key]]), abs=1e-12)
        assert np.isnan(weighted[key][2])
    for curve in protocol.curves(tally):
        assert curve.x.shape == curve.y.shape
        assert curve.score in protocol.keys
    assert all(len(values) == 3 for values in protocol.by_sequence(tally).values())


def test_ten_lost_frames_in_a_row_are_a_failure_where_there_is_a_target() -> None:
    overlap = np.array([0.0] * 9 + [1] + [0.1] * 10 + [1])
    assert failure(overlap, np.zeros(21, bool)) == 10
    empty = np.zeros(21, bool)
    empty[15] = True
    assert failure(overlap, empty) == 21


def test_a_run_that_fails_half_way_has_half_the_robustness() -> None:
    length = 40
    truth = Truth("one", rows(*[BOX] * length), size=SIZE, anchors=np.array([0, -39]))
    good, away = rows(*[BOX] * length), rows(*[[40.0, 10, 10, 10]] * 20)
    half = np.concatenate([good[:20], away])
    tally = Anchored().tally([truth], [[Run(good, anchor=0), Run(half, anchor=39)]])
    assert scores(Anchored(), tally)[1:] == pytest.approx([1, 60 / 80])
    curve = Anchored().curves(tally)[0]
    # Both runs up to their end; beyond it only the failed one, whose 19 good frames thin out.
    assert curve.y[[18, 38, 39, 99]] == pytest.approx([1, (1 + 19 / 39) / 2, 19 / 39, 19 / 99])
    short = Anchored().tally([truth], [[Run(good, anchor=0), Run(good[:20], anchor=-39)]])
    assert scores(Anchored(), short) == scores(Anchored(), tally)


def test_a_missing_anchored_run_is_named() -> None:
    truth = Truth("one", rows(BOX, BOX), anchors=np.array([0, -1]))
    with pytest.raises(ResultError, match="one lacks runs from 1 of its 2 anchors: add those from images 1"):
        Anchored().tally([truth], [[Run(truth.boxes, anchor=0)]])
    with pytest.raises(ResultError, match="one has no anchors"):
        Anchored().tally([Truth("one", truth.boxes)], [[Run(truth.boxes)]])


def confident(rng: np.random.Generator, truth: Truth, lost: int) -> Run:
    scores = np.round(rng.random(len(truth.boxes)), 2)
    scores[0] = np.nan
    return Run(tracked(rng, truth.boxes, lost), scores=scores)


@pytest.mark.parametrize("length", [250, 20])
def test_long_term_scores_are_those_of_the_vot_toolkit(length: int) -> None:
    import vot_referee

    rng = np.random.default_rng(2)
    truths = [Truth(name, drift(rng, length + more), size=SIZE) for name, more in (("a", 0), ("b", 10), ("c", 20))]
    runs = [
        [confident(rng, truth, length // 2) for _ in range(count)]
        for truth, count in zip(truths, (2, 1, 1), strict=True)
    ]
    curve, f_curve, expected = vot_referee.long_term(truths, runs)
    tally = LongTerm().tally(truths, runs)
    ours, f_ours = LongTerm().curves(tally)
    np.testing.assert_allclose(np.stack([ours.x, ours.y], axis=1), curve, atol=1e-12)
    np.testing.assert_allclose(f_ours.y, f_curve, atol=1e-12)
    assert scores(LongTerm(), tally) == pytest.approx(expected, abs=1e-12)


def test_without_confidences_all_count_as_zero_as_in_the_vot_toolkit() -> None:
    import vot_referee

    rng = np.random.default_rng(3)
    truth = Truth("a", drift(rng, 120), size=SIZE)
    runs = [[Run(tracked(rng, truth.boxes, 60))]]
    expected = vot_referee.long_term([truth], runs)[2]
    assert scores(LongTerm(), LongTerm().tally([truth], runs)) == pytest.approx(expected, abs=1e-12)


def test_anchored_scores_are_those_of_the_vot_toolkit(tmp_path: Path) -> None:
    import vot_referee

    rng = np.random.default_rng(4)
    shapes = (("a", 60, [0, 30, -50]), ("b", 180, [0, -100, -179]), ("c", 800, [0, 50, -500, -799]))
    truths = [Truth(name, drift(rng, length), size=SIZE, anchors=np.array(at)) for name, length, at in shapes]
    runs = []
    for truth in truths:
        runs.append([])
        for place, anchor in enumerate(truth.anchors.tolist()):
            target = truth.boxes[anchor:] if anchor >= 0 else truth.boxes[-anchor::-1]
            lost = len(target) if place % 2 else len(target) // 2
            runs[-1].append(Run(tracked(rng, target, lost), anchor=anchor))
    curve, expected = vot_referee.anchored(truths, runs, tmp_path)
    tally = Anchored().tally(truths, runs)
    np.testing.assert_allclose(Anchored().curves(tally)[0].y, curve[1:], atol=1e-12)
    assert scores(Anchored(), tally) == pytest.approx(expected, abs=1e-12)
    assert set(np.unique(Anchored().by_sequence(tally)["R"] < 1)) == {True}
