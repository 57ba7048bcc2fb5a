"""Training pairs of the world: what each sense must show of things that are known, on every kind of device."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch

from tectum.frames import Modality
from tectum.world.pairs import Lens, Ranges, Script, Stock, build_stock, render, renderer, write_script
from tectum.world.pairs.script import Crop, Layer

SENSES = tuple(Modality)[:4]
CLEAR = Lens(light=0, colour=0, dark=0, grey=0, coarse=0, grain=0)
SIDE = 64
DARK, BRIGHT = 40, 200


@pytest.fixture(scope="module")
def stock() -> Stock:
    return build_stock(3, plates=6, things=12, plate_size=96, thing_size=48)


def flat_stock(heat: int) -> Stock:
    """A dark, far plate and a bright square, 0.5 to each side of its tile's middle, of a heat between 0 and 255."""
    plates = torch.full((1, 5, 96, 96), DARK, dtype=torch.uint8)
    things = torch.full((1, 2, 5, 64, 64), BRIGHT, dtype=torch.uint8)
    things[:, :, 3] = heat
    things[:, :, 4] = 0
    things[:, :, 4, 16:48, 16:48] = 255
    corners = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]], np.float32)
    return Stock(plates, things, np.tile(corners, (1, 2, 1, 1)), np.ones((1, 12, 12), np.float32))


def square_layer(near: float, flow: tuple[float, float], middle: float = SIDE / 2) -> Layer:
    """The square in the middle of a crop, 32 pixels wide."""
    zero, one = np.zeros(1, np.int64), np.ones((1, 4), np.float32)
    affine = np.array([[[32, 0, middle], [0, 32, SIDE / 2]]], np.float32)
    nearness, pace = np.array([near], np.float32), np.array([flow], np.float32)
    return Layer(zero, zero, affine, one, 0 * one, nearness, pace, np.ones(1, bool))


def seen(heat: int, *layers: Layer, seed: int = 0) -> dict[Modality, npt.NDArray[np.int64]]:
    """What four senses see of things before the plate."""
    window = np.array([[[2 / SIDE, 0, -1], [0, 2 / SIDE, -1]]], np.float32)
    still, box = np.zeros((1, 2), np.float32), np.full((1, 4), np.nan, np.float32)
    crop = Crop(SIDE, np.zeros(1, np.int64), window, still, layers, box)
    made = render(flat_stock(heat), Script(crop, crop), SENSES, seed, CLEAR)
    return {sense: image[0].long().numpy() for sense, image in made.search.items()}


def test_events_rise_before_a_bright_thing_and_fall_behind_it_and_a_dark_one_the_other_way() -> None:
    inner = slice(20, 44)
    for gain, sign in ((1.0, 1), (0.1, -1)):
        layer = replace(square_layer(0.9, (4, 0)), gain=np.full((1, 4), gain, np.float32))
        image = seen(DARK, layer)[Modality.EVENT]
        risen = sign * (image[inner, :, 0] - image[inner, :, 2])
        # The square spans columns 16 to 48; its left side has moved away from column 15.
        assert (risen[:, 46:48] > 100).mean() > 0.9
        assert (risen[:, 15] < -100).mean() > 0.9
        assert (np.abs(np.delete(risen, [*range(12, 18), *range(43, 51)], axis=1)) > 100).mean() < 0.05


def test_what_does_not_move_makes_hardly_any_events() -> None:
    image = seen(DARK, square_layer(0.9, (0, 0)))[Modality.EVENT]
    assert (np.abs(image[..., 0] - image[..., 2]) > 100).mean() < 0.05


def test_nearer_things_are_of_colder_colour_in_depth_and_hide_others() -> None:
    far, near = square_layer(0.5, (0, 0)), square_layer(0.9, (0, 0), middle=SIDE / 2 + 8)
    image = seen(DARK, far, near)[Modality.DEPTH]
    plate, behind, before = (
        np.median(image[24:40, columns], axis=(0, 1)) for columns in (slice(2, 12), slice(18, 22), slice(30, 54))
    )
    scale = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_JET)[:, 0, ::-1].astype(int)
    far_of = [np.abs(scale - colour).sum(axis=1).argmin() for colour in (plate, behind, before)]
    assert far_of[0] > far_of[1] > far_of[2]


def test_a_thing_as_warm_as_what_is_behind_it_is_lost_to_the_thermal_camera_alone() -> None:
    same, warmer = seen(DARK, square_layer(0.9, (0, 0))), seen(BRIGHT, square_layer(0.9, (0, 0)))
    assert np.ptp(same[Modality.THERMAL]) <= 1
    assert np.ptp(warmer[Modality.THERMAL]) > 50
    assert np.ptp(same[Modality.RGB]) > 100


def test_boxes_bound_the_targets() -> None:
    ranges = Ranges(region=0, absent=0, hidden=0, loose=0)
    flat = flat_stock(BRIGHT)
    script = write_script(np.random.default_rng(5), flat, 24, (64, 128), ranges=ranges)
    for crop in (script.template, script.search):
        alone = replace(crop, layers=(crop.layers[2],))
        image = render(flat, Script(alone, alone), (Modality.RGB,), 0, CLEAR).search[Modality.RGB]
        for picture, box in zip((image.float().mean(dim=3) > (DARK + BRIGHT) / 2).numpy(), crop.boxes, strict=True):
            rows, columns = np.nonzero(picture)
            low, high = box[:2] * crop.size, (box[:2] + box[2:]) * crop.size
            shown = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            bounds = np.clip([*low, *high], 0, crop.size)
            np.testing.assert_allclose(shown, bounds, atol=2)


def test_the_same_seed_gives_the_same_pairs(stock: Stock) -> None:
    first, again, other = (
        render(stock, write_script(np.random.default_rng(seed), stock, 6, (32, 64)), SENSES, seed) for seed in (1, 1, 2)
    )
    for sense in SENSES:
        assert torch.equal(first.template[sense], again.template[sense])
        assert torch.equal(first.search[sense], again.search[sense])
        assert not torch.equal(first.search[sense], other.search[sense])


def test_devices_without_a_cache_see_the_same(stock: Stock, monkeypatch: pytest.MonkeyPatch) -> None:
    script = write_script(np.random.default_rng(1), stock, 12, (32, 64))
    by_patches = render(stock, script, SENSES, 7)
    monkeypatch.setattr(renderer, "CACHED", frozenset())
    whole = render(stock, script, SENSES, 7)
    for sense in SENSES:
        difference = (by_patches.search[sense].int() - whole.search[sense].int()).abs()
        # Rounding moves a level here and there, and with it an event or a step of depth.
        assert (difference > 1).float().mean() < 1e-3


def test_no_value_comes_back_from_the_device(stock: Stock) -> None:
    script = write_script(np.random.default_rng(1), stock, 3, (32, 64))
    made = render(stock.to("meta"), script, SENSES, 7)
    assert {image.device.type for image in made.search.values()} == {"meta"}
    assert made.search[Modality.EVENT].shape == (3, 64, 64, 3)
