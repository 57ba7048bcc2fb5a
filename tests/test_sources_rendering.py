"""Rendering and alignment: from what a sensor measured to an image over the RGB image."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tectum.errors import SourceError
from tectum.frames import Modality
from tectum.sources import Alignment, ColorMap, DepthRendering, ThermalRendering, read_alignment
from tectum.sources.alignment import overlay

SECOND = (Modality.THERMAL,)
SHIFT = ((1.0, 0.0, 5.0), (0.0, 1.0, 3.0), (0.0, 0.0, 1.0))


def _depth(seed: int, missing: float = 0.2) -> np.ndarray:
    generator = np.random.default_rng(seed)
    depth = generator.integers(400, 60_000, (30, 40), np.uint16)
    depth[generator.random(depth.shape) < missing] = 0
    return depth


def test_depth_follows_the_published_rule() -> None:
    depth = _depth(1)
    clipped = depth.copy()
    limit = min(3 * np.median(depth), 10_000)
    clipped[clipped > limit] = limit
    scaled = cv2.normalize(clipped, np.empty(0), 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    published = cv2.applyColorMap(scaled, cv2.COLORMAP_JET)
    np.testing.assert_array_equal(DepthRendering(swapped=True).renderer()(depth), published)
    np.testing.assert_array_equal(DepthRendering().renderer()(depth), published[:, :, ::-1])


def test_each_step_of_depth_is_an_option() -> None:
    depth = np.array([[0, 1000, 2000, 60_000]], np.uint16)
    plain = DepthRendering(clip=False, color_map=ColorMap.GRAY).renderer()(depth)
    np.testing.assert_array_equal(plain, [[0, 4, 8, 255]])
    clipped = DepthRendering(color_map=ColorMap.GRAY, farthest=2000).renderer()(depth)
    np.testing.assert_array_equal(clipped, [[0, 128, 255, 255]])
    tenths = DepthRendering(color_map=ColorMap.GRAY, farthest=200, unit=0.1).renderer()(depth)
    np.testing.assert_array_equal(tenths, clipped)


def test_depth_with_few_measurements_is_not_blank() -> None:
    assert DepthRendering(color_map=ColorMap.GRAY).renderer()(_depth(2, missing=0.8)).max() == 255


def test_thermal_spans_its_percentiles() -> None:
    raw = np.linspace(7000, 9000, 64 * 64).reshape(64, 64).astype(np.uint16)
    image = ThermalRendering(low=0, high=100).renderer()(raw)
    assert image.dtype == np.uint8
    assert abs(int(image.min())) <= 1
    assert int(image.max()) >= 254
    assert bool(np.all(np.diff(image.astype(int).ravel()) >= 0))


def test_thermal_does_not_flicker_but_follows_a_change_of_range() -> None:
    generator = np.random.default_rng(0)
    scene = generator.normal(8000, 100, (64, 64))
    hot = scene.copy()
    hot[:20, :20] += 4000
    calm, fresh = ThermalRendering().renderer(), ThermalRendering(memory=0).renderer()
    before = calm(scene.astype(np.uint16))[40:].mean(), fresh(scene.astype(np.uint16))[40:].mean()
    after = calm(hot.astype(np.uint16))[40:].mean(), fresh(hot.astype(np.uint16))[40:].mean()
    assert abs(after[0] - before[0]) < 0.5 * abs(after[1] - before[1])
    recalibrated = calm((scene + 20_000).astype(np.uint16))
    assert abs(recalibrated.mean() - before[0]) < 2


def test_eight_bit_thermal_passes_unless_asked() -> None:
    raw = np.arange(100, 116, dtype=np.uint8).reshape(4, 4)
    assert ThermalRendering().renderer()(raw) is raw
    assert ThermalRendering(low=0, high=100, stretch_8_bit=True).renderer()(np.tile(raw, (16, 16))).max() > 200


@given(st.floats(-0.1, 0.1), st.floats(-8, 8), st.floats(0.8, 1.2))
def test_a_point_lands_where_the_homography_says(tilt: float, shift: float, scale: float) -> None:
    matrix = np.array([[scale, tilt, shift], [-tilt, scale, -shift], [1e-4, 0, 1]])
    image = np.zeros((120, 160), np.uint8)
    cv2.circle(image, (80, 60), 4, 255, -1)
    warped = overlay(image, (200, 140), Alignment(tuple(map(tuple, matrix))))
    x, y, w = matrix @ (80, 60, 1)
    rows, columns = np.nonzero(warped > 127)
    assert warped.shape == (140, 200)
    assert abs(columns.mean() - x / w) < 0.5
    assert abs(rows.mean() - y / w) < 0.5


def test_images_of_the_right_size_are_not_copied() -> None:
    image = np.zeros((4, 6, 3), np.uint8)
    assert overlay(image, (6, 4), None) is image
    assert overlay(image, (12, 8), None).shape == (8, 12, 3)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", json.dumps(SHIFT)),
        ("a.json", json.dumps({"homography": SHIFT})),
        ("a.json", json.dumps({"thermal": {"homography": SHIFT}})),
        ("a.yaml", "thermal:\n- [1, 0, 5]\n- [0, 1, 3]\n- [0, 0, 1]\n"),
        ("a.txt", "# measured on the bench\n1 0 5\n0 1 3\n0 0 1\n"),
        ("a.csv", "1,0,5\n0,1,3\n0,0,1\n"),
    ],
)
def test_alignment_files_in_every_form(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    assert read_alignment(path, SECOND)[Modality.THERMAL].matrix == SHIFT


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("1 2 3", "3 rows of 3"),
        ("1 0 0 0 1 0 0 0 nan", "3 rows of 3"),
        ("1 0 0 2 0 0 0 0 1", "cannot be inverted"),
        ("hello: [", "neither JSON nor YAML"),
        ("depth: [[1, 0, 0], [0, 1, 0], [0, 0, 1]]", "no entry 'homography' or 'thermal'"),
        ("thermal: far", "3 rows of 3"),
        ("!!python/object/apply:os.getcwd []", "neither JSON nor YAML"),
    ],
)
def test_bad_alignment_files_are_named(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(SourceError, match=rf"bad\.yaml.*{complaint}"):
        read_alignment(path, SECOND)


def test_an_alignment_that_misses_the_image_is_refused() -> None:
    away = Alignment(((1.0, 0.0, 5000.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)))
    with pytest.raises(SourceError, match="inverse"):
        away.check((640, 480), (640, 480))
    Alignment(SHIFT).check((640, 480), (640, 480))
