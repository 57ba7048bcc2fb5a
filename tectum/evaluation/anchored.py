"""The anchor-based short-term measures of the VOT challenges: accuracy, robustness, expected average overlap.

Source: Kristan et al., *The Eighth Visual Object Tracking VOT2020 Challenge Results*, ECCV Workshops 2020,
section 2; figures as `vot-toolkit` 0.9.0 gives them (stack `vot2022/rgbd`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tectum.benchmarks.base import Truth
from tectum.errors import ResultError
from tectum.evaluation.boxes import fit, have_area, to_xywh
from tectum.evaluation.protocol import Curve, Protocol, Run, Tally
from tectum.evaluation.raster import UNKNOWN_SIZE, raster_overlaps

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

FAILED_OVERLAP = 0.1
"""At most this overlap is a step towards a failure."""

GRACE = 10
"""So many such frames in a row are one."""

LENGTHS = (115, 755)
"""The lengths of runs in frames, the last one left out, over which the expected average overlap is averaged."""


def failure(overlap: Array, empty: Flags) -> int:
    """Where a tracker lost its target for good.

    Args:
        overlap: `L` overlaps of a run.
        empty: `L`, true where there is no target to be lost.

    Returns:
        The first of `GRACE` frames in a row with an overlap of at most `FAILED_OVERLAP`; `L` if there are none.
    """
    lost = (overlap <= FAILED_OVERLAP) & ~empty
    if len(lost) < GRACE:
        return len(lost)
    spans = np.lib.stride_tricks.sliding_window_view(lost, GRACE).all(axis=1)
    return int(spans.argmax()) if spans.any() else len(lost)


def contribution(overlap: Array, progress: int) -> tuple[Array, Flags]:
    """What a run says of the average overlap after each number of frames.

    Args:
        overlap: `L` overlaps of a run, the first one that of the frame of initialisation, which is left out.
        progress: where the run failed, `L` if it did not; from there on overlaps count 0.

    Returns:
        Average overlaps over the first 0, 1, … frames, as many as the longest of `LENGTHS`, and whether the run says
        anything there: beyond its end only a failed one does, and there (as in the toolkit) the sum of its overlaps
        is divided by one frame less.
    """
    length, frames = len(overlap), np.arange(LENGTHS[1])
    sums = np.concatenate([[0.0], np.cumsum(np.where(np.arange(1, length) < progress, overlap[1:], 0))])
    within = frames < length
    known = (frames > 0) & (within | (progress < length))
    mean = sums[np.minimum(frames, length - 1)] / np.maximum(np.where(within, frames, frames - 1), 1)
    return np.where(known, mean, 0), known


class Anchored(Protocol):
    """Expected average overlap, accuracy and robustness of runs that start from anchors.

    A run starts at an anchor and goes to the end of the sequence, or backwards to its beginning, and is never
    restarted. Accuracy is the mean overlap before the failure, over all frames of all runs; robustness the share of
    frames before it, runs joined within a sequence, sequences weighed by their lengths. The expected average overlap
    averages all runs alike. Frames that a run does not reach count as overlap 0.
    """

    name = "vot-anchored"
    says = (
        "Anchor-based short-term measures as vot-toolkit gives them for VOT-RGBD2022: overlaps of whole pixels, a run "
        "has failed after 10 frames in a row with an overlap of at most 0.1, EAO over lengths from 115 to 754 frames. "
        "The first frame of a run is a miss where results mark it as initialisation."
    )
    keys = ("EAO", "A", "R")
    abstains = True

    def tally(self, truths: Sequence[Truth], runs: Sequence[Sequence[Run]]) -> Tally:
        """Measures sums over the runs of each sequence.

        The parts are `curve` and `active` (sum of contributions and their number at each length), `overlap` (sum
        before failure), `progress` (frames before failure), `frames` (of all runs), `length` (of the sequence).

        Args:
            truths: `S` sequences with anchors.
            runs: for each, a run from each anchor; the sign of a run's own anchor does not matter.

        Raises:
            ResultError: if a sequence has no anchors, or a run is missing.
        """
        rows = [_sums(truth, several) for truth, several in zip(truths, runs, strict=True)]
        names = ("overlap", "progress", "frames", "length")
        parts = {name: np.array([sums[place] for sums, _ in rows], np.float64) for place, name in enumerate(names)}
        curves = np.array([curve for _, curve in rows], np.float64).reshape(len(rows), 2, LENGTHS[1])
        return Tally(tuple(truth.name for truth in truths), parts | {"curve": curves[:, 0], "active": curves[:, 1]})

    def scores(self, tally: Tally, weights: Array | None = None) -> dict[str, Array]:
        """Expected average overlap, accuracy and robustness.

        Args:
            tally: of this protocol.
            weights: `B×S` how often each sequence counts in each of `B` draws; once each by default.
        """
        weights = np.ones(len(tally.names)) if weights is None else weights
        expected = np.asarray(_expected(tally, weights)[..., slice(*LENGTHS)].mean(axis=-1), np.float64)
        sums = {name: np.asarray(weights @ tally.parts[name]) for name in ("overlap", "progress", "length")}
        survived = np.asarray(weights @ (_robustness(tally) * tally.parts["length"]))
        return {
            "EAO": np.where(sums["length"] > 0, expected, np.nan),
            "A": _ratio(sums["overlap"], sums["progress"]),
            "R": _ratio(survived, sums["length"]),
        }

    def by_sequence(self, tally: Tally) -> dict[str, Array]:
        """Accuracy and robustness; few runs of one sequence do not make an expected overlap."""
        return {"A": _ratio(tally.parts["overlap"], tally.parts["progress"]), "R": _robustness(tally)}

    def curves(self, tally: Tally) -> tuple[Curve, ...]:
        """The expected average overlap over the number of frames."""
        y = _expected(tally, np.ones(len(tally.names)))[1:]
        x = np.arange(1, LENGTHS[1], dtype=np.float64)
        return (Curve("expected_overlap", "Expected average overlap", "Frames", "Average overlap", x, y, "EAO"),)


def _sums(truth: Truth, runs: Sequence[Run]) -> tuple[tuple[float, ...], Array]:
    """The tally's sums of a sequence: four numbers, and the curve with its counts `2×755`."""
    overlaps, progresses, curves = [], [], []
    for anchor, run in _expected_runs(truth, runs):
        overlap, empty = _overlaps(truth, anchor, run)
        overlaps.append(overlap)
        progresses.append(failure(overlap, empty))
        curves.append(contribution(overlap, progresses[-1]))
    kept = sum(float(overlap[:end].sum()) for overlap, end in zip(overlaps, progresses, strict=True))
    frames = sum(len(overlap) for overlap in overlaps)
    return (kept, sum(progresses), frames, len(truth.boxes)), np.array(curves, np.float64).sum(axis=0)


def _expected_runs(truth: Truth, runs: Sequence[Run]) -> list[tuple[int, Run]]:
    """Each anchor of a sequence with the run that starts there: files name the image alone, not the direction."""
    if truth.anchors is None or not len(truth.anchors):
        raise ResultError(f"Sequence {truth.name} has no anchors: score it under another convention.")
    started = {abs(run.anchor): run for run in runs if run.anchor is not None}
    missing = [str(abs(anchor)) for anchor in truth.anchors.tolist() if abs(anchor) not in started]
    if missing:
        raise ResultError(
            f"Sequence {truth.name} lacks runs from {len(missing)} of its {len(truth.anchors)} anchors: "
            f"add those from images {', '.join(missing)}, counted from 0."
        )
    return [(anchor, started[abs(anchor)]) for anchor in truth.anchors.tolist()]


def _overlaps(truth: Truth, anchor: int, run: Run) -> tuple[Array, Flags]:
    """Overlaps of a run in its own order, and where it has no target."""
    target = truth.boxes[anchor:] if anchor >= 0 else truth.boxes[-anchor::-1]
    boxes = fit(to_xywh(run.values, run.form), len(target))
    overlap = raster_overlaps(boxes, target, truth.size or UNKNOWN_SIZE)
    overlap[len(run.values) :] = 0
    return overlap, ~have_area(target)


def _expected(tally: Tally, weights: Array) -> Array:
    """The expected average overlap `…×755` under weights `…×S`, 0 at lengths of which no run says anything."""
    total, active = weights @ tally.parts["curve"], weights @ tally.parts["active"]
    return np.asarray(np.divide(total, active, out=np.zeros_like(total), where=active > 0), np.float64)


def _robustness(tally: Tally) -> Array:
    """Share of each sequence's frames before the failure, all runs joined."""
    return _ratio(tally.parts["progress"], tally.parts["frames"])


def _ratio(part: Array, whole: Array) -> Array:
    """Quotients, `nan` where there is nothing to divide by."""
    return np.asarray(np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=whole > 0), np.float64)
