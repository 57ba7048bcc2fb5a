from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tectum.evaluation.metrics import (
    SUCCESS_THRESHOLDS,
    Pass,
    average_overlap,
    best_of,
    center_error,
    curve_area,
    curve_mean,
    curve_value,
    error_of_normalized_centers,
    normalized_center_error,
    overlaps,
    passing,
    precision,
    success_auc,
    success_curve,
    success_rate,
)

NAN = np.nan
Array = npt.NDArray[np.float64]

BOXES = arrays(
    np.float64,
    (7, 4),
    elements=st.integers(4, 400).map(lambda quarter: quarter / 4),
    fill=st.nothing(),
)


def test_a_perfect_tracker_scores_twenty_of_twenty_one() -> None:
    truth = np.array([[10.0, 10, 30, 20], [12, 11, 30, 20]])
    assert success_auc(overlaps(truth, truth)) == pytest.approx(20 / 21)
    assert average_overlap(overlaps(truth, truth)) == 1
    assert precision(center_error(truth, truth)) == 1


def test_success_is_strict_and_precision_is_not() -> None:
    curve = success_curve(np.array([0.0, 0.5, 1.0]))
    np.testing.assert_allclose(curve, [2 / 3] * 10 + [1 / 3] * 10 + [0])
    assert precision(np.array([20.0, 20.001])) == 0.5
    assert success_rate(np.array([0.5, 0.51, 0.75, 0.76]), 0.5) == 0.75
    assert success_rate(np.array([0.5, 0.51, 0.75, 0.76]), 0.75) == 0.25


def test_centre_errors_are_distances() -> None:
    truth = np.array([[10.0, 10, 30, 20], [10, 10, 30, 20]])
    boxes = np.array([[13.0, 14, 30, 20], [5, 10, 40, 20]])
    np.testing.assert_allclose(center_error(boxes, truth), [5, 0])
    np.testing.assert_allclose(normalized_center_error(boxes, truth), [np.hypot(3 / 30, 4 / 20), 0])


def test_sides_below_a_pixel_may_count_as_one() -> None:
    truth, boxes = np.array([[10.0, 10, 0.5, 4]]), np.array([[11.0, 10, 0.5, 4]])
    assert normalized_center_error(boxes, truth) == 2
    assert normalized_center_error(boxes, truth, least=1) == 1


def test_frames_without_truth_count_neither_way() -> None:
    truth = np.array([[0.0, 0, 10, 10], [NAN] * 4, [0, 0, 10, 10]])
    boxes = np.array([[0.0, 0, 10, 10], [0, 0, 10, 10], [50, 50, 10, 10]])
    overlap = overlaps(boxes, truth)
    np.testing.assert_array_equal(overlap, [1, NAN, 0])
    assert success_auc(overlap) == pytest.approx(10 / 21)
    assert average_overlap(overlap) == 0.5
    assert precision(center_error(boxes, truth)) == 0.5
    assert np.isnan(success_auc(np.array([NAN])))
    assert np.isnan(average_overlap(np.array([NAN])))
    assert np.isnan(precision(np.array([NAN])))


def test_boxes_and_truth_must_pair_up() -> None:
    with pytest.raises(ValueError, match="N×4"):
        overlaps(np.zeros((3, 4)), np.zeros((4, 4)))


def test_curves_are_summed_up_in_three_ways() -> None:
    curves = np.array([[1.0] * 20 + [0.0], [0.5] * 21])
    np.testing.assert_allclose(curve_mean(curves), [20 / 21, 0.5])
    np.testing.assert_allclose(curve_area(curves), [0.975, 0.5])
    np.testing.assert_array_equal(curve_value(curves, 20), [0, 0.5])


def test_the_better_of_two_truths_counts() -> None:
    first, second = np.array([0.2, 0.9, NAN]), np.array([0.4, 0.1, 0.5])
    np.testing.assert_array_equal(best_of([first, second], Pass.ABOVE), [0.4, 0.9, NAN])
    np.testing.assert_array_equal(best_of([first, second], Pass.AT_MOST), [0.2, 0.1, NAN])


@pytest.mark.parametrize("precision", [np.float32, np.float64])
@given(st.lists(st.sampled_from([NAN, 0, 0.05, 0.1, 0.15, 0.3, 0.35, 0.6, 0.65, 0.7, 0.85, 0.95, 1]), max_size=9))
def test_counts_are_those_of_the_plain_comparison(precision: type, values: list[float]) -> None:
    held = np.array(values, precision)
    pairs = (held[:, None], SUCCESS_THRESHOLDS)
    np.testing.assert_array_equal(passing(held, SUCCESS_THRESHOLDS, Pass.ABOVE), np.greater(*pairs).sum(0))
    np.testing.assert_array_equal(passing(held, SUCCESS_THRESHOLDS, Pass.AT_LEAST), np.greater_equal(*pairs).sum(0))
    np.testing.assert_array_equal(passing(held, SUCCESS_THRESHOLDS, Pass.BELOW), np.less(*pairs).sum(0))
    np.testing.assert_array_equal(passing(held, SUCCESS_THRESHOLDS, Pass.AT_MOST), np.less_equal(*pairs).sum(0))


@given(BOXES, BOXES)
def test_conventions_of_pixels_differ_by_rounding_only(boxes: Array, truth: Array) -> None:
    overlap = overlaps(boxes, truth)
    assert ((overlap >= 0) & (overlap <= 1)).all()
    np.testing.assert_allclose(overlaps(boxes, truth, inclusive=True), overlap, atol=1e-12)
    np.testing.assert_allclose(center_error(boxes, truth, inclusive=True), center_error(boxes, truth), atol=1e-12)
    expected = normalized_center_error(boxes, truth)
    np.testing.assert_allclose(error_of_normalized_centers(boxes, truth), expected, atol=1e-9)


@given(BOXES, BOXES, st.sampled_from([0.25, 0.5, 2.0, 8.0]))
def test_success_and_normalised_precision_do_not_know_the_image_size(boxes: Array, truth: Array, scale: float) -> None:
    np.testing.assert_array_equal(overlaps(scale * boxes, scale * truth), overlaps(boxes, truth))
    scaled, plain = normalized_center_error(scale * boxes, scale * truth), normalized_center_error(boxes, truth)
    np.testing.assert_allclose(scaled, plain, rtol=1e-12)
    np.testing.assert_allclose(center_error(scale * boxes, scale * truth), scale * center_error(boxes, truth))


def test_the_precision_given_is_the_precision_kept() -> None:
    boxes = np.array([[1, 2, 30, 40]], np.float32)
    for measure in (overlaps, center_error, normalized_center_error, error_of_normalized_centers):
        assert measure(boxes, boxes).dtype == np.float32
        assert measure(boxes.astype(int), boxes.astype(int)).dtype == np.float64
