"""The long-term measures of the VOT challenges: tracking precision, recall and F-score over confidence thresholds.

Source: Lukežič, Čehovin Zajc, Vojíř, Matas, Kristan, *Now You See Me: Evaluating Performance in Long-Term Visual
Tracking*, 2018, section 4; figures as `vot-toolkit` 0.9.0 gives them (stack `vot2021/rgbd`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tectum.benchmarks.base import Truth
from tectum.evaluation.boxes import annotated, are_finite, fit, have_area, to_xywh
from tectum.evaluation.protocol import Curve, Protocol, Run, Tally
from tectum.evaluation.raster import UNKNOWN_SIZE, raster_overlaps

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

RESOLUTION = 100
"""The most thresholds that are tried, both infinities among them."""


def confidence_thresholds(confidences: Array, resolution: int = RESOLUTION) -> Array:
    """Thresholds that part confidences into groups of like size.

    Args:
        confidences: `M` of all frames of all sequences; `nan` ones are left out.
        resolution: the most thresholds `T` to give; at least 3.

    Returns:
        `T` thresholds from `inf` down to `-inf`; each confidence is one where there are at most `resolution - 2`.
    """
    ranked = np.sort(confidences[~np.isnan(confidences)])[::-1]
    inner = resolution - 2
    if len(ranked) > inner:
        step = len(ranked) // inner
        ranked = ranked[np.rint(np.linspace(step, len(ranked) - step, inner)).astype(np.int64)]
    return np.concatenate([[np.inf], ranked, [-np.inf]])


def f_score(precision: Array, recall: Array) -> Array:
    """Harmonic mean of precision and recall, 0 where both are."""
    total = precision + recall
    return np.asarray(np.divide(2 * precision * recall, total, out=np.zeros_like(total), where=total != 0), np.float64)


@dataclass(frozen=True)
class _Pass:
    """One run over one sequence: `N` overlaps and `N` confidences."""

    overlap: Array
    confidence: Array

    @classmethod
    def of(cls, truth: Truth, run: Run) -> _Pass:
        target = np.where(_present(truth)[:, None], truth.boxes, np.nan)
        run = annotated(run, truth)
        boxes = fit(to_xywh(run.values, run.form), len(target))
        overlap = raster_overlaps(boxes, target, truth.size or UNKNOWN_SIZE)
        overlap[len(run.values) :] = 0
        scores = fit(np.zeros(0) if run.scores is None else run.scores, len(target))
        return cls(overlap, np.where(np.isnan(scores), 0, scores))

    def above(self, thresholds: Array) -> tuple[Array, Array]:
        """How many frames have at least each of `T` confidences, and the sum of their overlaps."""
        order = np.argsort(-self.confidence, kind="stable")
        kept = np.searchsorted(-self.confidence[order], -thresholds, side="right")
        sums = np.concatenate([[0.0], np.cumsum(self.overlap[order])])
        return kept.astype(np.float64), sums[kept]


class LongTerm(Protocol):
    """Precision, recall and F-score of whole sequences, averaged over sequences.

    At a threshold only frames count in which the tracker is at least as sure. Precision is their mean overlap (1 if
    there are none), recall the sum of their overlaps over the number of frames in which the target is to be seen.
    The curves of several runs are averaged, then those of sequences; the F-score is that of the averaged curves,
    and the threshold where it is highest gives all three scores. It is chosen anew for every set of sequences, from
    the thresholds of all sequences tallied.

    The target is absent where its box is `nan` or has no size; labels of the benchmark are not looked at. A tracker
    that says so too gets an overlap of 1 there, a box gets 0. A first row that is no box, as VOT marks the frame of
    initialisation, gets 0. Frames that a run does not reach get 0 with a confidence of 0. Sequences without any
    visible target have no recall and are left out.
    """

    name = "vot-longterm"
    says = (
        "Long-term measures as vot-toolkit gives them (VOT-RGBD 2019 to 2021, DepthTrack, CDTB, RGBD1K): overlaps of "
        "whole pixels, curves averaged over sequences, a box where the target is absent lowers precision. The first "
        "frame is a miss where results mark it as initialisation and a hit where they repeat the given box; copies "
        "in other toolkits choose other thresholds."
    )
    keys = ("F", "Pr", "Re")
    abstains = True

    def tally(self, truths: Sequence[Truth], runs: Sequence[Sequence[Run]]) -> Tally:
        """Measures curves per sequence: `precision` and `recall`, and for pooled frames `kept`, `overlap`, `visible`.

        Args:
            truths: `S` sequences.
            runs: for each, one run or more; confidences that are not known are 0.
        """
        passes = [[_Pass.of(truth, run) for run in several] for truth, several in zip(truths, runs, strict=True)]
        pooled = [each.confidence for several in passes for each in several]
        thresholds = confidence_thresholds(np.concatenate([np.zeros(0), *pooled]))
        visible = np.array([_present(truth).sum() for truth in truths], np.float64)
        rows = [_mean_curves(several, seen, thresholds) for several, seen in zip(passes, visible, strict=True)]
        table = np.array(rows, np.float64).reshape(len(truths), 4, len(thresholds))
        curves = dict(zip(("precision", "recall", "kept", "overlap"), table.swapaxes(0, 1), strict=True))
        return Tally(tuple(truth.name for truth in truths), curves | {"visible": visible})

    def scores(self, tally: Tally, weights: Array | None = None) -> dict[str, Array]:
        """F-score, precision and recall at the threshold where the F-score is highest.

        Args:
            tally: of this protocol.
            weights: `B×S` how often each sequence counts in each of `B` draws; once each by default.
        """
        precision, recall = self._averages(tally, np.ones(len(tally.names)) if weights is None else weights)
        measure = f_score(precision, recall)
        best = measure.argmax(axis=-1)[..., None]
        found = (np.take_along_axis(curve, best, axis=-1)[..., 0] for curve in (measure, precision, recall))
        return dict(zip(self.keys, found, strict=True))

    def by_sequence(self, tally: Tally) -> dict[str, Array]:
        """Each sequence's own precision, recall and F-score at the threshold that is best for all together."""
        best = f_score(*self._averages(tally, np.ones(len(tally.names)))).argmax()
        precision, recall = tally.parts["precision"][:, best], tally.parts["recall"][:, best]
        precision = np.where(np.isnan(recall), np.nan, precision)
        return {"F": f_score(precision, recall), "Pr": precision, "Re": recall}

    def curves(self, tally: Tally) -> tuple[Curve, ...]:
        """Precision over recall, and the F-score over the rank of the threshold."""
        precision, recall = self._averages(tally, np.ones(len(tally.names)))
        measure, rank = f_score(precision, recall), np.linspace(0, 1, len(recall))
        return (
            Curve("precision_recall", "Precision and recall", "Recall", "Precision", recall, precision, "F"),
            Curve("f_score", "F-score", "Normalised threshold (most confident first)", "F-score", rank, measure, "F"),
        )

    def _averages(self, tally: Tally, weights: Array) -> tuple[Array, Array]:
        """Precision and recall `…×T` under weights `…×S`."""
        counted = weights * (tally.parts["visible"] > 0)
        total = counted.sum(axis=-1)[..., None]
        with np.errstate(invalid="ignore"):
            return counted @ tally.parts["precision"] / total, counted @ np.nan_to_num(tally.parts["recall"]) / total


class LongTermFrames(LongTerm):
    """The same of all frames as if of one long sequence, so that long sequences weigh more."""

    name = "vot-longterm-frames"
    says = (
        "Long-term measures over the frames of all sequences joined, as the frame-based figures of the DepthTrack "
        "paper, so that long sequences weigh more; all else as in vot-toolkit."
    )

    def _averages(self, tally: Tally, weights: Array) -> tuple[Array, Array]:
        kept, overlap = weights @ tally.parts["kept"], weights @ tally.parts["overlap"]
        visible = (weights @ tally.parts["visible"])[..., None]
        precision = np.divide(overlap, kept, out=np.ones_like(kept), where=kept > 0)
        with np.errstate(invalid="ignore"):
            return np.where(visible > 0, precision, np.nan), np.where(visible > 0, overlap / visible, np.nan)


def _present(truth: Truth) -> Flags:
    """In which rows there is a target to be seen."""
    return are_finite(truth.boxes) & have_area(truth.boxes)


def _mean_curves(passes: Sequence[_Pass], visible: float, thresholds: Array) -> Array:
    """Precision, recall, frames kept and sum of overlaps `4×T` at each threshold, the means over runs."""
    kept, overlap = np.array([each.above(thresholds) for each in passes]).swapaxes(0, 1)
    precision = np.divide(overlap, kept, out=np.ones_like(kept), where=kept > 0)
    recall = overlap / visible if visible else np.full_like(overlap, np.nan)
    return np.asarray(np.mean([precision, recall, kept, overlap], axis=1), np.float64)
