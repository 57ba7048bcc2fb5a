"""The physics of each sense."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from tectum.frames import Modality
from tectum.sources import DepthRendering
from tectum.world import Plan, Scene
from tectum.world.depth import DepthCamera, jet
from tectum.world.events import FALL, RISE, EventCamera, Events, Pixels, accumulated
from tectum.world.labels import LABELS
from tectum.world.light import Light
from tectum.world.motion import still
from tectum.world.painting import Painter
from tectum.world.script import Crossover, Script
from tectum.world.staging import written
from tectum.world.surfaces import Plane
from tectum.world.thermal import ThermalCamera

SMALL = (160, 120)
IDEAL = EventCamera(refractory=0.0, noise=0.0)


def total(camera: EventCamera, events: Events, shape: tuple[int, int]) -> npt.NDArray[np.float64]:
    """The change of the logarithm of light that events stand for."""
    rise, fall = camera.thresholds(shape)
    signed = np.where(events["p"] == 1, rise[events["y"], events["x"]], -fall[events["y"], events["x"]])
    change = np.zeros(shape)
    np.add.at(change, (events["y"], events["x"]), signed)
    return change


def level(scene: Scene, time: float) -> npt.NDArray[np.float32]:
    """The logarithm of light at a moment, from the scene's own parts."""
    grey = scene.painter.paint(time, (Plane.GREY,)).planes[Plane.GREY]
    return IDEAL.level(scene.script.light.reaching(grey, time, scene.painter.stage_view(time), None))


def test_events_of_a_scene_integrate_to_the_change_of_light() -> None:
    script = replace(written(3, Plan(camera=0.9, alike=2), 12, SMALL), dvs=IDEAL)
    scene = Scene(script, frozenset({Modality.EVENT}))
    events = np.concatenate([scene.events(index) for index in range(12)])
    shape = (SMALL[1], SMALL[0])
    assert len(events) > 10_000
    error = np.abs(level(scene, 11) - level(scene, -1) - total(IDEAL, events, shape))
    assert (error < np.maximum(*IDEAL.thresholds(shape)) + 1e-4).all()
    assert (np.diff(events["t"].astype(np.int64)) >= 0).all()


def test_events_come_when_the_light_crosses_thresholds() -> None:
    camera = EventCamera(rise=0.25, fall=0.5, mismatch=0, refractory=0, noise=0)
    pixels = Pixels.starting(0, np.zeros((1, 2), np.float32))
    level = np.array([[1.1, -1.1]], np.float32)
    pixels, events = camera.watched(pixels, 1100, level, camera.thresholds((1, 2)))
    left, right = events[events["x"] == 0], events[events["x"] == 1]
    np.testing.assert_allclose(left["t"], [250, 500, 750, 1000], atol=1)
    np.testing.assert_allclose(right["t"], [500, 1000], atol=1)
    assert (left["p"] == 1).all()
    assert (right["p"] == 0).all()
    # What was left over counts on: a tenth more makes the next rise, but no fall.
    _, more = camera.watched(pixels, 2000, level + np.float32([[0.16, -0.16]]), camera.thresholds((1, 2)))
    assert more["x"].tolist() == [0]


def test_a_pixel_is_blind_after_an_event() -> None:
    camera = EventCamera(rise=0.1, mismatch=0, refractory=300, noise=0)
    pixels = Pixels.starting(0, np.zeros((4, 4), np.float32))
    times: list[int] = []
    for step in range(1, 9):
        level = np.full((4, 4), 0.5 * step, np.float32)
        pixels, events = camera.watched(pixels, 500.0 * step, level, camera.thresholds((4, 4)))
        times += events["t"][(events["x"] == 2) & (events["y"] == 1)].tolist()
    # A threshold takes 100 microseconds: after each event 300 of blindness and 100 of waiting.
    np.testing.assert_allclose(np.diff(times), 400, atol=1)


def test_accumulated_events_are_drawn_as_visevent_does() -> None:
    camera = EventCamera(rise=0.25, fall=0.25, mismatch=0, noise=0)
    level = np.array([[1.0, -1.0, 0.1]], np.float32)
    _, events = camera.watched(
        Pixels.starting(0, np.zeros((1, 3), np.float32)), 10_000, level, camera.thresholds((1, 3))
    )
    assert accumulated(events, (3, 1)).tolist() == [[list(RISE), list(FALL), [255, 255, 255]]]


def test_sensors_fire_by_themselves_at_their_rate() -> None:
    events = EventCamera(noise=5.0).background(0, 2e6, (50, 60), np.random.default_rng(0))
    assert len(events) == pytest.approx(5 * 2 * 50 * 60, rel=0.03)


def test_the_nearest_thing_is_the_one_that_is_seen() -> None:
    script = written(6, Plan(alike=3, twins=0.0, strangers=3, occluders=2, camera=0.5), 30, SMALL)
    scene = Scene(script)
    for time in (0, 11.5, 29):
        whole = scene.painter.paint(time, (), depth=True)
        expected = scene.painter.layers.distances(script.camera, time, 1.0)
        for actor, distance in script.in_order(time):
            alone = Scene(replace(script, target=actor, others=(), props=())).painter.paint(time, (), cover=True).cover
            assert alone is not None
            expected[alone > 127] = distance
        assert whole.depth is not None
        np.testing.assert_allclose(whole.depth, expected, rtol=1e-5)
        order = [distance for _, distance in script.in_order(time)]
        assert order == sorted(order, reverse=True)


def test_depth_steps_grow_with_the_square_of_distance() -> None:
    camera = DepthCamera(strength=40, step=0.125, noise=0, bleed=0, dropout=0, farthest=100)
    wall = np.linspace(1.0, 8.0, 4000, dtype=np.float32)[None].repeat(4, axis=0)
    measured = np.unique(camera.measured(wall, np.ones_like(wall), np.random.default_rng(0))).astype(float) / 1000
    steps, middles = np.diff(measured), (measured[1:] + measured[:-1]) / 2
    near, far = (float(np.median(steps[np.abs(middles - metres) < 0.4])) for metres in (2.0, 6.0))
    assert far / near == pytest.approx(9, rel=0.15)
    assert far == pytest.approx(36 * 0.125 / 40, rel=0.1)


def test_depth_has_holes_where_light_is_lost() -> None:
    camera = DepthCamera(strength=40, noise=0, bleed=0, dropout=0, farthest=6)
    distances = np.full((60, 80), 4.0, np.float32)
    distances[:, 30:50] = 2.0
    distances[:, 70:] = 7.0
    echo = np.ones_like(distances)
    echo[:30, 30:50] = 0.1
    measured = camera.measured(distances, echo, np.random.default_rng(0))
    assert measured.dtype == np.uint16
    assert (measured[:, 70:] == 0).all()
    assert (measured[:30, 30:50] == 0).mean() > 0.7
    assert (measured[31:, 30:50] == 2000).all()
    # The near thing hides ten pixels more from the second lens: 40 / 2 - 40 / 4.
    assert (measured[:, 20:30] == 0).all()
    assert (measured[:, 5:20] > 3900).all()


def test_borders_of_near_things_bleed() -> None:
    distances = np.full((40, 40), 4.0, np.float32)
    distances[10:30, 10:30] = 2.0
    near = []
    for bleed in (0.0, 1.0):
        camera = DepthCamera(noise=0, dropout=0, bleed=bleed)
        measured = camera.measured(distances, np.ones_like(distances), np.random.default_rng(0))
        near.append(int((measured == 2000).sum()))
    # One pixel all around, but on the left, where the second lens sees nothing.
    assert near == [20 * 20, 22 * 22 - 20]


def test_depth_is_coloured_as_the_reader_of_its_files_does() -> None:
    depth = np.random.default_rng(0).integers(0, 14_000, (50, 60)).astype(np.uint16)
    np.testing.assert_array_equal(jet(depth), DepthRendering().renderer()(depth))
    mostly_lost = np.where(np.random.default_rng(1).random((50, 60)) < 0.7, 0, depth).astype(np.uint16)
    np.testing.assert_array_equal(jet(mostly_lost), DepthRendering().renderer()(mostly_lost))


def test_thermal_crossover_lowers_contrast() -> None:
    plan = Plan(kind="person", light="night", occluders=0, alike=0, strangers=0, camera=0.0)
    script = written(3, plan, 24, (96, 72))
    behind = Scene(replace(script, target=replace(script.target, x=still(-900)))).painter
    plain, crossed = script, replace(script, crossover=Crossover(10, 30))
    before, during = ([thermal_contrast(each, behind, time) for time in (2, 20)] for each in (plain, crossed))
    assert during[0] == pytest.approx(before[0])
    assert during[1] < 0.15 * before[1]
    labels = Scene(crossed).labels[:, LABELS.index("TC")]
    assert labels[20]
    assert not labels[2]


def thermal_contrast(script: Script, behind: Painter, time: float) -> float:
    """How far the target's temperatures are from those of what is behind it."""
    canvas = Painter(script).paint(time, (Plane.HEAT,), cover=True)
    assert canvas.cover is not None
    differing = np.abs(canvas.planes[Plane.HEAT] - behind.paint(time, (Plane.HEAT,)).planes[Plane.HEAT])
    return float(differing[canvas.cover > 200].mean())


def test_a_thermal_camera_is_coarse_and_has_a_pattern_of_its_own() -> None:
    camera = ThermalCamera(shrink=2, blur=0, pattern=0.5, noise=0.05, seed=4)
    flat = np.full((120, 160), 20.0, np.float32)
    first, second = (camera.readings(flat, np.random.default_rng(seed)) for seed in (0, 1))
    assert first.shape == (60, 80)
    assert np.corrcoef(first.ravel(), second.ravel())[0, 1] > 0.95
    assert np.abs(first - second).mean() == pytest.approx(0.05 * 2 / np.sqrt(np.pi), rel=0.1)
    warm = flat.copy()
    warm[40:80, 40:80] = 34
    image = camera.image(warm, np.random.default_rng(0))
    assert image.shape == (120, 160, 3)
    assert image[50:70, 50:70].mean() > image[:20, :20].mean() + 80
    assert camera.__class__(inverted=True).image(warm, np.random.default_rng(0))[60, 60, 0] < 100


def test_fog_lowers_contrast_with_distance() -> None:
    light = Light(fog=0.1, mist=0.5)
    checks = np.tile(np.float32([[0.1, 0.6]]), (40, 20))
    depth = np.repeat(np.float32([5.0, 20.0]), 20)[:, None].repeat(40, axis=1)
    seen = light.reaching(checks, 0, np.eye(2, 3), depth)
    contrast = seen[:, 1] - seen[:, 0]
    assert contrast[0] == pytest.approx(0.5 * np.exp(-0.5), rel=1e-4)
    assert contrast[-1] == pytest.approx(0.5 * np.exp(-2.0), rel=1e-4)
    assert seen[-1, 0] > seen[0, 0]


def test_night_is_darker_than_dusk_and_dusk_than_day_but_as_warm() -> None:
    senses = frozenset({Modality.RGB, Modality.THERMAL})
    frames = [Scene(written(5, Plan(light=light), 2, SMALL), senses).frame(0) for light in ("day", "dusk", "night")]
    means = [float(np.asarray(frame.images[Modality.RGB]).mean()) for frame in frames]
    assert means[0] > 1.5 * means[1] > 2.2 * means[2]
    assert all(np.asarray(frame.images[Modality.THERMAL]).std() > 5 for frame in frames)


def test_glare_bleaches_and_a_long_exposure_blurs() -> None:
    script = written(9, Plan(kind="cyclist", camera=1.0, glare=True, fast=True), 10, SMALL)
    dark = replace(script, light=replace(script.light, glares=()))
    glaring, plain = (Scene(each).colour(5).astype(float) for each in (script, dark))
    assert glaring.max() >= plain.max()
    assert glaring.mean() > plain.mean()
    quiet = replace(script.light, glares=(), shot_noise=0.0, read_noise=0.0)
    sharp, blurred = (
        Scene(replace(script, light=replace(quiet, exposure=share))).colour(5).astype(float) for share in (0.01, 1.0)
    )
    assert np.abs(np.diff(blurred, axis=1)).mean() < np.abs(np.diff(sharp, axis=1)).mean()


def test_noise_of_light_grows_with_its_root() -> None:
    light = Light(shot_noise=1e-3, read_noise=0.0)
    numbers = np.random.default_rng(0).standard_normal((200, 200, 3)).astype(np.float32)
    deviations = [
        float((np.square(light.developed(np.full((200, 200, 3), level, np.float32), numbers) / 255.0)).std())
        for level in (0.1, 0.4)
    ]
    assert deviations[1] / deviations[0] == pytest.approx(2, rel=0.05)
    assert deviations[0] == pytest.approx(np.sqrt(1e-3 * 0.1), rel=0.05)
