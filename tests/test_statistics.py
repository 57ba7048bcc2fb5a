from __future__ import annotations

import numpy as np
import pytest
from boards import Mean, board, numbered, tally
from hypothesis import given, settings
from hypothesis import strategies as st

from tectum.errors import TectumError
from tectum.evaluation import statistics
from tectum.evaluation.statistics import attribute_scores, bootstrap


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    generator = np.random.default_rng(0)
    held = 0
    for repetition in range(200):
        sampled = tally(generator.normal(0.5, 0.2, 40))
        interval = bootstrap(Mean(), {"a": sampled}, draws=500, seed=repetition).scores["a"]["SR"]
        held += interval.low <= 0.5 <= interval.high
    assert 180 <= held <= 198


def test_an_interval_is_as_wide_as_the_standard_error_says() -> None:
    values = np.random.default_rng(0).normal(0.5, 0.2, 400)
    interval = bootstrap(Mean(), {"a": tally(values)}).scores["a"]["SR"]
    assert interval.value == pytest.approx(values.mean())
    assert interval.half_width == pytest.approx(1.96 * values.std() / 20, rel=0.06)
    assert interval.low < interval.value < interval.high


def test_a_tracker_does_not_differ_from_itself() -> None:
    values = np.random.default_rng(1).random(40)
    (difference, _) = bootstrap(Mean(), {"a": tally(values), "b": tally(values)}).differences
    assert (difference.gap.value, difference.gap.low, difference.gap.high) == (0, 0, 0)
    assert difference.noise
    assert difference.chance == 1


def test_pairing_sees_a_gap_much_smaller_than_the_intervals_of_scores() -> None:
    generator = np.random.default_rng(2)
    values = generator.random(60)
    intervals = bootstrap(Mean(), {"a": tally(values + 0.02), "b": tally(values + generator.normal(0, 0.02, 60))})
    difference = intervals.differences[0]
    assert intervals.scores["a"]["SR"].low < intervals.scores["b"]["SR"].value
    assert not difference.noise
    assert difference.chance < 0.01
    assert difference.gap.half_width < 0.1 * intervals.scores["a"]["SR"].half_width


@settings(deadline=None, max_examples=20)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=12))
def test_the_order_of_trackers_turns_differences_round(pairs: list[tuple[float, float]]) -> None:
    first, second = (tally(np.array(values)) for values in zip(*pairs, strict=True))
    there = bootstrap(Mean(), {"a": first, "b": second}, draws=99).differences[0]
    back = bootstrap(Mean(), {"b": second, "a": first}, draws=99).differences[0]
    np.testing.assert_allclose(
        [there.gap.value, there.gap.low, there.gap.high], [-back.gap.value, -back.gap.high, -back.gap.low], atol=1e-12
    )
    assert there.chance == back.chance


def test_the_seed_decides_and_the_size_of_portions_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    tallies = {"a": tally(np.random.default_rng(3).random(50)), "b": tally(np.random.default_rng(4).random(50))}
    whole = bootstrap(Mean(), tallies, draws=200, seed=5)
    assert bootstrap(Mean(), tallies, draws=200, seed=6).scores != whole.scores
    monkeypatch.setattr(statistics, "_WEIGHTS_AT_ONCE", 50 * 7)
    portions = bootstrap(Mean(), tallies, draws=200, seed=5)
    for tracker in tallies:
        assert portions.scores[tracker]["SR"].low == pytest.approx(whole.scores[tracker]["SR"].low, abs=1e-12)


def test_trackers_are_compared_on_the_sequences_that_both_have() -> None:
    values = np.random.default_rng(8).random(30)
    few = [f"s{place}" for place in (20, 3, 11, 7, 5)]
    intervals = bootstrap(Mean(), {"all": tally(values), "few": tally(values[[20, 3, 11, 7, 5]] - 0.1, few)})
    difference = intervals.differences[0]
    assert difference.sequences == 5
    np.testing.assert_allclose([difference.gap.value, difference.gap.low, difference.gap.high], 0.1)
    assert intervals.scores["all"]["SR"].value == pytest.approx(values.mean())


def test_a_single_sequence_and_none_in_common_say_nothing_of_the_spread() -> None:
    intervals = bootstrap(Mean(), {"a": tally(np.array([0.6])), "b": tally(np.array([0.4, 0.5]), ("x", "y"))})
    assert intervals.scores["a"]["SR"].value == 0.6
    assert np.isnan(intervals.scores["a"]["SR"].low)
    difference = intervals.differences[0]
    assert difference.sequences == 0
    assert difference.noise
    assert np.isnan([difference.gap.value, difference.gap.low, difference.chance]).all()


@pytest.mark.parametrize(("draws", "confidence"), [(0, 0.95), (100, 1.0), (100, 0.0)])
def test_an_impossible_bootstrap_is_refused(draws: int, confidence: float) -> None:
    with pytest.raises(TectumError, match="at least one draw"):
        bootstrap(Mean(), {"a": tally(np.ones(3))}, draws=draws, confidence=confidence)


def test_attributes_are_scored_on_their_sequences() -> None:
    values = np.random.default_rng(9).random(12)
    held = board({"a": tally(values)}, {"NO": numbered(4), "OV": ("s7",), "HI": ("elsewhere",)})
    scores = attribute_scores(held, held.cards[0])
    assert scores["NO"]["SR"] == pytest.approx(values[:4].mean())
    assert scores["OV"]["AO"] == pytest.approx(values[7] / 2)
    assert np.isnan(scores["HI"]["SR"])
