"""Folders of images: order, recognition of senses, and files that are no frames."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import simplejpeg
from hypothesis import given
from hypothesis import strategies as st

from tectum.errors import SourceError
from tectum.frames import Modality
from tectum.sources import list_images, natural_key, read_image, sense_of
from tectum.sources.folders import sense_entries

GRADIENT = np.linspace(0, 255, 48 * 64 * 3).reshape(48, 64, 3).astype(np.uint8)


@given(st.lists(st.integers(0, 10**9), unique=True), st.sampled_from(["{}.jpg", "v{:03}.png", "i{:08}_x.bmp"]))
def test_numbers_sort_as_numbers_whatever_their_padding(numbers: list[int], pattern: str) -> None:
    names = [pattern.format(number) for number in numbers]
    assert sorted(names, key=natural_key) == [pattern.format(number) for number in sorted(numbers)]


def test_only_visible_images_are_frames(tmp_path: Path) -> None:
    for name in ("10.JPG", "9.jpg", "groundtruth.txt", "Thumbs.db", "._9.jpg", ".DS_Store"):
        (tmp_path / name).touch()
    (tmp_path / "11.jpg").mkdir()
    assert [path.name for path in list_images(tmp_path)] == ["9.jpg", "10.JPG"]


@pytest.mark.parametrize(
    ("name", "sense"),
    [
        ("RGB", Modality.RGB),
        ("visible", Modality.RGB),
        ("vis_imgs", Modality.RGB),
        ("Infrared", Modality.THERMAL),
        ("lwir", Modality.THERMAL),
        ("depth", Modality.DEPTH),
        ("event_imgs", Modality.EVENT),
        ("dog_dvs", Modality.EVENT),
        ("mask", None),
    ],
)
def test_senses_are_known_by_their_usual_names(name: str, sense: Modality | None) -> None:
    assert sense_of(name, recording="dog") is sense


def test_two_folders_for_one_sense_are_refused(tmp_path: Path) -> None:
    (tmp_path / "ir").mkdir()
    (tmp_path / "thermal").mkdir()
    with pytest.raises(SourceError, match=r"both 'ir' and 'thermal'.*--thermal"):
        sense_entries(tmp_path)


def test_an_image_and_its_mask_are_not_two_frames(tmp_path: Path) -> None:
    for name in ("1.jpg", "1.png", "2.jpg"):
        (tmp_path / name).touch()
    with pytest.raises(SourceError, match=r"1\.jpg and 1\.png"):
        list_images(tmp_path)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff"])
def test_lossless_files_come_back_in_rgb_order(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"image{suffix}"
    cv2.imwrite(str(path), GRADIENT[:, :, ::-1])
    np.testing.assert_array_equal(read_image(path), GRADIENT)


def test_sixteen_bit_stays_sixteen_bit(tmp_path: Path) -> None:
    depth = np.arange(48 * 64, dtype=np.uint16).reshape(48, 64) * 20
    path = tmp_path / "depth.png"
    cv2.imwrite(str(path), depth)
    read = read_image(path)
    assert read.dtype == np.uint16
    np.testing.assert_array_equal(read, depth)


def test_jpeg_equals_opencv_and_grey_stays_one_channel(tmp_path: Path) -> None:
    path = tmp_path / "image.png"  # a JPEG all the same
    path.write_bytes(simplejpeg.encode_jpeg(GRADIENT, quality=95))
    np.testing.assert_array_equal(read_image(path), cv2.imread(str(path), cv2.IMREAD_COLOR_RGB))
    path.write_bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(GRADIENT[:, :, :1]), colorspace="GRAY"))
    assert read_image(path).shape == (48, 64)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5, 0.97])
def test_cut_off_files_are_refused_by_name(tmp_path: Path, suffix: str, kept: float) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    data = cv2.imencode(suffix, noise)[1].tobytes()
    path = tmp_path / f"frame7{suffix}"
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(SourceError, match=rf"frame7\{suffix}.*copy it again or remove it"):
        read_image(path)
