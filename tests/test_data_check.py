"""`tectum data check` on downloads with everything that goes wrong with them."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import typer
from typer.testing import CliRunner, Result

from tectum.benchmarks import find
from tectum.benchmarks.checking import Finding, State, check_sequences, whole_splits
from tectum.cli.data import data
from tectum.cli.main import Commands
from tectum.errors import BenchmarkError

IMAGE = cv2.imencode(".jpg", np.full((12, 16, 3), 90, np.uint8))[1].tobytes()

app = typer.Typer(cls=Commands)
app.add_typer(data, name="data")


def tectum_data_check(*words: object) -> Result:
    return CliRunner().invoke(app, ["data", "check", *map(str, words)])


def put(folder: Path, images: dict[str, int], annotations: dict[str, int]) -> Path:
    """A sequence: so many images in each folder and so many boxes in each file."""
    for name, count in images.items():
        (folder / name).mkdir(parents=True)
        for index in range(count):
            (folder / name / f"{index:06d}.jpg").write_bytes(IMAGE)
    for name, rows in annotations.items():
        (folder / name).write_text("1,2,3,4\n" * rows)
    return folder


def put_lasher(root: Path, name: str, infrared: int = 5, rows: int = 5) -> Path:
    return put(root / name, {"visible": 5, "infrared": infrared}, {"visible.txt": rows, "infrared.txt": rows})


def look(benchmark: str, root: Path, name: str) -> Finding:
    (finding,) = check_sequences(find(benchmark), root, [name])
    return finding


def test_a_whole_sequence_is_present(tmp_path: Path) -> None:
    put_lasher(tmp_path, "3men")
    assert look("lasher", tmp_path, "3men") == Finding("3men", State.PRESENT, frames=5)


def test_a_sequence_in_a_package_is_present(tmp_path: Path) -> None:
    put_lasher(tmp_path / "testingset", "3men")
    assert look("lasher", tmp_path, "3men").state is State.PRESENT


def test_only_first_middle_and_last_images_are_read(tmp_path: Path) -> None:
    folder = put_lasher(tmp_path, "3men")
    for index in (1, 3):
        (folder / "visible" / f"{index:06d}.jpg").write_bytes(b"")
    assert look("lasher", tmp_path, "3men").state is State.PRESENT


@pytest.mark.parametrize("index", [0, 2, 4])
def test_an_empty_image_is_damage(tmp_path: Path, index: int) -> None:
    path = put_lasher(tmp_path, "3men") / "infrared" / f"{index:06d}.jpg"
    path.write_bytes(b"")
    finding = look("lasher", tmp_path, "3men")
    assert finding.state is State.DAMAGED
    assert str(path) in finding.reason
    assert "empty" in finding.reason


def test_a_cut_off_image_is_damage(tmp_path: Path) -> None:
    (put_lasher(tmp_path, "3men") / "visible" / "000004.jpg").write_bytes(IMAGE[: len(IMAGE) // 2])
    assert "000004.jpg cannot be decoded" in look("lasher", tmp_path, "3men").reason


@pytest.mark.parametrize(
    ("infrared", "rows", "words"),
    [
        (4, 5, "unequally many images: 5 of rgb, 4 of thermal"),
        (5, 6, "5 images, but 6 boxes"),
        (5, 4, "5 images, but 4 boxes"),
        (0, 5, "infrared holds no images"),
    ],
)
def test_counts_that_differ_are_damage(tmp_path: Path, infrared: int, rows: int, words: str) -> None:
    put_lasher(tmp_path, "3men", infrared, rows)
    finding = look("lasher", tmp_path, "3men")
    assert finding.state is State.DAMAGED
    assert words in finding.reason


def test_a_sense_without_its_folder_is_damage(tmp_path: Path) -> None:
    put(tmp_path / "3men", {"visible": 5}, {"visible.txt": 5, "infrared.txt": 5})
    assert "no thermal images" in look("lasher", tmp_path, "3men").reason


def test_an_unreadable_annotation_is_damage(tmp_path: Path) -> None:
    path = put_lasher(tmp_path, "3men") / "visible.txt"
    path.write_text("1,2,3,4\nfour,boxes,and,more\n")
    finding = look("lasher", tmp_path, "3men")
    assert finding.state is State.DAMAGED
    assert str(path) in finding.reason


@pytest.mark.parametrize(("images", "state"), [(20, "damaged"), (21, "present"), (30, "present"), (31, "damaged")])
def test_every_tenth_image_is_annotated_in_vtuav(tmp_path: Path, images: int, state: str) -> None:
    put(tmp_path / "animal_001", {"rgb": images, "ir": images}, {"rgb.txt": 3, "ir.txt": 3})
    assert look("vtuav", tmp_path, "animal_001").state == state


def test_one_public_box_is_enough_where_the_others_are_secret(tmp_path: Path) -> None:
    put(tmp_path / "GOT-10k_Test_000001", {"": 4}, {"groundtruth.txt": 1})
    assert look("got10k", tmp_path, "GOT-10k_Test_000001") == Finding("GOT-10k_Test_000001", State.PRESENT, frames=4)


@pytest.mark.parametrize(
    ("name", "renamed"),
    [
        ("ab_bikeoccluded", "AB_BikeOccluded"),
        ("ab_bikeoccluded", "ab bikeoccluded"),
        ("ab_bikeoccluded", "ab_bikeoccluded_done"),
        ("leftgirl'swhitebag", "leftgirlswhitebag"),
    ],
)
def test_a_renamed_folder_is_suggested(tmp_path: Path, name: str, renamed: str) -> None:
    put_lasher(tmp_path, renamed)
    finding = look("lasher", tmp_path, name)
    assert finding.state is State.MISSING
    assert f"{renamed} may be it" in finding.reason


def test_a_missing_root_is_told() -> None:
    with pytest.raises(BenchmarkError, match="no folder"):
        list(check_sequences(find("lasher"), Path("nowhere"), ["3men"]))


def test_parts_of_other_splits_are_not_looked_at_twice() -> None:
    assert whole_splits(find("lasher")) == ("test", "train")
    assert whole_splits(find("coesot")) == ("test", "train", "val")
    assert whole_splits(find("got10k")) == ("val", "test", "train")
    assert whole_splits(find("plain")) == ("all",)


def test_users_recordings_may_lack_images_of_a_sense(tmp_path: Path) -> None:
    put(tmp_path / "walk", {"rgb": 5, "thermal": 4}, {"groundtruth.txt": 5})
    assert look("plain", tmp_path, "walk").state is State.PRESENT


@pytest.fixture
def download(tmp_path: Path) -> Path:
    """The 6 validation sequences of DepthTrack but for two, one of the others damaged."""
    names = find("depthtrack").names(tmp_path, "val")
    for name in names[2:]:
        put(tmp_path / name, {"color": 2, "depth": 2}, {"groundtruth.txt": 2})
    (tmp_path / names[2] / "groundtruth.txt").write_text("")
    return tmp_path


def test_each_problem_is_told_once_and_each_split_summed_up(download: Path) -> None:
    result = tectum_data_check("DepthTrack", download)
    first, second, third = find("depthtrack").names(download, "val")[:3]
    lines = result.stdout.splitlines()
    assert result.exit_code == 0
    assert lines[0] == f"missing: {first}, {second}: No folder has this name: download it again."
    assert lines[1].startswith(f"damaged: {third}: {download / third / 'groundtruth.txt'} is empty")
    assert lines[2:] == [
        "test: none of 50 sequences",
        "train: none of 146 sequences",
        "val: 3 of 6 sequences, 6 frames; 2 missing, 1 damaged",
    ]


def test_problems_that_differ_in_the_name_only_are_one_line(tmp_path: Path) -> None:
    for name in find("rgbt210").names(tmp_path):
        (tmp_path / name).mkdir()
        (tmp_path / name / "init.txt").write_text("1,2,3,4\n")
    problems, summary = tectum_data_check("rgbt210", tmp_path).stdout.splitlines()
    assert problems.startswith("damaged: afterrain, aftertree, ")
    assert problems.endswith(f"Folder {tmp_path / 'NAME'} has no folder visible with its RGB images.")
    assert summary == "test: 0 of 210 sequences, 0 frames; 0 missing, 210 damaged"


def test_a_wrong_folder_is_told_with_what_was_looked_for(tmp_path: Path) -> None:
    result = tectum_data_check("lasher", tmp_path)
    assert result.exit_code == 2
    assert "None of 1224 sequences of LasHeR is in" in result.stderr
    assert "or one level below" in result.stderr
    assert "holds no sequences of Plain" in tectum_data_check("plain", tmp_path).stderr


def test_a_split_that_the_download_should_list_is_not_passed_over(tmp_path: Path) -> None:
    name = find("rgbd1k").lists.splits["train"][0]
    put(tmp_path / name, {"color": 2, "depth": 2}, {"groundtruth.txt": 2})
    result = tectum_data_check("rgbd1k", tmp_path)
    assert result.exit_code == 0
    assert "train: 1 of 1001" in result.stdout
    assert "list.txt" in result.stderr
    assert tectum_data_check("rgbd1k", tmp_path, "--strict").exit_code == 2


def test_strict_leaves_with_2_unless_all_is_there(download: Path) -> None:
    put(download / "mine" / "walk", {"rgb": 5}, {"groundtruth.txt": 5})
    assert tectum_data_check("plain", download / "mine", "--strict").exit_code == 0
    assert tectum_data_check("depthtrack", download, "--split", "val", "--strict").exit_code == 2


def test_json_lists_every_sequence_by_how_it_is(download: Path) -> None:
    told = json.loads(tectum_data_check("depthtrack", download, "--json", "--split", "val").stdout)
    names = list(find("depthtrack").names(download, "val"))
    assert list(told["splits"]) == ["val"]
    split = told["splits"]["val"]
    assert (split["missing"], split["damaged"], split["present"]) == (names[:2], names[2:3], names[3:])
    assert set(told["reasons"]) == set(names[:3])


@pytest.mark.parametrize("words", [("lasher", "nowhere"), ("lasher", ".", "--split", "tset"), ("lesher", ".")])
def test_mistakes_are_one_sentence(words: tuple[str, ...]) -> None:
    result = tectum_data_check(*words)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
