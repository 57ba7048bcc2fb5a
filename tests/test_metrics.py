from __future__ import annotations

import numpy as np
import pytest

from tectum.evaluation.metrics import center_error, overlaps, precision, success_auc, success_curve

NAN = np.nan


def test_a_perfect_tracker_scores_twenty_of_twenty_one() -> None:
    truth = np.array([[10.0, 10, 30, 20], [12, 11, 30, 20]])
    assert success_auc(overlaps(truth, truth)) == pytest.approx(20 / 21)
    assert precision(center_error(truth, truth)) == 1


def test_success_is_strict_and_precision_is_not() -> None:
    curve = success_curve(np.array([0.0, 0.5, 1.0]))
    np.testing.assert_allclose(curve, [2 / 3] * 10 + [1 / 3] * 10 + [0])
    assert precision(np.array([20.0, 20.001])) == 0.5


def test_centre_errors_are_distances() -> None:
    truth = np.array([[10.0, 10, 30, 20], [10, 10, 30, 20]])
    boxes = np.array([[13.0, 14, 30, 20], [5, 10, 40, 20]])
    np.testing.assert_allclose(center_error(boxes, truth), [5, 0])


def test_frames_without_truth_count_neither_way() -> None:
    truth = np.array([[0.0, 0, 10, 10], [NAN] * 4, [0, 0, 10, 10]])
    boxes = np.array([[0.0, 0, 10, 10], [0, 0, 10, 10], [50, 50, 10, 10]])
    overlap = overlaps(boxes, truth)
    np.testing.assert_array_equal(overlap, [1, NAN, 0])
    assert success_auc(overlap) == pytest.approx(10 / 21)
    assert precision(center_error(boxes, truth)) == 0.5
    assert np.isnan(success_auc(np.array([NAN])))
    assert np.isnan(precision(np.array([NAN])))


def test_boxes_and_truth_must_pair_up() -> None:
    with pytest.raises(ValueError, match="N×4"):
        overlaps(np.zeros((3, 4)), np.zeros((4, 4)))
