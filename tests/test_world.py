"""Scenes are exact and repeatable: geometry, boxes, labels and sentences."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tectum.errors import UnknownNameError
from tectum.frames import Modality
from tectum.geometry import Image
from tectum.world import Plan, Scene
from tectum.world.actors import Actor
from tectum.world.affine import composed, moved, turned
from tectum.world.camera import Camera
from tectum.world.labels import LABELS, state
from tectum.world.language import Facts, FirstFrame, sentence
from tectum.world.motion import Wave, still
from tectum.world.outlines import Outline, Part, block
from tectum.world.plan import PLACES
from tectum.world.script import Script
from tectum.world.staging import written

SMALL = (160, 120)
EVERY = frozenset(Modality)
BUSY = Plan(alike=2, strangers=2, occluders=2, camera=0.8)


def test_the_same_seed_gives_the_same_pixels_in_any_order() -> None:
    first, second = (Scene.random(7, 4, SMALL, EVERY, plan=BUSY) for _ in range(2))
    read = list(first)
    for index in (3, 0, 2):
        again = second.frame(index)
        for sense, image in read[index].images.items():
            np.testing.assert_array_equal(image, again.images[sense], sense)
    np.testing.assert_array_equal(first.boxes, second.boxes)
    assert first.text == second.text
    other = Scene.random(8, 1, SMALL, frozenset({Modality.RGB}), plan=BUSY).frame(0)
    assert not np.array_equal(read[0].images[Modality.RGB], other.images[Modality.RGB])


def test_a_scene_is_a_recording_with_annotations() -> None:
    scene = Scene.random(1, 3, SMALL, frozenset({Modality.THERMAL, Modality.RGB}))
    assert (scene.name, scene.length, scene.size) == ("scene-1", 3, SMALL)
    frames = list(scene)
    assert [frame.index for frame in frames] == [0, 1, 2]
    assert frames[2].timestamp == pytest.approx(2 / 30)
    assert all(frame.size == SMALL and list(frame.images) == [Modality.RGB, Modality.THERMAL] for frame in frames)
    sequence = scene.sequence
    assert sequence.boxes.shape == (3, 4)
    assert sequence.text == scene.text
    assert sequence.attributes <= {*LABELS, "NO"}


def test_a_scene_needs_a_sense() -> None:
    with pytest.raises(UnknownNameError, match="rgb"):
        Scene.random(1, senses=frozenset())


def test_real_pictures_give_backdrops_and_surfaces() -> None:
    blue = np.zeros((90, 120, 3), np.uint8)
    blue[..., 2] = 220
    image = pixels(Scene.random(2, 2, SMALL, pictures=[blue], plan=Plan(strangers=0, alike=0)), Modality.RGB)
    red, _, blueness = (float(np.median(image[..., channel])) for channel in range(3))
    assert blueness > 120
    assert red < 40


def pixels(scene: Scene, sense: Modality, index: int = 0) -> Image:
    image = scene.frame(index).images[sense]
    assert image is not None
    return image


@settings(max_examples=40, deadline=None)
@given(
    time=st.floats(0, 50),
    inverse=st.floats(0.02, 1.0),
    x=st.floats(0, 480),
    seed=st.integers(0, 1000),
)
def test_what_stands_on_the_ground_moves_with_it(time: float, inverse: float, x: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    waves = [Wave.random(rng, 0, reach, 0.1) for reach in (30.0, 20.0, 0.5, 0.2, 0.1)]
    camera = Camera((480, 360), 400, 1.6, 150, *waves)
    feet = np.array([[x, camera.row_of_ground(inverse)]])
    np.testing.assert_allclose(
        moved(camera.view(time, inverse), feet), moved(camera.view_of_ground(time), feet), atol=1e-6
    )
    assert camera.inverse_of_ground(float(feet[0, 1])) == pytest.approx(inverse)


def test_near_things_move_more_than_far_ones_as_the_camera_shifts() -> None:
    camera = Camera((480, 360), 400, 1.6, 150, shift=still(0.1))
    ways = [float((camera.view(0, inverse) @ [240, 180, 1])[0] - 240) for inverse in (0.0, 0.1, 0.5)]
    assert ways == pytest.approx([0, -4, -20])


def test_turning_about_a_pivot_keeps_it() -> None:
    turn = turned(0.7, (3.0, -2.0), 1.5, 0.5)
    np.testing.assert_allclose(moved(turn, np.array([[3.0, -2.0]])), [[3.0, -2.0]])
    back = turned(-0.7, (3.0, -2.0))
    np.testing.assert_allclose(composed(back, turned(0.7, (3.0, -2.0))), [[1, 0, 0], [0, 1, 0]], atol=1e-12)


@pytest.mark.parametrize("place", PLACES)
def test_boxes_are_the_extent_of_what_is_seen(place: str) -> None:
    painter = Scene(written(3, replace(BUSY, place=place, leaves=True), 90, SMALL)).painter
    for time in range(0, 90, 9):
        cover, now = painter.paint(time, (), cover=True).cover, state(painter, time)
        assert cover is not None
        rows, columns = np.nonzero(cover > 127)
        if now.box is None:
            assert now.seen * now.inside < 0.06 or len(rows) < 4
        else:
            low, high = (columns.min(), rows.min()), (columns.max() + 1, rows.max() + 1)
            np.testing.assert_array_equal(now.box, [*low, *np.subtract(high, low)])


@pytest.mark.parametrize("seed", range(6))
def test_the_target_is_shown_clearly_in_the_first_frame(seed: int) -> None:
    first = state(Scene(written(seed, Plan.random(seed), 30, SMALL)).painter, 0)
    assert first.seen > 0.85
    assert first.inside > 0.99
    assert first.box is not None


def test_a_leaving_target_has_no_box_until_it_comes_back() -> None:
    scene = Scene(written(5, Plan(leaves=True, occluders=0, kind="car", camera=0.0), 100, (96, 72)))
    absent = np.isnan(scene.boxes[:, 0])
    gone = np.flatnonzero(absent)
    assert gone[0] > 0
    assert gone[-1] < 99
    clear = (scene.truth.seen > 0.9) & (np.abs(scene.truth.inside - 0.05) > 0.04)
    np.testing.assert_array_equal(absent[clear], label(scene, "OV")[clear])
    assert {"OV", "NO"} & scene.attributes == {"OV", "NO"} - ({"NO"} if label(scene, "PO").any() else set())


def label(scene: Scene, name: str) -> npt.NDArray[np.bool_]:
    return np.asarray(scene.labels[:, LABELS.index(name)])


def test_labels_follow_from_boxes_where_papers_say_how() -> None:
    scene = Scene(written(11, Plan(kind="person", fast=True, scaling=True, occluders=0, alike=0, strangers=0), 30))
    boxes, seen = scene.boxes, np.isfinite(scene.boxes[:, 0]) & (scene.truth.inside > 0.999)
    area, aspect = boxes[:, 2] * boxes[:, 3], boxes[:, 2] / boxes[:, 3]
    outside = {"SV": area / area[0], "ARC": aspect / aspect[0]}
    for name, ratio in outside.items():
        np.testing.assert_array_equal(label(scene, name)[seen], ((ratio < 0.5) | (ratio > 2))[seen], name)
    np.testing.assert_array_equal(label(scene, "LR")[seen], (area < 400)[seen])
    moves = np.hypot(*np.diff(boxes[:, :2] + boxes[:, 2:] / 2, axis=0).T)
    steady = seen[1:] & seen[:-1] & (np.abs(moves - 20) > 6)
    assert steady.sum() > 15
    np.testing.assert_array_equal(label(scene, "FM")[1:][steady], (moves > 20)[steady])


def test_hidden_targets_are_labelled_and_lose_their_box() -> None:
    script = written(4, Plan(kind="car", alike=0, strangers=0, occluders=0, camera=0.0), 1, SMALL)
    script = replace(script, props=())
    left, top, right, bottom = script.target.span(0, script.camera)
    middle, whole = (left + right) / 2, Scene(script)
    walls = (wall(script, first, top, right, bottom) for first in (left, middle))
    hidden, half = (Scene(replace(script, props=(each,))) for each in walls)
    assert hidden.truth.seen[0] < 0.01
    assert np.isnan(hidden.boxes).all()
    assert label(hidden, "FO").all()
    assert 0.3 < half.truth.seen[0] < 0.7
    assert label(half, "PO").all()
    assert "NO" in whole.attributes
    assert "NO" not in half.attributes
    assert half.boxes[0, 2] == pytest.approx(whole.boxes[0, 2] / 2, abs=1.5)


def wall(script: Script, left: float, top: float, right: float, bottom: float) -> Actor:
    """Something flat before a part of the view, nearer than the target."""
    half, tall = (right - left) / 2 + 2, bottom - top + 4
    outline = Outline("wall", (Part(block(-half / tall, -1, half / tall, 0)),), 0.01, (("body", "wood"),), flies=True)
    finishes = (("body", script.target.finish),)
    x, y, size = still((left + right) / 2 + 2), still(bottom + 2), still(float(np.log(tall)))
    return Actor("wall", outline, finishes, x, y, size, yaw=still(0.0))


@pytest.mark.parametrize("seed", range(10))
def test_sentences_name_the_target_alone_and_say_no_more_than_needed(seed: int) -> None:
    plan = replace(Plan.random(seed), alike=4, twins=(seed % 3) / 2, strangers=3)
    script = written(seed, plan, 10, SMALL)
    first, said = FirstFrame(script), sentence(script).replace(",", "").split()
    known = first.facts()
    assert first.fitting(known) == [script.target]
    assert {known.kind, known.colour, known.texture, known.size} - {None} <= set(said)
    for name in ("colour", "texture", "size", "motion", "beside"):
        if known.rank is None and getattr(known, name) is not None:
            assert len(first.fitting(replace(known, **{name: None}))) > 1, name


def test_facts_are_true_of_those_that_fit_them() -> None:
    script = written(3, Plan(kind="ball", place="room", alike=0, strangers=0), 10, (480, 360))
    base = replace(script.target, x=still(240.0))
    far = replace(base, name="far", size=still(base.size.at(0) - 0.5), x=Wave(100.0, (200.0,), (0.05,), (0.0,)))
    first = FirstFrame(replace(script, target=base, others=(far,), props=()))
    assert first.fitting(Facts("ball", size="small")) == [far]
    assert first.fitting(Facts("ball", motion="moving right")) == [far]
    assert first.fitting(Facts("ball", motion="standing still")) == [base]
    assert first.fitting(Facts("ball", rank=1)) == [far]
    assert first.fitting(Facts("ball", beside=("right of", "far"))) == [base]
    assert first.fitting(Facts("ball", base.finish.colour)) == [far, base]
    assert first.fitting(Facts("dog")) == []


def test_twins_are_told_apart_by_their_place() -> None:
    script = written(2, Plan(kind="ball", place="room", alike=0, strangers=0), 10, SMALL)
    twins = tuple(replace(script.target, name=f"twin-{step}", x=still(40.0 * step)) for step in (1, 2, 3))
    target = replace(script.target, x=still(100.0))
    assert Scene(replace(script, target=target, others=twins, props=())).text == "the ball, third from the left"
