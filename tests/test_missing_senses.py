"""Senses that drop out in mid-sequence and return: what is tracked meanwhile, and how a run asks for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import tectum
from tectum.benchmarks import find
from tectum.cli.evaluate import _senses, _weights
from tectum.cli.main import app
from tectum.errors import MissingModalityError, SourceError, UnknownNameError
from tectum.evaluation.drops import Drop, Dropped, RandomShare, Span
from tectum.evaluation.jobs import Job
from tectum.evaluation.lockstep import Setup, Worker
from tectum.evaluation.passes import Finished, Pass
from tectum.frames import Frame, Modality, Track
from tectum.systems.base import System
from tectum.systems.catalogue import SYSTEMS, build
from tectum.systems.ostrack import OSTrack
from tectum.tracking.session import Tracker
from tectum.weights import origins
from tests.test_evaluate import Walks, boxes
from tests.test_evaluate import tracker as brightness
from tests.test_evaluate_cli import tectum_evaluate

RGB, THERMAL = Modality.RGB, Modality.THERMAL
FRAMES = 12
DROPPED = range(4, 8)
DRAWN = [2, 3, 6, 7, 10, 11]
"""Half of the frames of a sequence called bus, as RGB loses them."""

SMALL = [
    preset
    for system in SYSTEMS
    if system is not OSTrack
    for preset in system.presets()
    if preset == "nano" or preset.endswith("-tiny")
]
"""Every system that takes two senses, at its smallest."""


@dataclass(frozen=True)
class Walk:
    """A square that walks three pixels a frame and looks different in each sense."""

    name: str = "walk"
    senses: frozenset[Modality] = frozenset({RGB, THERMAL})
    length: int | None = FRAMES

    def __iter__(self) -> Iterator[Frame]:
        for index in range(FRAMES):
            yield Frame({sense: picture(sense, index) for sense in self.senses}, index)


def picture(sense: Modality, index: int) -> np.ndarray:
    drawn = np.random.default_rng(tuple(Modality).index(sense))
    image = cv2.resize(drawn.integers(0, 120, (9, 12, 3), np.uint8), (128, 96))
    x = 30 + 3 * index
    image[40:60, x : x + 20] = drawn.integers(150, 255, 3)
    return image


@cache
def system(preset: str) -> System:
    """Without training, but for random changes: otherwise, many begin by hardly heeding their second sense."""
    torch.manual_seed(0)
    built = build(preset, THERMAL)
    with torch.no_grad():
        for group in built.trainable():
            for parameter in group.parameters:
                parameter.add_(torch.randn_like(parameter), alpha=0.05)
    return built


def tracked(preset: str, drops: tuple[Drop, ...] = (), missing: str = "copy") -> Track:
    return tectum.track(Tracker(system(preset), missing=missing), Dropped(Walk(), drops), box=(30, 40, 20, 20))


@cache
def undisturbed(preset: str) -> Track:
    return tracked(preset)


@pytest.mark.parametrize("missing", ["copy", "zero"])
@pytest.mark.parametrize("sense", [RGB, THERMAL])
@pytest.mark.parametrize("preset", SMALL)
def test_a_sense_drops_out_and_returns(preset: str, sense: Modality, missing: str) -> None:
    whole, track = undisturbed(preset), tracked(preset, (Drop(sense, Span(4 / 12, 8 / 12)),), missing)
    assert len(track.estimates) == FRAMES
    assert np.isfinite(track.boxes).all()
    assert (track.boxes[:, 2:] > 0).all()
    assert track.estimates[:4] == whole.estimates[:4]
    assert [index for index, each in enumerate(track.estimates) if each.missing] == list(DROPPED)
    assert {each.missing for each in track.estimates[4:8]} == {frozenset({sense})}
    assert all(track.scores[index] not in (0, whole.scores[index]) for index in DROPPED)


def test_every_system_of_two_senses_is_among_them() -> None:
    assert {type(system(preset)) for preset in SMALL} == set(SYSTEMS) - {OSTrack}
    assert all({RGB, THERMAL} <= system(preset).senses for preset in SMALL)


@pytest.mark.parametrize("sense", [RGB, THERMAL])
def test_the_policy_stop_says_which_sense_is_gone_and_why(sense: Modality) -> None:
    told = f"Frame 4 lacks {sense}, and the policy for missing senses is 'stop': .* The drop that was asked for hides"
    with pytest.raises(MissingModalityError, match=told):
        tracked("nano", (Drop(sense, Span(4 / 12)),), "stop")


def test_a_target_stays_where_it_was_while_no_sense_is_left() -> None:
    track = tracked("nano", (Drop(RGB, Span(4 / 12, 8 / 12)), Drop(THERMAL, Span(5 / 12, 7 / 12))))
    assert track.estimates[5].box == track.estimates[6].box == track.estimates[4].box
    assert [track.scores[index] == 0 for index in range(4, 8)] == [False, True, True, False]


def test_a_drop_is_read_and_written() -> None:
    assert Drop.of("thermal") == Drop.of("thermal=0-1") == Drop(THERMAL)
    assert Drop.of("RGB=.25-0.5") == Drop(RGB, Span(0.25, 0.5))
    assert Drop.of("thermal=0.50", seed=7) == Drop(THERMAL, RandomShare(0.5, 7))
    for text in ("thermal", "rgb=0.25-0.5", "thermal=0.8"):
        assert str(Drop.of(text)) == text
    impossible = ("=half", "=", "=0.5-", "=1-0.5", "=0-2", "=nan-1", "=0", "=1", "=nan", ":0.5-1")
    for wrong in (*(f"thermal{each}" for each in impossible), "heat=0.5"):
        with pytest.raises(UnknownNameError):
            Drop.of(wrong)


def test_neighbouring_parts_share_no_frame_and_leave_none() -> None:
    parts = [Span(begin / 10, (begin + 1) / 10) for begin in range(10)]
    for length in (30, 97, 1000):
        assert sorted(place for part in parts for place in part.places(length)) == list(range(length))


def test_exactly_the_share_is_drawn_of_the_frames_from_the_start_on() -> None:
    for length, start in ((2, 0), (12, 0), (100, 0), (1001, 40)):
        for share in (0.01, 0.5, 0.8, 0.999):
            places = RandomShare(share).places("bus", length, start)
            assert len(places) == min(round(share * (length - start)), length - start - 1)
            assert places <= set(range(start + 1, length))


def test_the_draw_depends_on_the_sequence_and_the_seed_alone() -> None:
    """Written down, for runs of other versions, machines and years are to be compared."""
    half, more = RandomShare(0.5).places("bus", 12), RandomShare(0.8).places("bus", 12)
    assert sorted(half) == DRAWN
    assert half < more
    others = {RandomShare(0.5, seed).places(name, 12) for seed in (1, 2) for name in ("bus", "car")}
    assert len(others) == 4
    counts = np.bincount([place for seed in range(400) for place in RandomShare(0.5, seed).places("bus", 12)])
    assert counts[0] == 0
    assert np.all(np.abs(counts[1:] - 400 * 6 / 11) < 50)  # five standard deviations of a binomial


def test_shares_of_both_senses_meet_as_seldom_as_they_can() -> None:
    rgb, thermal = (Drop(sense, RandomShare(0.6)).places("bus", 101) for sense in (RGB, THERMAL))
    assert len(rgb) == len(thermal) == 61
    assert rgb | thermal == set(range(1, 101))


def test_frames_before_the_start_are_neither_drawn_nor_counted() -> None:
    frames = list(Dropped(Walk(), (Drop(THERMAL, RandomShare(0.5)),), start=4))
    lost = [frame.index for frame in frames if frame.images[THERMAL] is None]
    assert len(lost) == 4
    assert min(lost) > 4
    assert all(frame.images[RGB] is not None for frame in frames)


def test_what_cannot_be_dropped_is_told() -> None:
    with pytest.raises(SourceError, match=r"walk has no depth that could be dropped: .*\(rgb, thermal\)"):
        Dropped(Walk(), (Drop(Modality.DEPTH),))
    with pytest.raises(SourceError, match="length is not known"):
        Dropped(Walk(length=None), (Drop(RGB),))
    with pytest.raises(SourceError, match="cannot start at frame 0"):
        tracked("nano", (Drop(RGB), Drop(THERMAL)))


def test_shares_are_of_the_frames_in_the_order_played() -> None:
    """As anchored runs play them backwards; the given drops cause no warning, and other gaps do."""
    benchmark = Walks.of({"dog": 12}, blind={"dog": 1})
    job = Job("dog", "dog", tectum.Box.of(boxes(12)[9]), 0, 10, range(9, -1, -1))

    def done(*drops: Drop) -> Pass:
        worker = Worker(Setup(lambda: brightness("zero"), benchmark, Path(), 1, drops))
        events = worker.work([job])
        while not isinstance(events[-1], Finished):
            events = worker.work([])
        return events[-1].result

    whole, half = done(), done(Drop(THERMAL, Span(0.5)))
    changed = half.confidences != whole.confidences
    assert np.flatnonzero(changed).tolist() == [5, 6, 7, 8, 9]
    assert half.warnings == whole.warnings == ("dog: thermal was missing in 1 of 10 frames (first frame 1).",)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two recordings with both senses, and one in colour alone."""
    root = tmp_path_factory.mktemp("recordings")
    for name, senses in {"bus": (RGB, THERMAL), "car": (RGB, THERMAL), "grey": (RGB,)}.items():
        for sense in senses:
            (root / name / sense).mkdir(parents=True)
            for index in range(FRAMES):
                cv2.imwrite(str(root / name / sense / f"{index:02d}.png"), picture(sense, index)[..., ::-1])
        (root / name / "groundtruth.txt").write_text("".join(f"{30 + 3 * x},40,20,20\n" for x in range(FRAMES)))
    return root


@pytest.fixture(scope="module")
def whole(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that drops nothing."""
    out = tmp_path_factory.mktemp("whole")
    assert tectum_evaluate("nano", "plain", "--root", root, "--out", out, "--no-score").exit_code == 0
    return out


def test_a_run_hides_a_sense_from_the_tracker(root: Path, whole: Path, tmp_path: Path) -> None:
    half = tmp_path / "half"
    result = tectum_evaluate("nano", "plain", "--root", root, "--out", half, "--drop", "thermal=0.5-1")
    assert result.exit_code == 0, result.output
    assert "was missing" not in result.stderr
    assert "grey has no thermal that could be dropped" in result.stderr
    assert json.loads((half / "run.json").read_text())["config"]["drop"] == "thermal=0.5-1"
    assert not (half / "grey.txt").exists()
    for name in ("bus", "car"):
        whole_lines, half_lines = (
            [(run / f"{name}{ending}").read_text().splitlines() for ending in (".txt", "_confidence.value")]
            for run in (whole, half)
        )
        assert [lines[:6] for lines in half_lines] == [lines[:6] for lines in whole_lines]
        assert half_lines[1][6:] != whole_lines[1][6:]


def test_a_run_hides_frames_that_are_drawn(root: Path, whole: Path, tmp_path: Path) -> None:
    words = ("nano", "plain", "--root", root, "--out", tmp_path, "--no-score", "--drop", "rgb=0.5")
    result = tectum_evaluate(*words)
    assert result.exit_code == 0, result.output
    config = json.loads((tmp_path / "run.json").read_text())["config"]
    assert (config["drop"], config["drop_seed"]) == ("rgb=0.5", 1)
    ours, theirs = ((run / "bus_confidence.value").read_text().splitlines() for run in (tmp_path, whole))
    assert [line == other for line, other in zip(ours, theirs, strict=True)].index(False) == DRAWN[0]
    other = tectum_evaluate(*words, "--drop-seed", 0)
    assert other.exit_code == 2
    assert "drop seed 1 instead of 0: give another folder" in other.stderr


def test_a_run_with_a_drop_cannot_be_submitted(tmp_path: Path) -> None:
    results = tmp_path / "mine"
    results.mkdir()
    (results / "GOT-10k_Val_000001.txt").write_text("9,9,3,4\n" * 3)
    for drop, code in (("", 0), ("rgb=0.5", 2)):
        (results / "run.json").write_text(json.dumps({"config": {"drop": drop}}))
        submitted = CliRunner().invoke(app, ["submit", "got10k", str(results), str(tmp_path / f"out{code}")])
        assert submitted.exit_code == code, submitted.output
    assert "were made with --drop rgb=0.5, which no benchmark allows: submit a run without it." in submitted.stderr
    assert not (tmp_path / "out2").exists()


def test_the_folder_of_a_run_with_another_drop_is_refused(root: Path, whole: Path) -> None:
    words = ("nano", "plain", "--root", root, "--out", whole, "--no-score")
    first, second = ("--drop", "thermal=0.5-1"), ("--drop", "rgb=0-0.25")
    record = json.loads((whole / "run.json").read_text())
    older = {**record, "config": {key: value for key, value in record["config"].items() if key != "drop"}}
    # A record from before there were drops is of a run without any.
    for held in (older, record):
        (whole / "run.json").write_text(json.dumps(held))
        assert tectum_evaluate(*words).exit_code == 0
        refused = tectum_evaluate(*words, *first, *second)
        assert refused.exit_code == 2
        assert "drop none instead of rgb=0-0.25 thermal=0.5-1: give another folder" in refused.stderr
    (whole / "run.json").write_text(json.dumps({**record, "config": {**record["config"], "drop": "rgb=0-0.25"}}))
    assert "drop rgb=0-0.25 instead of thermal=0.5-1" in tectum_evaluate(*words, *first).stderr
    assert tectum_evaluate(*words, "--drop", "rgb=.00-.250").exit_code == 0
    (whole / "run.json").write_text(json.dumps(record))


def test_a_wrong_drop_is_told_before_anything_is_written(root: Path, tmp_path: Path) -> None:
    for benchmark, drop, told in (
        ("plain", "thermal=half", "'half' is neither a share nor a part of a sequence"),
        ("plain", "thermal=1", "cannot be drawn: give one above 0 and below 1"),
        ("plain", "warmth", "no sense 'warmth'"),
        ("lasher", "depth", "LasHeR has no depth that could be dropped: use one of rgb, thermal"),
    ):
        result = tectum_evaluate("nano", benchmark, "--root", root, "--out", tmp_path / "out", "--drop", drop)
        assert result.exit_code == 2, result.output
        assert told in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_run_is_recorded_with_the_weights_of_its_second_sense(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(origins, "__file__", str(tmp_path / "origins.py"))
    for sense in ("thermal", "depth"):
        (tmp_path / f"vipt-tiny-{sense}.safetensors").write_text(sense)
    assert _weights("vipt-tiny", None, "depth")[0].name == "vipt-tiny-depth.safetensors"
    assert _weights("vipt-tiny", None, None)[0].name == "vipt-tiny-thermal.safetensors"


def test_the_senses_of_a_run_are_those_of_its_split() -> None:
    bench = find("world-bench")
    for split, sense in (("rgbt", "thermal"), ("rgbd", "depth"), ("rgbe", "event")):
        assert _senses(bench, split) == ("rgb", sense)
    assert _senses(bench, "rgbl") == (RGB,)
    assert _senses(bench, None) == _senses(bench, "all") == tuple(Modality)
    assert _senses(find("depthtrack"), None) == (RGB, Modality.DEPTH)
    result = tectum_evaluate("nano", "world-bench", "--split", "rgbd", "--drop", "thermal=0.5")
    assert "world-bench has no thermal that could be dropped: use one of rgb, depth" in result.stderr
