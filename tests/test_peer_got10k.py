"""The GOT-10k toolkit (`got10k` on PyPI) as the referee for OTB and LaSOT."""

from __future__ import annotations

import numpy as np
import pytest

from tectum.benchmarks.base import Truth
from tectum.evaluation.conventions import convention
from tectum.evaluation.protocol import Run

metrics = pytest.importorskip("got10k.utils.metrics", reason="the peer's toolkit is not installed: pip install got10k")


@pytest.fixture(params=["integers", "fractions"])
def tracked(request: pytest.FixtureRequest) -> tuple[list[Truth], list[list[Run]]]:
    rng = np.random.default_rng(11)
    truths, runs = [], []
    for name in "abcde":
        length = int(rng.integers(40, 90))
        boxes = np.concatenate([rng.uniform(-5, 60, (length, 2)), rng.uniform(0.2, 30, (length, 2))], 1)
        values = boxes + rng.normal(0, 4, boxes.shape)
        if request.param == "integers":
            boxes, values = boxes.round(), values.round()
        truths.append(Truth(name, boxes))
        runs.append([Run(values)])
    return truths, runs


def test_otb_scores_are_the_toolkits(tracked: tuple[list[Truth], list[list[Run]]]) -> None:
    from got10k.experiments import ExperimentOTB

    # Without its constructor, which downloads the data set.
    experiment = object.__new__(ExperimentOTB)
    experiment.nbins_iou, experiment.nbins_ce = 21, 51
    curves = []
    for truth, (run,) in zip(*tracked, strict=True):
        boxes = run.values.copy()
        boxes[0] = truth.boxes[0]
        curves.append(experiment._calc_curves(*experiment._calc_metrics(boxes, truth.boxes)))
    success, precision = (np.mean(each, 0) for each in zip(*curves, strict=True))
    protocol = convention("otb")
    tally = protocol.tally(*tracked)
    drawn = {curve.key: curve.y for curve in protocol.curves(tally)}
    np.testing.assert_allclose(drawn["success"], success, atol=1e-12)
    np.testing.assert_allclose(drawn["precision"], precision, atol=1e-12)
    scores = protocol.scores(tally)
    assert scores["SR"] == pytest.approx(success.mean())
    assert scores["PR"] == pytest.approx(precision[20])
    assert scores["OP50"] == pytest.approx(success[10])


def test_lasot_scores_are_the_toolkits_but_for_frames_without_truth(
    tracked: tuple[list[Truth], list[list[Run]]],
) -> None:
    """The released toolkit has no LaSOT experiment; its repository's one leaves `nan` rows out first."""
    truths, runs = tracked
    scores = []
    for place, (truth, (run,)) in enumerate(zip(truths, runs, strict=True)):
        truth.boxes[3 : 3 + place] = np.nan
        boxes = run.values.copy()
        boxes[0] = truth.boxes[0]
        known = ~np.isnan(truth.boxes).any(1)
        overlap = metrics.rect_iou(boxes[known], truth.boxes[known])
        error = metrics.center_error(boxes[known], truth.boxes[known])
        scores.append(((overlap[:, None] > np.linspace(0, 1, 21)).mean(), (error <= 20).mean()))
    success, precision = np.mean(scores, 0)
    protocol = convention("lasot-got10k")
    ours = protocol.scores(protocol.tally(truths, runs))
    assert ours["SR"] == pytest.approx(success, abs=1e-12)
    assert ours["PR"] == pytest.approx(precision, abs=1e-12)


def test_lasot_normalised_precision_counts_sides_below_a_pixel_as_one() -> None:
    truth = Truth("a", np.array([[10.0, 10, 20, 20], [10, 10, 20, 20], [10, 10, 0.5, 20]]))
    run = Run(np.array([[10.0, 10, 20, 20], [14, 10, 20, 20], [10.25, 10, 0.5, 20]]))
    protocol = convention("lasot-got10k")
    curve = np.array([0, 0.2, 0.25])
    expected = (curve[:, None] <= np.linspace(0, 0.5, 51)).mean()
    assert protocol.scores(protocol.tally([truth], [[run]]))["NPR"] == pytest.approx(expected)
