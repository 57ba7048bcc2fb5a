"""The VOT toolkit's own analyses of truths and runs that are in memory, to compare ours with."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tectum.benchmarks.base import Truth
from tectum.evaluation.protocol import Run

REASON = "vot-toolkit is not installed (tests/peers.txt)"

longterm = pytest.importorskip("vot.analysis.longterm", reason=REASON)
multistart = pytest.importorskip("vot.analysis.multistart", reason=REASON)
region = pytest.importorskip("vot.region", reason=REASON)
dataset = pytest.importorskip("vot.dataset", reason=REASON)
tracker = pytest.importorskip("vot.tracker", reason=REASON)
grids = pytest.importorskip("vot.utilities.data", reason=REASON)


def overlaps(first: np.ndarray, second: np.ndarray, size: tuple[int, int] | None) -> np.ndarray:
    return np.array(region.calculate_overlaps(_regions(first), _regions(second), size))


def long_term(truths: list[Truth], runs: list[list[Run]]) -> tuple[np.ndarray, np.ndarray, list[float]]:
    """Recall and precision `T×2`, F-scores `T`, and the scores F, Pr, Re."""
    trajectories = {
        truth.name: [_trajectory(run) for run in several] for truth, several in zip(truths, runs, strict=True)
    }
    experiment = SimpleNamespace(gather=lambda _, sequence: trajectories[sequence.name])
    sequences = [_sequence(truth) for truth in truths]
    confidences = [longterm._ConfidenceScores().subcompute(experiment, None, each, []) for each in sequences]
    thresholds = grids.Grid.scalar(longterm._Thresholds().aggregate(None, sequences, confidences))
    analysis = longterm.PrecisionRecallCurves()
    each_curve = _column(analysis.subcompute(experiment, None, each, thresholds) for each in sequences)
    curve = grids.Grid.scalar(longterm.PrecisionRecallCurve().aggregate(None, sequences, each_curve))
    f_curve = longterm.FScoreCurve().compute(experiment, [None], sequences, [curve])
    scores = longterm.PrecisionRecall().compute(experiment, [None], sequences, [curve, f_curve])[0, 0]
    return np.array(curve[0, 0][0]), np.array(f_curve[0, 0][0]), [scores[2], scores[0], scores[1]]


def anchored(truths: list[Truth], runs: list[list[Run]], folder: Path) -> tuple[np.ndarray, list[float]]:
    """The EAO curve from 0 frames on, and the scores EAO, A, R."""
    from vot.tracker.results import Results
    from vot.workspace.storage import LocalStorage

    stored = {truth.name: Results(LocalStorage(str(folder / truth.name))) for truth in truths}
    for truth, several in zip(truths, runs, strict=True):
        for run in several:
            _trajectory(run).write(stored[truth.name], f"{truth.name}_{abs(run.anchor):08d}")
    experiment = SimpleNamespace(results=lambda _, sequence: stored[sequence.name], anchor="anchor")
    sequences = [_sequence(truth) for truth in truths]
    parts = _column(multistart.AccuracyRobustness().subcompute(experiment, None, each, []) for each in sequences)
    accuracy, robustness, *_ = multistart.AverageAccuracyRobustness().aggregate(None, sequences, parts)
    score = multistart.EAOScore(low=115, high=755, eaocurve={"curves": {"high": 755}})
    partial = _column(score.eaocurve.curves.subcompute(experiment, None, each, []) for each in sequences)
    curve = score.eaocurve.aggregate(None, sequences, partial)
    expected = score.compute(experiment, [None], sequences, [grids.Grid.scalar(curve)])[0, 0][0]
    return np.array(curve[0]), [expected, accuracy, robustness]


class _Played(dataset.InMemorySequence):
    """A sequence in memory whose size can be asked for, which the toolkit's own cannot answer."""

    def channel(self, channel: str = "color") -> Any:
        return super().channel(channel)


def _column(values: Iterable[Any]) -> Any:
    values = list(values)
    grid = grids.Grid(len(values), 1)
    for row, value in enumerate(values):
        grid[row, 0] = value
    return grid


def _regions(boxes: np.ndarray) -> list[Any]:
    from vot.region.shapes import Rectangle

    return [region.Special(0) if np.isnan(box).any() else Rectangle(*box) for box in boxes]


def _trajectory(run: Run) -> Any:
    trajectory = tracker.Trajectory(len(run.values))
    for place, each in enumerate(_regions(run.values)):
        sure = None if run.scores is None or np.isnan(run.scores[place]) else float(run.scores[place])
        trajectory.set(place, each if place else region.Special(1), {"confidence": sure})
    return trajectory


def _sequence(truth: Truth) -> Any:
    sequence = _Played(truth.name, ["color"])
    image = np.zeros((truth.size[1], truth.size[0]), np.uint8)
    starts = {} if truth.anchors is None else {abs(at): -1 if at < 0 else 1 for at in truth.anchors.tolist()}
    for place, each in enumerate(_regions(truth.boxes)):
        sequence.append({"color": image}, each, values={"anchor": starts.get(place, 0)})
    return sequence
