"""Recordings: opening every kind of source, pairing of senses, and bad input."""

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tectum.errors import SourceError
from tectum.frames import Frame, Modality
from tectum.sources import Alignment, ColorMap, DepthRendering, StreamRecording, open_recording
from tectum.sources.pairing import ABSENT, nearest_frames
from tectum.sources.streams import Reading

REAL = Path(__file__).resolve().parents[1].parent / "shared" / "real"
RGB, THERMAL, DEPTH = Modality.RGB, Modality.THERMAL, Modality.DEPTH
needs_real = pytest.mark.skipif(not REAL.is_dir(), reason=f"the real recordings are not at {REAL}")


def write_images(folder: Path, numbers: range | list[int], size: tuple[int, int] = (64, 48)) -> Path:
    """Writes grey images whose value is their number, so that a frame tells where it comes from."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        cv2.imwrite(str(folder / f"{number:03}.png"), np.full((size[1], size[0]), number, np.uint8))
    return folder


def write_video(path: Path, frames: int, rate: float = 30, size: tuple[int, int] = (64, 48)) -> Path:
    """Writes motion JPEG whose frames are grey with twice their number."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), rate, size)
    for number in range(frames):
        writer.write(np.full((size[1], size[0], 3), 2 * number, np.uint8))
    writer.release()
    return path


def shown(frame: Frame, sense: Modality) -> int | None:
    image = frame.images[sense]
    return None if image is None else int(image[20, 20, 0])


def cut(path: Path, part: float = 0.5) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])


def frames_until_error(recording: StreamRecording) -> tuple[int, str]:
    """How many frames came, and what the error said."""
    count = 0
    try:
        for _ in recording:
            count += 1
    except SourceError as error:
        return count, str(error)
    return pytest.fail("no error was raised")


def test_a_bare_folder_is_rgb_and_can_be_read_twice(tmp_path: Path) -> None:
    recording = open_recording(write_images(tmp_path / "clip", range(1, 13)))
    assert (recording.name, recording.senses, recording.length) == ("clip", {RGB}, 12)
    for _ in range(2):
        assert [shown(frame, RGB) for frame in recording] == list(range(1, 13))
    frame = next(iter(recording))
    assert frame.images[RGB] is not None
    assert frame.images[RGB].shape == (48, 64, 3)


def test_a_tree_gives_every_sense_in_the_size_of_rgb(tmp_path: Path) -> None:
    write_images(tmp_path / "bus" / "Visible", range(5))
    write_images(tmp_path / "bus" / "infrared", range(5), (32, 20))
    write_images(tmp_path / "bus" / "mask", range(5))
    recording = open_recording(tmp_path / "bus")
    assert (recording.name, recording.senses, recording.warnings) == ("bus", {RGB, THERMAL}, ())
    for frame in recording:
        assert shown(frame, RGB) == shown(frame, THERMAL) == frame.index
        assert {image.shape for image in frame.images.values() if image is not None} == {(48, 64, 3)}


def test_a_short_sense_is_missing_in_the_tail(tmp_path: Path) -> None:
    sources = {RGB: write_images(tmp_path / "a", range(5)), THERMAL: write_images(tmp_path / "b", range(10, 13))}
    recording = open_recording(sources)
    assert len(recording.warnings) == 1
    assert all(part in recording.warnings[0] for part in (str(tmp_path / "a"), "5", str(tmp_path / "b"), "3"))
    assert [shown(frame, THERMAL) for frame in recording] == [10, 11, 12, None, None]
    assert "ends after 3 images" in list(recording)[-1].reasons[THERMAL]


def test_a_frame_lost_in_the_middle_does_not_shift_the_rest(tmp_path: Path) -> None:
    sources = {RGB: write_images(tmp_path / "a", range(6)), THERMAL: write_images(tmp_path / "b", [0, 1, 3, 4, 5])}
    recording = open_recording(sources)
    assert [shown(frame, THERMAL) for frame in recording] == [0, 1, None, 3, 4, 5]
    assert "numbers" in recording.warnings[0]


@pytest.mark.parametrize("table", ["0.0\n0.1\n0.2\n", "frame,time\n000.png,0.0\n001.png,0.1\n002.png,0.2\n"])
def test_timestamps_pair_streams_of_different_rate(tmp_path: Path, table: str) -> None:
    rgb, thermal = write_images(tmp_path / "rgb", range(9)), write_images(tmp_path / "thermal", range(3))
    (rgb / "timestamps.txt").write_text("\n".join(f"{number} {number / 30:.5f}" for number in range(9)))
    (thermal / "timestamps.csv").write_text(table)
    frames = list(open_recording(tmp_path))
    assert [shown(frame, THERMAL) for frame in frames] == [0, 0, 1, 1, 1, 2, 2, 2, None]
    assert frames[3].timestamp == pytest.approx(0.1)


def test_given_times_that_do_not_meet_are_refused(tmp_path: Path) -> None:
    sources = {RGB: write_images(tmp_path / "a", range(3)), THERMAL: write_images(tmp_path / "b", range(3))}
    with pytest.raises(SourceError, match="one clock, in one unit"):
        open_recording(sources, timestamps={RGB: [0, 1, 2], THERMAL: [100, 101, 102]})
    with pytest.raises(SourceError, match="2 times for 3 frames"):
        open_recording(sources, timestamps={RGB: [0, 1], THERMAL: [0, 1, 2]})
    with pytest.raises(SourceError, match="does not increase after frame 1"):
        open_recording(sources, timestamps={RGB: [0, 2, 1], THERMAL: [0, 1, 2]})


@given(
    st.lists(st.integers(1, 50), min_size=1, max_size=30),
    st.lists(st.integers(1, 50), min_size=1, max_size=30),
    st.integers(0, 60),
)
def test_the_nearest_partner_is_the_nearest(first: list[int], second: list[int], tolerance: int) -> None:
    clocks = [np.cumsum(first).astype(float), np.cumsum(second).astype(float)]
    pairs = nearest_frames(clocks, [tolerance, tolerance])
    np.testing.assert_array_equal(pairs[: len(first), 0], np.arange(len(first)))
    for moment, partner in zip(clocks[0], pairs[:, 1], strict=False):
        distances = np.abs(clocks[1] - moment)
        if partner == ABSENT:
            assert distances.min() > tolerance
        else:
            assert distances[partner] == distances.min() <= tolerance * (1 + 1e-6)


def test_videos_of_different_rate_and_size_are_paired_by_their_clocks(tmp_path: Path) -> None:
    fast, slow = write_video(tmp_path / "a.avi", 20), write_video(tmp_path / "b.avi", 10, 15, (32, 24))
    recording = open_recording({RGB: fast, THERMAL: slow})
    frames = list(recording)
    assert (recording.name, recording.length, len(frames)) == ("a", 20, 20)
    for frame in frames:
        thermal = shown(frame, THERMAL)
        assert thermal is not None
        assert abs(thermal / 2 - frame.index / 2) <= 2


def test_a_video_that_ends_early_says_where(tmp_path: Path) -> None:
    path = write_video(tmp_path / "cut.avi", 40)
    cut(path)
    count, said = frames_until_error(open_recording(path))
    assert 5 < count < 35
    assert all(part in said for part in ("cut.avi", f"before frame {count}", "announces 40 frames"))
    second = open_recording({RGB: write_images(tmp_path / "rgb", range(40)), THERMAL: path})
    frames = list(second)
    assert len(frames) == 40
    assert "ends early" in frames[count].reasons[THERMAL]


def test_a_broken_image_is_a_missing_sense_while_another_sees(tmp_path: Path) -> None:
    write_images(tmp_path / "rgb", range(6))
    write_images(tmp_path / "thermal", range(6))
    cut(tmp_path / "rgb" / "002.png")
    frames = list(open_recording(tmp_path))
    assert [frame.index for frame in frames if frame.missing] == [2]
    assert "002.png" in frames[2].reasons[RGB]
    assert frames[2].size == (64, 48)
    cut(tmp_path / "thermal" / "004.png")
    cut(tmp_path / "rgb" / "004.png")
    count, said = frames_until_error(open_recording(tmp_path))
    assert count == 4
    assert all(part in said for part in ("Frame 4", "rgb/004.png", "thermal/004.png"))


def test_a_change_of_size_is_refused_at_its_frame(tmp_path: Path) -> None:
    write_images(tmp_path / "clip", range(4))
    write_images(tmp_path / "clip", [4], (80, 60))
    count, said = frames_until_error(open_recording(tmp_path / "clip"))
    assert count == 4
    assert all(part in said for part in ("004.png", "80x60", "64x48", "resize"))


def _nothing(folder: Path) -> Path:
    return folder / "nothing"


def _empty(folder: Path) -> Path:
    return folder


def _empty_sense(folder: Path) -> Path:
    write_images(folder / "rgb", range(2))
    (folder / "thermal").mkdir()
    return folder


def _text(folder: Path) -> Path:
    (folder / "groundtruth.txt").write_text("1,2,3,4\n")
    return folder / "groundtruth.txt"


def _one_image(folder: Path) -> Path:
    return write_images(folder, range(1)) / "000.png"


def _no_video(folder: Path) -> Path:
    (folder / "film.mp4").write_bytes(bytes(5000))
    return folder / "film.mp4"


def _raw_events(folder: Path) -> Path:
    write_images(folder / "rgb", range(2))
    (folder / "event").mkdir()
    (folder / "event" / "dvs.aedat4").touch()
    return folder


def _several(folder: Path) -> Path:
    write_images(folder / "dog" / "rgb", range(2))
    return folder


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (_nothing, "nothing.*give a folder"),
        (_empty, "holds no images.*empty"),
        (_empty_sense, "thermal holds no images"),
        (_text, r"groundtruth\.txt is a text file"),
        (_one_image, r"000\.png is a single image"),
        (_no_video, r"film\.mp4 cannot be opened.*convert"),
        (_raw_events, r"dvs\.aedat4 looks like raw events.* to an image first, as tectum\.world\.events\.accumulated"),
        (_several, "folder of recordings.*dog"),
    ],
)
def test_what_is_no_recording_is_refused_in_one_sentence(
    tmp_path: Path, make: Callable[[Path], Path], complaint: str
) -> None:
    with pytest.raises(SourceError, match=complaint):
        open_recording(make(tmp_path))


def test_a_file_of_raw_events_is_no_video(tmp_path: Path) -> None:
    write_images(tmp_path / "rgb", range(2))
    (tmp_path / "events.npz").touch()
    with pytest.raises(SourceError, match=r"events\.npz looks like raw events"):
        open_recording({"rgb": tmp_path / "rgb", "event": tmp_path / "events.npz"})  # type: ignore[dict-item]
    assert open_recording(tmp_path).senses == {RGB}


def test_alignment_moves_the_second_sense(tmp_path: Path) -> None:
    for sense in ("rgb", "thermal"):
        write_images(tmp_path / sense, [200])
    shift = Alignment(((1.0, 0.0, 10.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)))
    frame = next(iter(open_recording(tmp_path, alignment={THERMAL: shift})))
    thermal = frame.images[THERMAL]
    assert thermal is not None
    assert thermal[:, :9].max() == 0
    assert thermal[:, 11:].min() == 200
    with pytest.raises(SourceError, match="nothing to align"):
        open_recording(tmp_path / "rgb", alignment="align.json")


def test_renderings_may_be_chosen(tmp_path: Path) -> None:
    write_images(tmp_path / "rgb", [10])
    (tmp_path / "depth").mkdir()
    cv2.imwrite(str(tmp_path / "depth" / "010.png"), np.tile(np.arange(64, dtype=np.uint16) * 100, (48, 1)))
    for color_map, grey in ((ColorMap.GRAY, True), (ColorMap.JET, False)):
        depth = next(iter(open_recording(tmp_path, depth=DepthRendering(color_map=color_map)))).images[DEPTH]
        assert depth is not None
        assert np.array_equal(depth[..., 0], depth[..., 2]) == grey


class Blinking:
    """A live stream, which gives a few frames and ends."""

    label, length, live, size, times, numbers = "camera 9", None, True, (8, 6), None, None

    def open(self) -> "Blinking":
        return self

    def read(self, index: int) -> Reading:
        image = np.full((6, 8, 3), index, np.uint8) if index < 30 else None
        return Reading(image, self.label, ended=image is None)

    def close(self) -> None:
        self.closed = True


def test_a_live_source_has_no_length_and_is_let_go() -> None:
    camera = Blinking()
    recording = StreamRecording("camera9", {RGB: camera})
    indices = [frame.index for frame in recording]
    assert recording.length is None
    assert indices == sorted(indices)
    assert indices[-1] == 29
    assert camera.closed


@needs_real
@pytest.mark.parametrize(
    ("path", "senses", "count", "size"),
    [
        ("rgbt/bus1", {RGB, THERMAL}, 101, (960, 540)),
        ("rgbd/redkitchen_a", {RGB, DEPTH}, 55, (640, 480)),
        ("rgb/davis_dog", {RGB}, 60, (640, 360)),
    ],
)
def test_real_recordings(path: str, senses: set[Modality], count: int, size: tuple[int, int]) -> None:
    recording = open_recording(REAL / path)
    frames = list(recording)
    assert (recording.senses, recording.length, len(frames)) == (senses, count, count)
    assert {frame.size for frame in frames} == {size}
    assert not any(frame.missing for frame in frames)


@needs_real
def test_a_truncated_jpeg_in_a_real_recording(tmp_path: Path) -> None:
    shutil.copytree(REAL / "rgb" / "tld_car" / "rgb", tmp_path / "car" / "rgb")
    cut(tmp_path / "car" / "rgb" / "000051.jpg")
    count, said = frames_until_error(open_recording(tmp_path / "car"))
    assert count == 50
    assert "000051.jpg" in said
