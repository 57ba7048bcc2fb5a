"""The measures of GOT-10k: average overlap and success rates over the frames of all sequences together.

Source: Huang, Zhao, Huang, *GOT-10k: A Large High-Diversity Benchmark for Generic Object Tracking in the Wild*,
TPAMI 2021, section 4; figures as the `got10k` toolkit 0.1.3 reports them on the validation set.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tectum.benchmarks.base import Truth
from tectum.evaluation.boxes import annotated, are_finite, fit, have_area, to_xywh
from tectum.evaluation.protocol import Curve, Protocol, Run, Tally

Array = npt.NDArray[np.float64]

THRESHOLDS: Array = np.linspace(0, 1, 101)
"""Overlaps from 0 to 1 in steps of 0.01."""


def bounded(boxes: Array, size: tuple[int, int] | None) -> Array:
    """Brings boxes into the image as the toolkit does: first the corner, then the size.

    A box that begins left of the image is moved, not cut: its width stays.

    Args:
        boxes: `N×4` as `x, y, w, h` in pixels.
        size: width and height of the image in pixels; only left and top edges hold where it is not known.
    """
    edge = np.array(size or (np.inf, np.inf), np.float64)
    corner = np.clip(boxes[:, :2], 0, edge)
    return np.concatenate([corner, np.clip(boxes[:, 2:], 0, edge - corner)], axis=1)


def bounded_overlaps(boxes: Array, truth: Array, size: tuple[int, int] | None) -> Array:
    """Intersection over union inside the image, with the toolkit's guard against empty unions.

    Args:
        boxes: a tracker's boxes `N×4` as `x, y, w, h` in pixels.
        truth: ground truth `N×4`.
        size: width and height of the image in pixels, where known.

    Returns:
        Overlaps `N` in [0, 1]; 0 where a box is not finite.
    """
    usable = are_finite(boxes)
    one, two = bounded(np.where(usable[:, None], boxes, 0), size), bounded(truth, size)
    sides = np.minimum(one[:, :2] + one[:, 2:], two[:, :2] + two[:, 2:]) - np.maximum(one[:, :2], two[:, :2])
    common = np.maximum(sides, 0).prod(axis=1)
    union = one[:, 2:].prod(axis=1) + two[:, 2:].prod(axis=1) - common
    return np.where(usable, np.clip(common / (union + np.finfo(np.float64).eps), 0, 1), 0.0)


class GOT10k(Protocol):
    """Average overlap and success rates of frames: all runs of all sequences are joined.

    The first frame is left out, and so are frames whose target the benchmark calls absent (covered altogether) or,
    without labels, those whose box has no size. Frames that a run does not reach, and boxes that are not finite,
    count as overlap 0, where the toolkit stops or gives `nan`.
    """

    name = "got10k"
    says = (
        "Measures of the got10k toolkit: the first frame and fully covered frames are left out, boxes are moved into "
        "the image before they are compared, and frames of all sequences are joined, so that long ones weigh more."
    )
    keys = ("AO", "SR50", "SR75")

    def tally(self, truths: Sequence[Truth], runs: Sequence[Sequence[Run]]) -> Tally:
        """Measures `overlap` (sum), `hits` (frames above each of `THRESHOLDS`) and `frames` of each sequence.

        Args:
            truths: `S` sequences.
            runs: for each, one run or more.
        """
        overlaps = [
            np.concatenate([_overlaps(truth, run) for run in several])
            for truth, several in zip(truths, runs, strict=True)
        ]
        hits = [len(each) - np.searchsorted(np.sort(each), THRESHOLDS, side="right") for each in overlaps]
        parts = {
            "overlap": np.array([each.sum() for each in overlaps], np.float64),
            "hits": np.array(hits, np.float64).reshape(len(truths), len(THRESHOLDS)),
            "frames": np.array([len(each) for each in overlaps], np.float64),
        }
        return Tally(tuple(truth.name for truth in truths), parts)

    def scores(self, tally: Tally, weights: Array | None = None) -> dict[str, Array]:
        """Average overlap, and the shares of frames with an overlap above 0.5 and 0.75.

        Args:
            tally: of this protocol.
            weights: `B×S` how often each sequence counts in each of `B` draws; once each by default.
        """
        weights = np.ones(len(tally.names)) if weights is None else weights
        return _rates(*(weights @ tally.parts[part] for part in ("overlap", "hits", "frames")))

    def by_sequence(self, tally: Tally) -> dict[str, Array]:
        """The same of each sequence."""
        return _rates(*(tally.parts[part] for part in ("overlap", "hits", "frames")))

    def curves(self, tally: Tally) -> tuple[Curve, ...]:
        """The success curve; its area is the average overlap, but for its steps."""
        with np.errstate(invalid="ignore"):
            y = tally.parts["hits"].sum(axis=0) / tally.parts["frames"].sum()
        return (Curve("success", "Success", "Overlap threshold", "Success rate", THRESHOLDS, y, "AO"),)


def _overlaps(truth: Truth, run: Run) -> Array:
    """Overlaps of the frames that count."""
    counted = are_finite(truth.boxes) & (have_area(truth.boxes) if truth.absent is None else ~truth.absent)
    counted[:1] = False
    run = annotated(run, truth)
    boxes = fit(to_xywh(run.values, run.form), len(truth.boxes))
    return bounded_overlaps(boxes[counted], truth.boxes[counted], truth.size)


def _rates(overlap: Array, hits: Array, frames: Array) -> dict[str, Array]:
    """The scores from sums of overlaps `…`, hits `…×101` and numbers of frames `…`; `nan` without any frame."""
    with np.errstate(invalid="ignore"):
        return {
            "AO": np.asarray(overlap / frames, np.float64),
            "SR50": np.asarray(hits[..., 50] / frames, np.float64),
            "SR75": np.asarray(hits[..., 75] / frames, np.float64),
        }
