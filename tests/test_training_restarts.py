"""Restart markers are put into JPEGs without changing a pixel."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import simplejpeg

from tectum.geometry import Crop
from tectum.training.decoding import cut, decode, header
from tectum.world.textures import noise, paint, pattern

pytest.importorskip("numba", reason="pip install 'tectum[train]' brings what puts restart markers into JPEGs")

from tectum.training.restarts import with_restarts

WIDTH, HEIGHT = 205, 187


def picture() -> npt.NDArray[np.uint8]:
    """Black and white side by side, so that means leap from the end of a row to the start of the next."""
    rng = np.random.default_rng(0)
    image = paint(rng, noise(rng, WIDTH, HEIGHT, 4, 3))
    image[20:100, 60:140] = paint(rng, pattern(rng, 80, 80))
    image[:, :40], image[:, -40:] = 0, 255
    return image


def encoded(*options: int) -> bytes:
    return cv2.imencode(".jpg", cv2.cvtColor(picture(), cv2.COLOR_RGB2BGR), list(options))[1].tobytes()


ORDINARY = {
    **{sampling: simplejpeg.encode_jpeg(picture(), 92, "RGB", sampling) for sampling in ("420", "422", "444", "440")},
    "finest": simplejpeg.encode_jpeg(picture(), 100, "RGB", "420"),
    "coarsest": simplejpeg.encode_jpeg(picture(), 1, "RGB", "420"),
    "grey": simplejpeg.encode_jpeg(np.ascontiguousarray(picture()[..., :1]), 92, "GRAY", "Gray"),
    "own tables": encoded(cv2.IMWRITE_JPEG_OPTIMIZE, 1),
}


@pytest.mark.parametrize("kind", ORDINARY)
def test_pixels_stay_the_same_and_rows_can_be_entered(kind: str) -> None:
    data = ORDINARY[kind]
    made = with_restarts(data)
    head = header(made)
    assert head is not None
    assert head.band == head.block
    assert len(made) < len(data) + 8 * HEIGHT
    whole = decode(data, kind)
    np.testing.assert_array_equal(decode(made, kind), whole)
    crop = Crop(50, 90, 60, 60)
    np.testing.assert_array_equal(cut(made, crop, kind), crop.extract(whole))


def test_other_files_are_left_alone() -> None:
    png = cv2.imencode(".png", picture())[1].tobytes()
    progressive = encoded(cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    ready = with_restarts(ORDINARY["420"])
    short = ORDINARY["420"][: len(ORDINARY["420"]) // 2]
    for data in (png, progressive, ready, short, short + b"\xff\xd9", b"", b"\xff\xd8"):
        assert with_restarts(data) is data


def test_a_damaged_file_never_becomes_another_picture() -> None:
    rng = np.random.default_rng(3)
    for _ in range(60):
        data = bytearray(ORDINARY["420"])
        for place in rng.integers(2, len(data), 3):
            data[place] = rng.integers(256)
        damaged = bytes(data)
        made = with_restarts(damaged)
        if made is not damaged:
            np.testing.assert_array_equal(simplejpeg.decode_jpeg(made), simplejpeg.decode_jpeg(damaged))
