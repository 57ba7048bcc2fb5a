from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tectum.errors import SourceError, UnknownNameError
from tectum.frames import Estimate, Frame, Modality, Track, result_line
from tectum.geometry import Box

IMAGE = np.zeros((48, 64, 3), np.uint8)


def test_modalities_are_found_by_name() -> None:
    assert Modality.of("Thermal") is Modality.THERMAL
    assert Modality.of(Modality.RGB) is Modality.RGB
    with pytest.raises(UnknownNameError, match="rgb, thermal, depth, event"):
        Modality.of("sonar")


def test_a_frame_is_made_of_an_image_a_mapping_or_itself() -> None:
    bare = Frame.of(IMAGE)
    assert bare.images[Modality.RGB] is IMAGE
    assert Frame.of(bare) is bare
    both = Frame.of({Modality.RGB: None, Modality.THERMAL: IMAGE})
    assert both.missing == {Modality.RGB}
    assert both.size == (64, 48)


@pytest.mark.parametrize("unread", [None, "bus/0001.jpg", 5])
def test_what_is_no_frame_is_refused(unread: object) -> None:
    with pytest.raises(SourceError, match="or a Frame"):
        Frame.of(unread)  # type: ignore[arg-type]


def test_a_frame_without_any_image_has_no_size() -> None:
    with pytest.raises(SourceError, match="Frame 7"):
        _ = Frame({Modality.RGB: None}, index=7).size


def test_a_track_saves_one_line_per_frame(tmp_path: Path) -> None:
    track = Track("bus", (Estimate(Box(585, 94, 66, 83), 1.0), Estimate(Box(584.9996, 94.25, 66, 83), 0.5)))
    path = track.save(tmp_path / "new folder" / "bus.txt")
    assert path.read_text() == "585.000,94.000,66.000,83.000\n585.000,94.250,66.000,83.000\n"
    np.testing.assert_allclose(np.loadtxt(path, delimiter=","), track.boxes, atol=5e-4)
    np.testing.assert_array_equal(track.scores, [1, 0.5])


def test_an_empty_track_has_no_boxes() -> None:
    assert Track("none").boxes.shape == (0, 4)
    assert result_line(Box(1, 2, 3, 4)).count(",") == 3
