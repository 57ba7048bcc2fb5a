"""`tectum track` as a careless user types it: results, exit codes, sentences."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner, Result

import tectum
from tectum.cli.boxes import draw_boxes, read_box_file
from tectum.cli.main import app
from tectum.cli.rendering import read_renderings
from tectum.cli.running import frame_rate
from tectum.errors import BoxError, SourceError, TectumError
from tectum.frames import Frame, Modality
from tectum.geometry import Box
from tectum.sources import ColorMap, DepthRendering, ThermalRendering
from tectum.systems.catalogue import build
from tectum.tracking.runner import ResultFiles, result_paths
from tectum.tracking.session import Tracker
from tectum.weights import save
from tests.brightness import Brightness, lit_frame

BOX = ("--box", "60,50,16,16")


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> Brightness:
    """What `--preset` and `--weights` load."""
    system = Brightness()
    monkeypatch.setattr("tectum.weights.load", lambda preset, weights, second: system)
    return system


@pytest.fixture
def walk(tmp_path: Path) -> Path:
    """A recording of 8 frames in two senses."""
    for sense in (Modality.RGB, Modality.THERMAL):
        folder = tmp_path / "walk" / sense
        folder.mkdir(parents=True)
        for index in range(8):
            image = lit_frame(60 + 3 * index, 50, index).images[Modality.RGB]
            assert image is not None
            cv2.imwrite(str(folder / f"{index:04d}.png"), image[..., ::-1])
    return tmp_path / "walk"


def tectum_track(*words: object) -> Result:
    return CliRunner().invoke(app, ["track", *map(str, words)])


def rows(path: Path) -> np.ndarray:
    return np.loadtxt(path, delimiter=",", ndmin=2)


def test_a_run_writes_a_box_per_frame_and_says_where(system: Brightness, walk: Path, tmp_path: Path) -> None:
    result = tectum_track(walk, *BOX, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    written = rows(tmp_path / "out" / "walk.txt")
    assert written.shape == (8, 4)
    assert written[0].tolist() == [60, 50, 16, 16]
    assert written[-1][:2] == pytest.approx([81, 50], abs=4)
    assert "8 frames" in result.stdout
    assert "frames per second" in result.stdout
    assert str(tmp_path / "out" / "walk.txt") in result.stdout
    assert "warning" not in result.stderr


def test_several_targets_share_the_pass_and_get_a_file_each(system: Brightness, walk: Path, tmp_path: Path) -> None:
    result = tectum_track(walk, *BOX, "--box", "40 40 30 30", "--out", tmp_path, "--quiet")
    assert result.exit_code == 0
    assert result.stdout == ""
    assert rows(tmp_path / "walk_1.txt")[0].tolist() == [60, 50, 16, 16]
    assert rows(tmp_path / "walk_2.txt")[0].tolist() == [40, 40, 30, 30]
    assert system.passes == [2] * 7


def test_senses_may_be_named_one_by_one(system: Brightness, walk: Path, tmp_path: Path) -> None:
    result = tectum_track("--rgb", walk / "rgb", "--thermal", walk / "thermal", *BOX, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    beside = tectum_track(walk / "rgb", "--thermal", walk / "thermal", *BOX, "--out", tmp_path)
    assert beside.exit_code == 0, beside.output


def test_weights_name_the_preset_and_which_of_several_senses_to_see(walk: Path, tmp_path: Path) -> None:
    shutil.copytree(walk / "thermal", walk / "depth")
    run = tmp_path / "run"
    save(build("vipt-tiny", "depth"), run / "last.safetensors", "vipt-tiny")
    result = tectum_track(walk, *BOX, "--weights", run, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert len(rows(tmp_path / "walk.txt")) == 8
    shutil.rmtree(walk / "depth")
    refused = tectum_track(walk, *BOX, "--weights", run, "--out", tmp_path)
    assert refused.exit_code == 2
    assert "holds weights for rgb and depth, not for rgb and thermal" in refused.stderr
    sound = tectum_track(walk, *BOX, "--second", "sound", "--out", tmp_path)
    assert "no second sense 'sound': use one of thermal, depth, event" in sound.stderr


def test_a_video_shows_the_senses_side_by_side(system: Brightness, walk: Path, tmp_path: Path) -> None:
    result = tectum_track(walk, *BOX, "--out", tmp_path, "--video", tmp_path / "films" / "walk.mp4")
    assert result.exit_code == 0, result.output
    film = cv2.VideoCapture(str(tmp_path / "films" / "walk.mp4"))
    assert film.get(cv2.CAP_PROP_FRAME_COUNT) == 8
    assert film.get(cv2.CAP_PROP_FRAME_WIDTH) == 320
    assert film.get(cv2.CAP_PROP_FRAME_HEIGHT) == 120
    wrong = tectum_track(walk, *BOX, "--out", tmp_path, "--video", tmp_path / "walk.txt")
    assert wrong.exit_code == 2
    assert "ends in .mp4" in wrong.stderr


def test_a_video_that_cannot_be_written_is_not_promised(system: Brightness, walk: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = tectum_track(walk, *BOX, "--out", tmp_path, "--video", tmp_path / "file" / "walk.mp4")
    assert result.exit_code == 2
    assert "walk.mp4 cannot be written" in result.stderr
    assert "results:" in result.stdout
    assert "video:" not in result.stdout


def test_a_lost_sense_is_summed_up_in_one_warning(system: Brightness, walk: Path, tmp_path: Path) -> None:
    for index in (3, 4):
        (walk / "thermal" / f"{index:04d}.png").write_bytes(b"broken")
    result = tectum_track(walk, *BOX, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert len(rows(tmp_path / "walk.txt")) == 8
    assert result.stderr.count("thermal was missing in 2 of 8 frames (first frame 3") == 1
    assert result.stderr.endswith("). Another sense stood in.\n")
    assert "0003.png" in result.stderr
    assert "0004.png" not in result.stderr


def test_stop_ends_the_run_but_keeps_what_is_done(system: Brightness, walk: Path, tmp_path: Path) -> None:
    (walk / "thermal" / "0003.png").write_bytes(b"broken")
    result = tectum_track(walk, *BOX, "--out", tmp_path, "--missing", "stop")
    assert result.exit_code == 2
    assert len(rows(tmp_path / "walk.txt")) == 3
    assert "error: Frame 3 lacks thermal" in result.stderr
    assert "0003.png" in result.stderr
    assert "3 frames" in result.stdout
    assert "Traceback" not in result.output


def test_ctrl_c_keeps_what_is_done(system: Brightness, walk: Path, tmp_path: Path) -> None:
    system.fails_at = (5, KeyboardInterrupt())
    result = tectum_track(walk, *BOX, "--out", tmp_path, "--video", tmp_path / "walk.mp4")
    assert result.exit_code == 130
    assert len(rows(tmp_path / "walk.txt")) == 5
    assert str(tmp_path / "walk.txt") in result.stdout
    assert cv2.VideoCapture(str(tmp_path / "walk.mp4")).get(cv2.CAP_PROP_FRAME_COUNT) == 5


def test_results_are_on_disk_while_the_run_goes_on(walk: Path, tmp_path: Path) -> None:
    lengths = []

    def watch(moment: object) -> None:
        lengths.append(len(rows(tmp_path / "walk.txt")))

    track = tectum.track(Tracker(Brightness()), walk, box=(60, 50, 16, 16), out=tmp_path, watch=watch)
    assert lengths == list(range(1, 9))
    assert np.allclose(track.boxes, rows(tmp_path / "walk.txt"), atol=5e-4)
    assert track.name == "walk"
    assert track.estimates[0].score == 1


def test_the_library_gives_a_list_for_several_boxes(walk: Path) -> None:
    tracks = tectum.track(Tracker(Brightness()), walk, boxes=[(60, 50, 16, 16), (40, 40, 30, 30)])
    assert [track.name for track in tracks] == ["walk_1", "walk_2"]
    assert [track.boxes.shape for track in tracks] == [(8, 4), (8, 4)]
    with pytest.raises(BoxError, match="either box"):
        tectum.track(Tracker(Brightness()), walk, boxes=[])


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        ((), "No target is given"),
        ((*BOX, "--select"), "one way only"),
        (("--box", "1,2,3"), "four numbers"),
        (("--box", "1,2,x,4"), "four numbers"),
        (("--box", "nan,2,3,4"), "no numbers"),
        (("--box", "10,10,0,5"), "no area"),
        (("--box", "999,10,5,5"), "outside the 160x120 image"),
        ((*BOX, "--missing", "guess"), "copy, zero, stop"),
        ((*BOX, "--device", "toaster"), "no device 'toaster'"),
        ((*BOX, "--box-file", "boxes.txt"), "one way only"),
        ((*BOX, "--rgb", "elsewhere"), "leave one of them out"),
    ],
)
def test_mistakes_get_one_sentence_and_code_2(
    system: Brightness, walk: Path, tmp_path: Path, words: tuple[str, ...], cause: str
) -> None:
    (tmp_path / "walk.txt").write_text("earlier results\n")
    result = tectum_track(walk, *words, "--out", tmp_path)
    assert result.exit_code == 2
    assert cause in result.stderr
    assert result.stderr.startswith("error: ")
    assert len(result.stderr.strip().splitlines()) == 1
    assert (tmp_path / "walk.txt").read_text() == "earlier results\n"


def test_sources_that_are_not_there(system: Brightness, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for words, name in (
        ((tmp_path / "nowhere",), "nowhere"),
        ((tmp_path / "empty",), "empty"),
        ((), "nothing to track"),
    ):
        result = tectum_track(*words, *BOX, "--out", tmp_path)
        assert result.exit_code == 2
        assert name in result.stderr
    assert tectum_track("--no-such-option").exit_code == 2


def test_an_unwritable_folder_is_named(system: Brightness, walk: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = tectum_track(walk, *BOX, "--out", tmp_path / "file")
    assert result.exit_code == 2
    assert "cannot be written" in result.stderr


def test_a_ground_truth_is_pointed_at_but_never_used_unasked(system: Brightness, walk: Path, tmp_path: Path) -> None:
    (walk / "groundtruth.txt").write_text("60,50,16,16\n63,50,16,16\n")
    result = tectum_track(walk, "--out", tmp_path)
    assert result.exit_code == 2
    assert f"--box-file {walk / 'groundtruth.txt'}" in result.stderr
    assert tectum_track(walk, "--box-file", walk / "groundtruth.txt", "--out", tmp_path).exit_code == 0
    assert rows(tmp_path / "walk.txt")[0].tolist() == [60, 50, 16, 16]


def test_box_files(tmp_path: Path) -> None:
    file = tmp_path / "boxes.txt"
    file.write_text("1\t2\t3\t4\n")
    assert read_box_file(file) == ([(1, 2, 3, 4)], [])
    file.write_text("\nnan,nan,nan,nan\n0,0,0,0\n5,6,7,8\n9,9,9,9\n")
    boxes, (warning,) = read_box_file(file)
    assert boxes == [(5, 6, 7, 8)]
    assert "row 4" in warning
    for content, cause in (("", "no row"), ("nan,nan,nan,nan", "no row"), ("hello\n1,2,3,4", "Row 1")):
        file.write_text(content)
        with pytest.raises(BoxError, match=cause):
            read_box_file(file)
    for path in (tmp_path, tmp_path / "nowhere.txt"):
        with pytest.raises(BoxError, match="cannot be read"):
            read_box_file(path)


def test_select_without_a_display_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(BoxError, match="needs a display"):
        draw_boxes(lit_frame(60, 50))


@pytest.mark.skipif("GUI:                           NONE" not in cv2.getBuildInformation(), reason="OpenCV has windows")
def test_select_with_a_headless_opencv_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":0")
    with pytest.raises(BoxError, match="headless"):
        draw_boxes(lit_frame(60, 50))
    with pytest.raises(BoxError, match="every sense is missing"):
        draw_boxes(Frame({Modality.RGB: None}))


def test_drawn_targets_are_followed_from_the_first_frame(
    system: Brightness, walk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []

    def draw(frame: Frame) -> list[Box]:
        drawn.append(frame.index)
        return [Box(60, 50, 16, 16)]

    monkeypatch.setattr("tectum.cli.running.draw_boxes", draw)
    result = tectum_track(walk, "--select", "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert drawn == [0]
    assert len(rows(tmp_path / "walk.txt")) == 8


def test_renderings_are_set_from_the_command_line() -> None:
    looks = read_renderings(["depth.color_map=gray", "depth.clip=false", "thermal.low=2"])
    assert looks.depth == DepthRendering(clip=False, color_map=ColorMap.GRAY)
    assert looks.thermal == ThermalRendering(low=2)
    with pytest.raises(SourceError, match="JET, TURBO, GRAY"):
        read_renderings(["depth.color_map=blue"])
    with pytest.raises(SourceError, match="colour"):
        read_renderings(["depth.colour=blue"])


def test_result_names_are_safe() -> None:
    assert [path.name for path in result_paths("out", "bus", 1)] == ["bus.txt"]
    assert [path.name for path in result_paths("out", "bus", 2)] == ["bus_1.txt", "bus_2.txt"]
    assert result_paths("out", "rtsp://me@host/../x", 1)[0].parent == Path("out")
    assert result_paths("out", "..", 1)[0].name == "track.txt"


def test_a_run_that_cannot_begin_makes_no_files(tmp_path: Path) -> None:
    with ResultFiles([tmp_path / "deep" / "a.txt"]):
        pass
    assert not (tmp_path / "deep").exists()
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(TectumError, match=r"a\.txt cannot be written"), ResultFiles([tmp_path / "a.txt"]) as files:
        files.write([(1, 2, 3, 4)])  # type: ignore[list-item]


def test_videos_play_at_the_speed_of_the_recording() -> None:
    assert frame_rate(0.0, 1 / 30) == pytest.approx(30)
    assert frame_rate(None, 0.1) == frame_rate(5.0, 5.0) == frame_rate(0.0, 3600.0) == 25


def test_help_and_version_need_no_torch() -> None:
    code = "import sys, tectum.cli.main; sys.exit('torch' in sys.modules or 'cv2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0
    assert CliRunner().invoke(app, ["--version"]).stdout.strip() == f"tectum {tectum.__version__}"
    assert set(tectum.__all__) <= {name for name in tectum.__all__ if hasattr(tectum, name)}


@pytest.mark.skipif(os.name != "posix", reason="signals are sent the POSIX way")
def test_a_real_interrupt_leaves_whole_lines(walk: Path, tmp_path: Path) -> None:
    script = tmp_path / "endless.py"
    script.write_text(
        "import itertools, tectum.weights\n"
        "from tests.brightness import Brightness, lit_frame\n"
        "from tectum.sources.recording import StreamRecording\n"
        "tectum.weights.load = lambda *given: Brightness()\n"
        "StreamRecording.__iter__ = lambda self: (lit_frame(60, 50, i) for i in itertools.count())\n"
        "from tectum.cli.main import run\n"
        "run()\n"
    )
    out = tmp_path / "out"
    command = [sys.executable, str(script), "track", str(walk), *BOX, "--out", str(out)]
    paths = [str(Path(__file__).resolve().parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and run.poll() is None:
            if (out / "walk.txt").exists() and len((out / "walk.txt").read_text().splitlines()) > 5:
                break
            time.sleep(0.05)
        run.send_signal(signal.SIGINT)
        said, complained = run.communicate(timeout=60)
    assert run.returncode == 130, complained
    assert "Traceback" not in complained
    done = len(rows(out / "walk.txt"))
    # The signal may come after a line is written and before it is counted.
    assert f"{done} frames" in said or f"{done - 1} frames" in said
