"""One-pass evaluation (OPE): a tracker starts on the first frame and runs to the end, once.

Every toolkit of the field computes the same three curves and no two agree on the same boxes. What they differ in is
data here: how a results file becomes boxes (`Columns`), which of its rows are replaced or mended (`Rows`), which
frames count and how (`Measure`), and how sequences are averaged (`Average`). `conventions.py` has the toolkits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from tectum.benchmarks.base import Truth
from tectum.evaluation import metrics
from tectum.evaluation.boxes import annotated
from tectum.evaluation.columns import Boxes, Columns
from tectum.evaluation.metrics import Pass
from tectum.evaluation.protocol import Array, Curve, Protocol, Run, Tally

Mask = npt.NDArray[np.bool_]
Owners = npt.NDArray[np.int64]


class First(Enum):
    """What becomes of the first frame, whose box is given."""

    KEPT = "scored as it is"
    DROPPED = "left out"
    REPLACED = "replaced by the truth, after repair"
    REPLACED_EARLY = "replaced by the truth, before repair"


class Unequal(Enum):
    """What becomes of results that are shorter than the truth; rows beyond it are always cut."""

    MISSES = "missing rows are misses"
    ZEROS = "missing rows are boxes of zeros"
    SHORTER = "the truth is cut as well"


@dataclass(frozen=True)
class Repair:
    """Which rows, the first one never, repeat the row before: those whose box has no size.

    Attributes:
        numbers: those with `nan` as well.
        where_known: only where the truth has no `nan`.
    """

    numbers: bool = True
    where_known: bool = True

    def __call__(self, boxes: Boxes, truth: Boxes) -> Boxes:
        """Mends boxes `N×4` for which there is truth `N×4`."""
        bad = np.asarray((boxes[:, 2:] <= 0).any(1))
        if self.numbers:
            bad |= np.isnan(boxes).any(1)
        if self.where_known:
            bad &= ~np.isnan(truth).any(1)
        last_good = np.maximum.accumulate(np.where(bad, 0, np.arange(len(boxes))))
        mended = boxes.copy("K")
        mended[bad] = boxes[last_good[bad]]
        return mended


@dataclass(frozen=True)
class Rows:
    """What becomes of a run's rows before they are compared with the truth.

    Attributes:
        first: what becomes of the first one.
        repair: what becomes of invalid ones, if anything.
        unequal: what becomes of ones too few.
    """

    first: First = First.REPLACED
    repair: Repair | None = None
    unequal: Unequal = Unequal.MISSES


class Outcome(IntEnum):
    """How a frame counts in a measure."""

    SCORED = 0
    """By its value."""
    MISS = 1
    """It never passes."""
    HIT = 2
    """It passes at every threshold."""
    EXCLUDED = 3
    """Not at all, not even in the divisor."""


@dataclass(frozen=True, eq=False)
class Measure:
    """One curve: what is measured of a frame, and which frames pass a threshold.

    Attributes:
        key: `success`, `precision`, `normalized-precision`, or `overlap` where `thresholds` is `None`.
        value: takes boxes `N×4` and truth `N×4`, gives `N` values.
        rule: the inequality.
        thresholds: `T`; `None` for the mean of the values themselves instead of a curve.
        valid: takes the truth `N×4`, says `N` times whether a tracker can be scored against it.
        invalid: how the other frames count.
        absent: how frames count in which the benchmark's labels say that the target is absent; comes before `invalid`.
    """

    key: str
    value: Callable[[Boxes, Boxes], Boxes]
    rule: Pass
    thresholds: Array | None
    valid: Callable[[Boxes], Mask] | None = None
    invalid: Outcome = Outcome.SCORED
    absent: Outcome = Outcome.SCORED

    @property
    def points(self) -> int:
        """The length of the curve."""
        return 1 if self.thresholds is None else len(self.thresholds)

    def rates(self, pairs: Pairs, run: Owners, runs: int) -> tuple[Array, Array]:
        """Measures all frames of all runs at once.

        Args:
            pairs: the rows of all runs, one after another.
            run: for each row the number of its run.
            runs: `R`, how many there are.

        Returns:
            For each run its curve `R×T`, `nan` where no frame counts, and the number of frames that it is divided by.
        """
        outcome = self._outcomes(pairs)
        with np.errstate(over="ignore", invalid="ignore"):
            values = metrics.best_of([self.value(pairs.boxes, truth) for truth in pairs.truths], self.rule)
        kept = (outcome == int(Outcome.SCORED)) & ~np.isnan(values)
        if self.thresholds is None:
            total = np.bincount(run[kept], values[kept], runs)[:, None]
        else:
            hits = np.bincount(run[outcome == int(Outcome.HIT)], minlength=runs)[:, None]
            total = metrics.passing_by(run[kept], runs, values[kept], self.thresholds, self.rule) + hits
        frames = np.bincount(run[outcome != int(Outcome.EXCLUDED)], minlength=runs).astype(np.float64)
        with np.errstate(invalid="ignore"):
            return total / frames[:, None], frames

    def _outcomes(self, pairs: Pairs) -> npt.NDArray[np.int8]:
        outcome = np.full(len(pairs.boxes), Outcome.SCORED, np.int8)
        if self.valid is not None:
            outcome[~self.valid(pairs.truths[0])] = self.invalid
        if self.absent is not Outcome.SCORED and pairs.absent is not None:
            outcome[pairs.absent] = self.absent
        outcome[~pairs.there & (outcome != Outcome.EXCLUDED)] = Outcome.MISS
        return outcome


@dataclass(frozen=True)
class Reading:
    """A score that is read off a curve.

    Attributes:
        key: such as `SR`.
        measure: the curve's key.
        of: takes curves `…×T`, gives values `…`.
    """

    key: str
    measure: str
    of: Callable[[Array], npt.NDArray[np.floating[Any]]]

    def __call__(self, curves: Array) -> Array:
        """Reads it off curves `…×T`."""
        return np.asarray(self.of(curves), np.float64)


class Average(Enum):
    """How the curves of sequences become one."""

    SEQUENCES = "each sequence counts once"
    LIVE_SEQUENCES = "each sequence counts once, those whose curve is zero throughout not at all"
    FRAMES = "each frame counts once"


@dataclass(frozen=True)
class Pairs:
    """Rows of a run beside the truth, as a convention compares them.

    Attributes:
        boxes: `N×4`.
        truths: one or more `N×4`; a frame is scored against the best.
        absent: `N` by the benchmark's labels, where it has any.
        there: `N`, false where the run has no row.
    """

    boxes: Boxes
    truths: tuple[Boxes, ...]
    absent: Mask | None
    there: Mask

    @classmethod
    def joined(cls, pairs: Sequence[Pairs]) -> Pairs:
        """The rows of all of them one after another; where one has fewer truths, its last one is repeated."""
        depth = max(len(each.truths) for each in pairs)
        truths = ([each.truths[min(place, len(each.truths) - 1)] for each in pairs] for place in range(depth))
        labelled = any(each.absent is not None for each in pairs)
        absent = [np.zeros(len(each.boxes), bool) if each.absent is None else each.absent for each in pairs]
        return cls(
            boxes=_stacked([each.boxes for each in pairs]),
            truths=tuple(_stacked(boxes) for boxes in truths),
            absent=np.concatenate(absent) if labelled else None,
            there=np.concatenate([each.there for each in pairs]),
        )

    def rows(self, rows: slice) -> Pairs:
        """Some of them."""
        return Pairs(
            boxes=self.boxes[rows],
            truths=tuple(truth[rows] for truth in self.truths),
            absent=None if self.absent is None else self.absent[rows],
            there=self.there[rows],
        )


@dataclass(frozen=True, eq=False)
class OnePass(Protocol):
    """A convention of one-pass evaluation.

    Attributes:
        name: by which `--convention` knows it.
        says: whose convention, and what is peculiar to it.
        measures: the curves.
        readings: the scores, the first one ranks trackers.
        columns: how files become boxes.
        rows: which rows are replaced or mended.
        average: how sequences become one curve.
        both: whether a frame is scored against the better of two ground truths, where there are two.
        keys: those of the readings.
    """

    name: str
    says: str
    measures: tuple[Measure, ...]
    readings: tuple[Reading, ...]
    columns: Columns = field(default_factory=Columns)
    rows: Rows = field(default_factory=Rows)
    average: Average = Average.SEQUENCES
    both: bool = False
    keys: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "keys", tuple(reading.key for reading in self.readings))

    def tally(self, truths: Sequence[Truth], runs: Sequence[Sequence[Run]]) -> Tally:
        """Measures a tracker on sequences; the curves of several runs of one are averaged.

        Args:
            truths: `S` sequences.
            runs: for each, one run or more.

        Returns:
            For each measure its curves `S×T`, under its key, and its divisors `S`, under its key and `frames`.
        """
        pairs = [self.pairs(truth, run) for truth, several in zip(truths, runs, strict=True) for run in several]
        if not pairs:
            return Tally(
                (),
                {each.key: np.empty((0, each.points)) for each in self.measures}
                | {f"{each.key} frames": np.empty(0) for each in self.measures},
            )
        run = np.repeat(np.arange(len(pairs)), [len(each.boxes) for each in pairs])
        joined, counts = Pairs.joined(pairs), np.array([len(several) for several in runs])
        parts: dict[str, Array] = {}
        for measure in self.measures:
            rates, frames = measure.rates(joined, run, len(pairs))
            parts[measure.key] = _mean_of_runs(rates, counts)
            parts[f"{measure.key} frames"] = _mean_of_runs(frames, counts)
        return Tally(tuple(truth.name for truth in truths), parts)

    def scores(self, tally: Tally, weights: Array | None = None) -> dict[str, Array]:
        """The scores in [0, 1] over all sequences.

        Args:
            tally: of this protocol.
            weights: `B×S` how often each sequence counts in each of `B` draws; once each by default.

        Returns:
            For each of `keys` an array of shape `B`, or of shape `()` without weights; `nan` where nothing counts.
        """
        shares = np.ones(len(tally.names)) if weights is None else weights
        curves = {measure.key: self._mean(tally, measure.key, shares) for measure in self.measures}
        return {reading.key: reading(curves[reading.measure]) for reading in self.readings}

    def by_sequence(self, tally: Tally) -> dict[str, Array]:
        """For each of `keys`, `S` values; `nan` where no frame of a sequence counts."""
        return {reading.key: reading(tally.parts[reading.measure]) for reading in self.readings}

    def curves(self, tally: Tally) -> tuple[Curve, ...]:
        """The lines to plot: success, precision and, where it is scored, normalised precision."""
        shares = np.ones(len(tally.names))
        return tuple(
            Curve(
                *_PLOTS[measure.key],
                x=measure.thresholds,
                y=self._mean(tally, measure.key, shares),
                score=next(reading.key for reading in self.readings if reading.measure == measure.key),
            )
            for measure in self.measures
            if measure.thresholds is not None
        )

    def pairs(self, truth: Truth, run: Run) -> Pairs:
        """Puts a run's rows beside the truth as this convention wants them."""
        both = (truth.boxes, truth.second) if self.both and truth.second is not None else (truth.boxes,)
        truths = tuple(self.columns.truth(boxes) for boxes in both)
        rows = self._mended(self.columns.boxes(annotated(run, truth).values, run.form), truths[0])
        zeros = self.rows.unequal is Unequal.ZEROS
        boxes = np.full(truths[0].shape, 0 if zeros else np.nan, rows.dtype, "F")
        boxes[: len(rows)] = rows
        there = (np.arange(len(boxes)) < len(rows)) | zeros
        start = 1 if self.rows.first is First.DROPPED else 0
        end = len(rows) if self.rows.unequal is Unequal.SHORTER else None
        return Pairs(boxes, truths, truth.absent, there).rows(slice(start, end))

    def _mended(self, rows: Boxes, truth: Boxes) -> Boxes:
        """The rows for which there is truth, the first one replaced and invalid ones mended."""
        rows = rows[: len(truth)].copy("K")
        if self.rows.first is First.REPLACED_EARLY:
            rows[:1] = truth[:1]
        if self.rows.repair is not None:
            rows = self.rows.repair(rows, truth[: len(rows)])
        if self.rows.first is First.REPLACED:
            rows[:1] = truth[:1]
        return rows

    def _mean(self, tally: Tally, key: str, weights: Array) -> Array:
        """The curve over all sequences, `…×T` for weights `…×S`."""
        rates, frames = tally.parts[key], tally.parts[f"{key} frames"]
        share = frames if self.average is Average.FRAMES else frames > 0
        if self.average is Average.LIVE_SEQUENCES:
            share = share & (rates.sum(1) > np.finfo(float).eps)
        shares = weights * share
        with np.errstate(invalid="ignore"):
            return np.asarray(shares @ np.nan_to_num(rates) / shares.sum(-1, keepdims=True))


_PLOTS = {
    "success": ("success", "Success", "Overlap threshold", "Success rate"),
    "precision": ("precision", "Precision", "Centre error threshold in pixels", "Precision"),
    "normalized-precision": (
        "normalized-precision",
        "Normalised precision",
        "Centre error threshold in sizes of the target",
        "Normalised precision",
    ),
}


def _stacked(boxes: Sequence[Boxes]) -> Boxes:
    """Joins boxes, column by column in memory."""
    return np.concatenate([each.T for each in boxes], axis=1).T


def _mean_of_runs(values: Array, counts: Owners) -> Array:
    """Means over the runs of each sequence: from `R×…` to `S×…`, where `counts` says how many are whose."""
    if (counts == 1).all():
        return values
    return np.array([part.mean(0) for part in np.split(values, np.cumsum(counts)[:-1])])
