"""Intervals of differences against closed forms, and against the truth in simulations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from boards import Mean, numbered, tally

from tectum.ablation.statistics import difference, spread
from tectum.evaluation.protocol import Tally
from tectum.evaluation.statistics import bootstrap

NAMES = ("new", "old")
HARD = np.linspace(0.3, 0.7, 25)


def shifted(*shifts: float) -> dict[int, Tally]:
    """The same on all sequences, shifted with each seed."""
    return {seed: tally(HARD + shift) for seed, shift in enumerate(shifts)}


def test_the_spread_is_over_seeds() -> None:
    found = spread(Mean(), "SR", shifted(0.0, 0.01, 0.05))
    assert found.mean == pytest.approx(0.52)
    assert found.deviation == pytest.approx(np.std([0, 0.01, 0.05], ddof=1))
    assert math.isnan(spread(Mean(), "SR", shifted(0.1)).deviation)


def test_seeds_alone_give_the_paired_t_interval() -> None:
    found = difference(Mean(), "SR", NAMES, shifted(0.02, 0.05, 0.05), shifted(0.0, 0.01, 0.0), draws=40_000)
    gaps = np.array([0.02, 0.04, 0.05])
    half = 4.303 * gaps.std(ddof=1) / math.sqrt(3)
    assert found.gap.value == pytest.approx(gaps.mean())
    assert found.gap.low == pytest.approx(gaps.mean() - half, abs=0.03 * half)
    assert found.gap.high == pytest.approx(gaps.mean() + half, abs=0.03 * half)
    assert found.noise


def test_sequences_alone_give_the_bootstrap_over_sequences() -> None:
    rng = np.random.default_rng(3)
    old, new = HARD, HARD + rng.normal(0.02, 0.03, 25)
    found = difference(
        Mean(), "SR", NAMES, {1: tally(new), 2: tally(new)}, {1: tally(old), 2: tally(old)}, draws=20_000
    )
    (known,) = (
        each
        for each in bootstrap(Mean(), {"new": tally(new), "old": tally(old)}, 20_000).differences
        if each.key == "SR"
    )
    assert found.gap.value == pytest.approx(known.gap.value)
    assert found.gap.low == pytest.approx(known.gap.low, abs=5e-4)
    assert found.gap.high == pytest.approx(known.gap.high, abs=5e-4)
    one = difference(Mean(), "SR", NAMES, {1: tally(new)}, {1: tally(old)}, draws=20_000)
    assert one.gap.low == pytest.approx(known.gap.low, abs=5e-4)


def test_only_what_both_have_is_compared() -> None:
    ours, theirs = shifted(0.1, 0.1, 0.1), shifted(0.0, 0.0)
    theirs[1] = theirs[1].of(numbered(20))
    found = difference(Mean(), "SR", NAMES, ours, theirs)
    assert found.sequences == 20
    assert found.gap.value == pytest.approx(0.1)
    assert not found.noise
    nothing = difference(Mean(), "SR", NAMES, ours, {7: ours[0]})
    assert math.isnan(nothing.gap.value)


def test_one_seed_and_one_sequence_tell_no_interval() -> None:
    found = difference(Mean(), "SR", NAMES, {1: tally(np.array([0.6]))}, {1: tally(np.array([0.5]))})
    assert found.gap.value == pytest.approx(0.1)
    assert math.isnan(found.gap.low)
    assert found.noise


@pytest.mark.parametrize(("by_seed", "by_sequence", "by_both"), [(0.03, 0.001, 0.001), (0.02, 0.08, 0.0), (0, 0.06, 0)])
def test_intervals_hold_the_truth_about_as_often_as_they_say(
    by_seed: float, by_sequence: float, by_both: float
) -> None:
    rng, held, trials = np.random.default_rng(5), 0, 150
    for _ in range(trials):
        gaps = 0.01 + rng.normal(0, by_seed, (3, 1)) + rng.normal(0, by_sequence, 20) + rng.normal(0, by_both, (3, 20))
        ours = {seed: tally(0.5 + row) for seed, row in enumerate(gaps)}
        theirs = {seed: tally(np.full(20, 0.5)) for seed in range(3)}
        gap = difference(Mean(), "SR", NAMES, ours, theirs, draws=400).gap
        held += gap.low <= 0.01 <= gap.high
    assert 0.89 <= held / trials <= 0.995
