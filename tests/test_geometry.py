from __future__ import annotations

import math
import tracemalloc
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tectum.errors import BoxError
from tectum.geometry import Box, Crop, centered, clip, corners, from_centered, giou, iou

WIDTH, HEIGHT = 97, 61
IMAGE = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)

places = st.floats(-60, 150, allow_nan=False)
sides = st.floats(1, 120, allow_nan=False)
boxes = st.builds(Box, places, places, sides, sides)


def reference_crop(image: npt.NDArray[np.uint8], box: Box, factor: float, size: int) -> npt.NDArray[np.uint8]:
    """The field's crop in its plainest form: black out what is lost, pad the whole frame, slice, resize.

    The published crop counts `right - width + 1` columns (rows) as outside, so a window that touches the right or
    bottom border loses the image's last column or row.
    """
    height, width = image.shape[:2]
    side = math.ceil(math.sqrt(box.w * box.h) * factor)
    left = round(box.x + 0.5 * box.w - side * 0.5)
    top = round(box.y + 0.5 * box.h - side * 0.5)
    image = image.copy()
    if left + side - width + 1 > 0:
        image[:, -1] = 0
    if top + side - height + 1 > 0:
        image[-1] = 0
    margin = side + abs(left) + abs(top) + max(width, height)
    padded = np.pad(image, ((margin, margin), (margin, margin), (0, 0)))
    window = padded[top + margin : top + margin + side, left + margin : left + margin + side]
    return np.asarray(cv2.resize(np.ascontiguousarray(window), (size, size)), np.uint8)


@pytest.mark.parametrize(
    "box",
    [
        pytest.param(Box(40, 25, 9, 7), id="inside"),
        pytest.param(Box(1, 25, 9, 7), id="left"),
        pytest.param(Box(40, 1, 9, 7), id="top"),
        pytest.param(Box(86, 25, 9, 7), id="right"),
        pytest.param(Box(40, 52, 9, 7), id="bottom"),
        pytest.param(Box(0, 0, 9, 7), id="top-left"),
        pytest.param(Box(88, 0, 9, 7), id="top-right"),
        pytest.param(Box(0, 54, 9, 7), id="bottom-left"),
        pytest.param(Box(88, 54, 9, 7), id="bottom-right"),
        pytest.param(Box(-30, -40, 200, 180), id="larger than the image"),
        pytest.param(Box(80, 22, 8, 8), id="ends one before the right border"),
        pytest.param(Box(81, 22, 8, 8), id="ends on the right border"),
        pytest.param(Box(40, 45, 8, 8), id="ends on the bottom border"),
        pytest.param(Box(300, 300, 9, 7), id="outside"),
    ],
)
@pytest.mark.parametrize(("factor", "size"), [(2.0, 32), (4.0, 64)])
def test_the_crop_equals_the_fields_crop_to_the_pixel(box: Box, factor: float, size: int) -> None:
    ours = Crop.around(box, factor, size).extract(IMAGE)
    np.testing.assert_array_equal(ours, reference_crop(IMAGE, box, factor, size))


@given(boxes, st.sampled_from([2.0, 4.0, 5.0]), st.sampled_from([16, 37]))
def test_the_crop_equals_the_fields_crop_for_any_box(box: Box, factor: float, size: int) -> None:
    ours = Crop.around(box, factor, size).extract(IMAGE)
    np.testing.assert_array_equal(ours, reference_crop(IMAGE, box, factor, size))


def test_a_window_on_the_right_border_loses_the_last_column() -> None:
    white = np.full((40, 40, 3), 255, np.uint8)
    crop = Crop(left=30, top=0, side=10, size=10).extract(white)
    assert (crop[:, -1] == 0).all()
    assert (crop[:, :-1] == 255).all()


@pytest.mark.parametrize("channels", [(), (1,), (3,)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("left", [5, -3, 500])
def test_a_crop_keeps_the_images_type_and_channels(channels: tuple[int, ...], dtype: type, left: int) -> None:
    crop = Crop(left, 4, 20, 16).extract(np.ones((50, 60, *channels), dtype))
    assert crop.shape == (16, 16, *channels)
    assert crop.dtype == dtype


@pytest.mark.parametrize("left", [1000, -10], ids=["inside", "over the border"])
def test_extracting_copies_the_window_and_never_the_image(left: int) -> None:
    image = np.zeros((2160, 3840, 3), np.uint8)
    before = image.copy()
    tracemalloc.start()
    Crop(left, 500, 64, 32).extract(image)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * 64 * 64 * 3
    np.testing.assert_array_equal(image, before)


@given(boxes, boxes, st.sampled_from([2.0, 4.0]))
def test_a_box_comes_back_out_of_the_crop(target: Box, box: Box, factor: float) -> None:
    crop = Crop.around(target, factor, 128)
    np.testing.assert_allclose(crop.out_of(crop.into(box)), box, atol=1e-9)


def test_the_target_lies_in_the_middle_of_its_crop() -> None:
    box = Box(40.3, 20.7, 10, 10)
    inside = Crop.around(box, 4, 256).into(box)
    assert inside.w == pytest.approx(64)
    np.testing.assert_allclose(inside.center, (128, 128), atol=0.5 * 256 / 40 + 1e-9)


def test_a_crop_needs_an_area() -> None:
    for w, h in [(0, 5), (-2, 5), (math.nan, 5), (math.inf, 5)]:
        with pytest.raises(BoxError, match="no area"):
            Crop.around(Box(1, 1, w, h), 2, 64)


@pytest.mark.parametrize(
    ("box", "clipped"),
    [
        (Box(20, 20, 30, 20), Box(20, 20, 30, 20)),
        (Box(-5, 20, 30, 20), Box(0, 20, 25, 20)),
        (Box(80, 50, 30, 30), Box(80, 50, 17, 11)),
        (Box(200, 200, 30, 30), Box(87, 51, 10, 10)),
        (Box(-90, -90, 30, 30), Box(0, 0, 10, 10)),
        (Box(20, 20, 2, 3), Box(20, 20, 10, 10)),
        (Box(-50, -50, 500, 500), Box(0, 0, 97, 61)),
    ],
)
def test_clipping_keeps_ten_pixels_in_the_image(box: Box, clipped: Box) -> None:
    assert clip(box, WIDTH, HEIGHT) == pytest.approx(clipped)


@given(boxes)
def test_a_clipped_box_overlaps_the_image_and_clipping_it_again_changes_nothing(box: Box) -> None:
    clipped = clip(box, WIDTH, HEIGHT)
    assert clipped.checked(WIDTH, HEIGHT) == clipped
    assert min(clipped.w, clipped.h) >= 10 - 1e-9
    assert clip(clipped, WIDTH, HEIGHT) == pytest.approx(clipped)


@pytest.mark.parametrize(
    ("first", "second", "overlap", "generalised"),
    [
        ((0, 0, 10, 10), (0, 0, 10, 10), 1, 1),
        ((0, 0, 10, 10), (5, 0, 10, 10), 1 / 3, 1 / 3),
        ((0, 0, 10, 10), (5, 5, 10, 10), 1 / 7, 1 / 7 - 50 / 225),
        ((0, 0, 10, 10), (20, 0, 10, 10), 0, -1 / 3),
        ((0, 0, 10, 10), (2, 2, 5, 5), 0.25, 0.25),
        ((3, 3, 0, 0), (3, 3, 0, 0), 0, -1),
    ],
)
def test_overlaps_have_their_closed_forms(
    first: tuple[float, ...], second: tuple[float, ...], overlap: float, generalised: float
) -> None:
    a, b = np.array(first, float), np.array(second, float)
    assert iou(a, b) == pytest.approx(overlap)
    if a[2] > 0:
        assert giou(a, b) == pytest.approx(generalised)
    assert np.isnan(iou(np.full(4, np.nan), b))


@given(st.lists(st.tuples(boxes, boxes), min_size=1, max_size=8))
def test_torch_and_numpy_agree(pairs: list[tuple[Box, Box]]) -> None:
    a, b = np.array([pair[0] for pair in pairs]), np.array([pair[1] for pair in pairs])
    for function in (iou, giou):
        ours = function(a, b)
        np.testing.assert_allclose(function(torch.tensor(a), torch.tensor(b)).numpy(), ours, rtol=1e-12, atol=1e-12)
        assert ((ours >= -1 - 1e-12) & (ours <= 1 + 1e-12)).all()
        np.testing.assert_allclose(function(b, a), ours, atol=1e-12)
    for form in (corners, centered, from_centered):
        np.testing.assert_array_equal(form(torch.tensor(a)).numpy(), form(a))
    np.testing.assert_allclose(from_centered(centered(a)), a, atol=1e-9)


@pytest.mark.parametrize("text", ["585,94,66,83", "585\t94\t66\t83", " 585 94 66 83\n", "585;94;66;83"])
def test_boxes_are_read_with_any_separator(text: str) -> None:
    assert Box.parse(text) == Box(585, 94, 66, 83)


@pytest.mark.parametrize("text", ["", "1,2,3", "1,2,3,4,5", "a,b,c,d"])
def test_what_is_no_box_is_refused(text: str) -> None:
    with pytest.raises(BoxError, match="x,y,w,h"):
        Box.parse(text)


@pytest.mark.parametrize("values", [(1, 2, 3), ("a", 1, 2, 3), (None, 1, 2, 3), 7])
def test_a_box_is_made_of_four_numbers_only(values: Any) -> None:
    with pytest.raises(BoxError, match="four numbers"):
        Box.of(values)
    assert Box.of(np.array([1, 2, 3, 4])) == Box.of(torch.tensor([1.0, 2, 3, 4])) == Box(1, 2, 3, 4)


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        (Box(1, 1, 0, 5), "no area"),
        (Box(1, 1, 5, -5), "no area"),
        (Box(math.nan, 1, 5, 5), "no numbers"),
        (Box(1, 1, math.inf, 5), "no numbers"),
        (Box(WIDTH, 1, 5, 5), "outside"),
        (Box(-5, 1, 5, 5), "outside"),
        (Box(1, HEIGHT, 5, 5), "outside"),
    ],
)
def test_a_tracker_cannot_start_from_a_bad_box(box: Box, reason: str) -> None:
    with pytest.raises(BoxError, match=reason):
        box.checked(WIDTH, HEIGHT)
    assert Box(-4, 1, 5, 5).checked(WIDTH, HEIGHT) == Box(-4, 1, 5, 5)
