"""Our own layout: read, written and read again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tectum.benchmarks import find
from tectum.benchmarks.plain import write_sequence
from tectum.errors import BenchmarkError, UnknownNameError
from tectum.frames import Frame, Modality, Sequence

NAN = np.nan
REAL = Path(__file__).resolve().parents[1].parent / "shared" / "real"
PLAIN = find("plain")


@dataclass(frozen=True)
class Made:
    """A recording of four frames, the third of which lacks its thermal image."""

    name: str = "night 1"
    senses: frozenset[Modality] = frozenset({Modality.RGB, Modality.THERMAL})
    length: int = 4
    broken: bool = False

    def __iter__(self) -> Iterator[Frame]:
        random = np.random.default_rng(0)
        for index in range(self.length):
            rgb, thermal = random.integers(0, 256, (2, 24, 32, 3), np.uint8)
            if self.broken and index == 2:
                raise BenchmarkError("The power went.")
            yield Frame({Modality.RGB: rgb, Modality.THERMAL: None if index == 2 else thermal}, index)


BOXES = np.array([[1.5, 2, 3, 4], [NAN] * 4, [1 / 3, 2, 3, 4.25], [5, 6, 7, 8]])


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    made = Sequence(Made(), BOXES, "the bus, at night", frozenset({"OCC", "LI"}))
    assert write_sequence(tmp_path, made) == tmp_path / "night 1"
    assert PLAIN.names(tmp_path) == ("night 1",)
    read = PLAIN.sequence(tmp_path, "night 1")
    np.testing.assert_array_equal(read.boxes, BOXES)
    assert (read.text, read.attributes) == (made.text, made.attributes)
    for backwards in (False, True):
        order = [3, 2, 1, 0] if backwards else None
        frames = list(PLAIN.sequence(tmp_path, "night 1", order).recording)
        for frame, expected in zip(frames[::-1] if backwards else frames, Made(), strict=True):
            for sense in Modality.RGB, Modality.THERMAL:
                assert np.array_equal(frame.images[sense], expected.images[sense])  # type: ignore[arg-type]
    with pytest.raises(BenchmarkError, match="exists already"):
        write_sequence(tmp_path, made)


def test_jpeg_is_near_enough_and_an_interrupted_write_is_no_sequence(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="power"):
        write_sequence(tmp_path, Sequence(Made(broken=True), BOXES))
    assert PLAIN.names(tmp_path) == ()
    write_sequence(tmp_path, Sequence(Made(), BOXES), suffix=".jpg")
    assert sorted(path.suffix for path in (tmp_path / "night 1/rgb").iterdir()) == [".jpg"] * 4
    assert [path.name for path in tmp_path.iterdir()] == ["night 1"]


def test_users_recordings_may_be_annotated_in_part(tmp_path: Path) -> None:
    write_sequence(tmp_path, Sequence(Made("b"), BOXES, attributes=frozenset({"OCC"})))
    write_sequence(tmp_path, Sequence(Made("a2"), BOXES))
    write_sequence(tmp_path, Sequence(Made("a10"), BOXES))
    (tmp_path / "b/groundtruth.txt").write_text("1,2,3,4")
    (tmp_path / "a2/meta.json").write_text("{")
    assert PLAIN.names(tmp_path) == ("a2", "a10", "b")
    truth = PLAIN.truth(tmp_path, "b")
    assert (truth.boxes.tolist(), truth.length) == ([[1, 2, 3, 4]], 4)
    np.testing.assert_array_equal(PLAIN.sequence(tmp_path, "b").boxes, [[1, 2, 3, 4], *[[NAN] * 4] * 3])
    assert PLAIN.attributes(tmp_path) == {"OCC": {"b"}}
    with pytest.raises(BenchmarkError, match=r"a2 of Plain: .*meta.json is no JSON"):
        PLAIN.truth(tmp_path, "a2")
    with pytest.raises(UnknownNameError, match="no split 'test'"):
        PLAIN.names(tmp_path, "test")
    assert PLAIN.names(tmp_path / "b") == ("b",)
    assert PLAIN.truth(tmp_path / "b", "b").boxes.shape == (1, 4)


@pytest.mark.skipif(not REAL.is_dir(), reason="real recordings are not here: put the shared folder beside the project")
def test_real_recordings() -> None:
    names = PLAIN.names(REAL / "rgb")
    assert len(names) == 17
    for name in names:
        sequence = PLAIN.sequence(REAL / "rgb", name)
        assert sequence.recording.length == len(sequence.boxes)
    crossing = PLAIN.sequence(REAL / "rgb", "otb_crossing")
    assert crossing.text == "the dark figure crossing the street"
    assert "FM" in crossing.attributes
    assert next(iter(crossing.recording)).size == (360, 240)
