"""What is decoded for a crop equals the crop of the whole image."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as some

from tectum.errors import SourceError
from tectum.frames import Modality
from tectum.geometry import Crop
from tectum.sources import DepthRendering
from tectum.training.decoding import Stored, cut, decode, header, look, size_of
from tectum.world.textures import noise, paint, pattern

WIDTH, HEIGHT = 300, 220


def picture(seed: int = 0, width: int = WIDTH, height: int = HEIGHT) -> npt.NDArray[np.uint8]:
    """Smooth colours with sharp things on them."""
    rng = np.random.default_rng(seed)
    image = paint(rng, noise(rng, width, height, 4, 3))
    for _ in range(6):
        x, y = int(rng.integers(0, width - 60)), int(rng.integers(0, height - 60))
        image[y : y + 50, x : x + 60] = paint(rng, pattern(rng, 60, 50))
    return image


def jpeg(image: npt.NDArray[np.uint8], sampling: str = "420") -> bytes:
    if image.ndim == 2:
        return simplejpeg.encode_jpeg(image[:, :, None], 92, "GRAY", "Gray")
    return simplejpeg.encode_jpeg(image, 92, "RGB", sampling)


COLOURS = {sampling: jpeg(picture(), sampling) for sampling in ("420", "422", "444")}
COLOURS["grey"] = jpeg(np.ascontiguousarray(picture()[..., 1]))
for rows in (1, 2):
    # A restart marker after each row, or each second row, of blocks of 16 pixels.
    flags = [cv2.IMWRITE_JPEG_RST_INTERVAL, rows * -(-WIDTH // 16)]
    COLOURS[f"restart{rows}"] = cv2.imencode(".jpg", cv2.cvtColor(picture(), cv2.COLOR_RGB2BGR), flags)[1].tobytes()
WHOLE = {name: decode(data, name) for name, data in COLOURS.items()}


@settings(max_examples=60, deadline=None)
@given(
    kind=some.sampled_from(list(COLOURS)),
    left=some.integers(-120, WIDTH + 20),
    top=some.integers(-120, HEIGHT + 20),
    side=some.integers(1, 400),
)
def test_the_crop_of_a_jpeg_is_that_of_the_whole_image(kind: str, left: int, top: int, side: int) -> None:
    crop = Crop(left, top, side, 128)
    np.testing.assert_array_equal(cut(COLOURS[kind], crop, kind), crop.extract(WHOLE[kind]))


@pytest.mark.parametrize("restart", [0, 75])
@pytest.mark.parametrize("shrinking", [4.5, 9.0, 17.0])
def test_a_crop_that_shrinks_much_is_close_to_that_of_the_whole_image(shrinking: float, restart: int) -> None:
    image = cv2.GaussianBlur(picture(1, 1200, 900), (0, 0), 4)
    data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_RST_INTERVAL, restart])[1].tobytes()
    for left, top in ((0, 0), (-101, 57), (333, 415)):
        crop = Crop(left, top, round(40 * shrinking), 40)
        whole = crop.extract(decode(data, "whole"))
        inside = whole.min(axis=2) > 0
        difference = np.abs(cut(data, crop, "part").astype(int) - whole)[inside]
        assert difference.mean() < 1.5


def test_what_lies_below_a_crop_is_never_decoded() -> None:
    data = bytearray(jpeg(picture()))
    for place in range(len(data) * 3 // 4, len(data) - 2):
        data[place] = 0x55
    crop = Crop(10, 0, 60, 64)
    np.testing.assert_array_equal(cut(bytes(data), crop, "top"), crop.extract(WHOLE["420"]))


def test_with_restart_markers_nothing_above_a_crop_is_decoded_either() -> None:
    data = bytearray(COLOURS["restart1"])
    head = header(bytes(data))
    assert head is not None
    assert (head.band, head.height) == (16, HEIGHT)
    for place in (*range(head.scan + 10, head.scan + 100), *range(len(data) - 100, len(data) - 2)):
        if data[place] != 0xFF and data[place - 1] != 0xFF:
            data[place] = 0x55
    crop = Crop(10, 90, 60, 64)
    np.testing.assert_array_equal(cut(bytes(data), crop, "middle"), crop.extract(WHOLE["restart1"]))
    lost = bytes(data).replace(b"\xff\xd0", b"\xff\x00")
    with pytest.raises(SourceError, match="a restart marker is missing"):
        cut(lost, crop, "lost")


def test_progressive_and_other_images_are_decoded_whole(tmp_path: Path) -> None:
    bgr = cv2.cvtColor(picture(), cv2.COLOR_RGB2BGR)
    crop = Crop(-20, 30, 90, 64)
    for ending, options in ((".jpg", [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]), (".png", []), (".bmp", [])):
        data = cv2.imencode(ending, bgr, options)[1].tobytes()
        assert header(data) is None
        assert size_of(data, ending) == (WIDTH, HEIGHT)
        shown = cut(data, crop, ending)
        assert np.abs(shown.astype(int) - crop.extract(picture())).mean() < (3 if ending == ".jpg" else 1e-9)


@pytest.mark.parametrize("ending", [".jpg", ".png"])
def test_a_broken_image_is_named(ending: str, tmp_path: Path) -> None:
    data = cv2.imencode(ending, picture())[1].tobytes()
    path = tmp_path / f"cut{ending}"
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(SourceError, match=rf"cut\{ending} cannot be decoded"):
        decode(path.read_bytes(), str(path))
    with pytest.raises(SourceError, match=rf"cut\{ending} cannot be decoded"):
        look({Modality.RGB: Stored(path)}, (Modality.RGB,), Crop(0, HEIGHT - 60, 60, 32), DepthRendering())
    with pytest.raises(SourceError, match="empty or ends early"):
        Stored(path, 10, len(data)).read()
    with pytest.raises(SourceError, match="none cannot be read"):
        Stored(tmp_path / "none").read()


def test_a_broken_head_is_told_as_a_broken_image() -> None:
    data = bytearray(COLOURS["420"])
    data[data.index(b"\xff\xc0") + 11] = 0
    with pytest.raises(SourceError, match="head cannot be decoded"):
        cut(bytes(data), Crop(0, 0, 60, 32), "head")


def test_senses_show_the_same_window(tmp_path: Path) -> None:
    """Thermal of half the size, 16-bit depth, and no events at all."""
    rgb, warm, depth = picture(), picture()[::2, ::2, 1], np.arange(WIDTH * HEIGHT, dtype=np.uint16).reshape(HEIGHT, -1)
    paths = {sense: tmp_path / f"{sense}.png" for sense in (Modality.RGB, Modality.THERMAL, Modality.DEPTH)}
    for path, image in zip(paths.values(), (cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), warm, depth), strict=True):
        cv2.imwrite(str(path), image)
    crop, rendering = Crop(40, 30, 90, 90), DepthRendering(clip=False)
    seen = look({sense: Stored(path) for sense, path in paths.items()}, tuple(Modality), crop, rendering)
    assert list(seen) == list(Modality)
    np.testing.assert_array_equal(seen[Modality.RGB], rgb[30:120, 40:130])
    np.testing.assert_array_equal(seen[Modality.EVENT], seen[Modality.RGB])
    assert np.abs(seen[Modality.THERMAL][..., 0].astype(int) - rgb[30:120, 40:130, 1]).mean() < 12
    expected = rendering.renderer()(depth)[30:120, 40:130]
    np.testing.assert_array_equal(seen[Modality.DEPTH], expected)
