"""Readers of benchmarks on small downloads made up in each layout, with the irregularities that real ones have."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from tectum.benchmarks import BENCHMARKS, find
from tectum.errors import BenchmarkError, UnknownNameError
from tectum.frames import Modality

NAN = np.nan
REAL = Path(__file__).resolve().parents[1].parent / "shared" / "real"

# Per benchmark: a sequence, its folder in the download, its files, its image folders.
BOXES = "10,20,30,40\n11,21,30,40\n12,22,30,40\n"
EXPECTED = np.array([[10.0, 20, 30, 40], [11, 21, 30, 40], [12, 22, 30, 40]])
DOWNLOADS: dict[str, tuple[str, str, dict[str, str], tuple[str, ...]]] = {
    "lasher": ("boy`s1", "testingset/boy`s1", {"visible.txt": BOXES}, ("visible", "infrared")),
    "rgbt234": ("car10", "car10", {"visible.txt": BOXES, "infrared.txt": BOXES}, ("visible", "infrared")),
    "rgbt210": ("car10", "car10", {"init.txt": BOXES.replace("\n", "\r\n")}, ("visible", "infrared")),
    "gtot": (
        "BlackCar",
        "BlackCar",
        dict.fromkeys(("groundTruth_v.txt", "groundTruth_i.txt"), "10 20 40 60\n11 21 41 61\n12 22 42 62\n"),
        ("v", "i"),
    ),
    "visevent": ("00141_tank", "test/00141_tank", {"groundtruth.txt": BOXES}, ("vis_imgs", "event_imgs")),
    "coesot": ("dvSave-1", "test/dvSave-1", {"groundtruth.txt": BOXES}, ("dvSave-1_aps", "dvSave-1_dvs")),
    "fe108": ("dog", "test/dog", {"groundtruth_rect.txt": BOXES}, ("img", "event_imgs")),
    "depthtrack": ("bag01", "sequences/bag01", {"groundtruth.txt": BOXES.replace(",", "\t")}, ("color", "depth")),
    "cdtb": ("bag", "bag", {"groundtruth.txt": BOXES}, ("color", "depth")),
    "rgbd1k": ("Adapter/adapter1", "Adapter/adapter1", {"groundtruth_rect.txt": BOXES}, ("color", "depth")),
    "votrgbd2022": ("bag_1", "bag_1", {"groundtruth.txt": BOXES, "anchor.value": "1\n0\n-1\n"}, ("color", "depth")),
    "tnl2k": ("Fight_6-Done", "Fight_6-Done", {"groundtruth.txt": BOXES, "language.txt": "a man, left\n"}, ("imgs",)),
    "lasot": ("cat-1", "cat/cat-1", {"groundtruth.txt": BOXES, "nlp.txt": "a man, left\nmore"}, ("img",)),
    "lasot_ext": ("atv-1", "atv-1", {"groundtruth.txt": BOXES.rstrip(), "nlp.txt": "a man, left"}, ("img",)),
    "otb99lang": ("Biker", "OTB_videos/Biker", {"groundtruth_rect.txt": BOXES.replace(",", "  ")}, ("img",)),
    "got10k": ("GOT-10k_Val_000001", "val/GOT-10k_Val_000001", {"groundtruth.txt": BOXES}, (".",)),
    "plain": ("bus", "bus", {"groundtruth.txt": BOXES.replace("\n", "\r")}, ("rgb", "thermal")),
}


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content.encode())
    return folder


def paint(folder: Path, grays: list[int], first: int = 1, pattern: str = "{:04d}.png") -> None:
    """Images that are told apart by their gray value."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, gray in enumerate(grays, first):
        cv2.imwrite(str(folder / pattern.format(number)), np.full((32, 48, 3), gray, np.uint8))


def grays(sequence, sense: Modality) -> list[int | None]:
    images = (frame.images[sense] for frame in sequence.recording)
    return [None if image is None else int(image[0, 0, 0]) for image in images]


@pytest.mark.parametrize("benchmark", DOWNLOADS)
def test_every_layout_gives_boxes_and_paired_images_in_any_order(tmp_path: Path, benchmark: str) -> None:
    name, place, files, folders = DOWNLOADS[benchmark]
    write(tmp_path / place, files)
    for shift, folder in enumerate(folders):
        # Each sense numbers its files in its own way; the second one lost its last image.
        paint(tmp_path / place / folder, [10 + shift, 20 + shift, 30 + shift][: 3 - shift], 8 + 7 * shift)
    reader = find(benchmark)
    roots = {tmp_path, (tmp_path / place).parent} if "/" not in name else {tmp_path}
    for root in roots:
        np.testing.assert_array_equal(reader.truth(root, name).boxes, EXPECTED)
    assert (reader.truth(tmp_path, name).second is not None) == (benchmark in ("rgbt234", "gtot"))
    sequence = reader.sequence(tmp_path, name)
    np.testing.assert_array_equal(sequence.boxes, EXPECTED)
    assert (sequence.text == "a man, left") == (benchmark in ("tnl2k", "lasot", "lasot_ext"))
    backwards = reader.sequence(tmp_path, name, order=[2, 1, 0])
    np.testing.assert_array_equal(backwards.boxes, EXPECTED[::-1])
    assert grays(sequence, Modality.RGB) == [10, 20, 30] == grays(backwards, Modality.RGB)[::-1]
    if len(folders) == 2 and benchmark != "plain":
        second = reader.senses[1]
        assert grays(sequence, second) == [11, 21, None] == grays(backwards, second)[::-1]


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_a_missing_sequence_is_named(tmp_path: Path, benchmark: str) -> None:
    with pytest.raises(BenchmarkError, match=rf"Sequence renamed of {find(benchmark).title}: There is no folder .*"):
        find(benchmark).truth(tmp_path, "renamed")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "visible.txt is empty"),
        ("1,2,3,4\n1,2,?,4\n", r"visible.txt has '\?' in line 2"),
        ("1,2,3\n", "visible.txt has 3 columns"),
        (None, "holds no visible.txt or init.txt"),
    ],
)
def test_damaged_ground_truth_is_named(tmp_path: Path, content: str | None, reason: str) -> None:
    write(tmp_path / "boy", {"other.txt": "1"} if content is None else {"visible.txt": content})
    with pytest.raises(BenchmarkError, match=rf"^Sequence boy of LasHeR: .*{reason}"):
        find("lasher").truth(tmp_path, "boy")


def test_images_are_needed_only_for_tracking(tmp_path: Path) -> None:
    write(tmp_path, {"boy.txt": BOXES, "girl/visible.txt": BOXES})
    assert find("lasher").truth(tmp_path, "boy").absent is None
    with pytest.raises(BenchmarkError, match="Only its annotations"):
        find("lasher").sequence(tmp_path, "boy")
    with pytest.raises(BenchmarkError, match="no folder visible with its RGB images"):
        find("lasher").sequence(tmp_path, "girl")


def test_labels_keep_the_polarity_of_whoever_wrote_them(tmp_path: Path) -> None:
    absent = [False, True, False]
    write(tmp_path / "data/tank", {"groundtruth.txt": BOXES, "absent_label.txt": "1\n0\n1\n"})
    write(tmp_path / "data/dvs", {"groundtruth.txt": BOXES, "absent.txt": "1\r\n0\r\n1"})
    write(tmp_path / "annos", {"gt_rect/tank.txt": BOXES, "absent/tank.txt": "0 \n1 \n0 \n1 \n"})
    cat = {"groundtruth.txt": BOXES, "full_occlusion.txt": "0,1,0", "out_of_view.txt": "0,1,0\n"}
    write(tmp_path / "data/cat-1", cat)
    write(tmp_path / "data/GOT-1", {"groundtruth.txt": BOXES, "cover.label": "8\n0\n1\n"})
    for benchmark, root, name in [
        ("visevent", "data", "tank"),
        ("visevent", "annos", "tank"),
        ("visevent", "annos/gt_rect", "tank"),
        ("visevent", "", "tank"),
        ("coesot", "data", "dvs"),
        ("tnl2k", "annos", "tank"),
        ("lasot", "data", "cat-1"),
        ("got10k", "data", "GOT-1"),
    ]:
        found = find(benchmark).truth(tmp_path / root, name).absent
        # The root above both finds the toolkit's file before it looks one level down.
        assert found is not None, benchmark
        assert found.tolist() == absent, (benchmark, root)
    write(tmp_path / "data/short", {"groundtruth.txt": BOXES, "absent_label.txt": "1\n0\n"})
    with pytest.raises(BenchmarkError, match="2 labels for 3 boxes"):
        find("visevent").truth(tmp_path / "data", "short")


def test_absent_targets_have_no_box_in_a_sequence(tmp_path: Path) -> None:
    write(tmp_path / "boy", {"visible.txt": "1,2,3,4\n0,0,0,0\n-5,0,9,9\n"})
    paint(tmp_path / "boy/visible", [1, 2, 3, 4])
    boxes = find("lasher").sequence(tmp_path, "boy").boxes
    np.testing.assert_array_equal(boxes, [[1, 2, 3, 4], [NAN] * 4, [-5, 0, 9, 9], [NAN] * 4])
    assert find("lasher").truth(tmp_path, "boy").boxes[1].tolist() == [0, 0, 0, 0]


def test_both_senses_of_rgbt234_must_be_there_and_agree(tmp_path: Path) -> None:
    write(tmp_path / "car", {"visible.txt": BOXES, "init.txt": BOXES})
    with pytest.raises(BenchmarkError, match=r"infrared\.txt cannot be read"):
        find("rgbt234").truth(tmp_path, "car")
    write(tmp_path / "car", {"infrared.txt": "1,2,3,4\n"})
    with pytest.raises(BenchmarkError, match=r"has 1 boxes, but .* has 3"):
        find("rgbt234").truth(tmp_path, "car")


def test_vtuav_annotates_every_tenth_image(tmp_path: Path) -> None:
    reader = find("vtuav")
    name = next(name for name, first in reader.lists.facts["first_image"].items() if first == 8)
    for each in ("plane_001", name):
        write(tmp_path / "test_ST_005" / each, {"rgb.txt": "1 2 3 4\n5 6 7 8\n", "ir.txt": "1 2 3 4\n5 6 7 9\n"})
        paint(tmp_path / "test_ST_005" / each / "rgb", list(range(20)), first=0)
    truth = reader.truth(tmp_path, "plane_001")
    assert truth.images is not None
    assert truth.second is not None
    assert truth.images.tolist() == [0, 10]
    assert truth.second[1].tolist() == [5, 6, 7, 9]
    boxes = reader.sequence(tmp_path, name).boxes
    assert np.flatnonzero(np.isfinite(boxes).all(1)).tolist() == [8, 18]


def test_raw_events_of_fe108_begin_earlier(tmp_path: Path) -> None:
    reader = find("fe108")
    name = min(reader.lists.facts["event_offset"], key=lambda each: int(reader.lists.facts["event_offset"][each]))
    offset = int(reader.lists.facts["event_offset"][name])
    write(tmp_path / name, {"groundtruth_rect.txt": BOXES})
    paint(tmp_path / name / "img", [10, 20, 30])
    paint(tmp_path / name / "events/events_dvs", [*range(offset + 5)])
    sequence = reader.sequence(tmp_path, name)
    assert grays(sequence, Modality.EVENT) == [offset, offset + 1, offset + 2]
    write(tmp_path / "new", {"groundtruth_rect.txt": BOXES})
    (tmp_path / name / "img").rename(tmp_path / "new/img")
    (tmp_path / name / "events").rename(tmp_path / "new/events")
    with pytest.raises(BenchmarkError, match="No table says"):
        reader.sequence(tmp_path, "new")


def test_irregular_sequences_of_otb(tmp_path: Path) -> None:
    videos = tmp_path / "OTB_videos"
    write(videos / "Human4", {"groundtruth_rect.txt": "9,9,9,9\n", "groundtruth_rect.2.txt": BOXES})
    write(videos / "BlurCar3", {"groundtruth_rect.txt": BOXES})
    write(tmp_path / "OTB_query_test", {"BlurCar3.txt": " a blue car, driving \n"})
    paint(videos / "BlurCar3/img", [1, 2, 3, 4, 5])
    for root in (tmp_path, videos):
        np.testing.assert_array_equal(find("OTB99-LANG").truth(root, "Human4_2").boxes, EXPECTED)
        sequence = find("otb99lang").sequence(root, "BlurCar3")
        assert grays(sequence, Modality.RGB) == [3, 4, 5]
        assert sequence.text == "a blue car, driving"
        np.testing.assert_array_equal(sequence.boxes, EXPECTED)


def test_vot_writes_absence_in_several_ways(tmp_path: Path) -> None:
    write(tmp_path / "bag", {"groundtruth.txt": "1,2,3,4\n1,2,-1,-1\n1,2,0,0\nnan,nan,nan,nan\n5,6,7,8\n"})
    write(tmp_path / "box", {"groundtruth.txt": "0\n1,2,3,4\n0\n", "sequence": "fps=30\nheight=480\nwidth=640\n"})
    paint(tmp_path / "bag/color", [1, 2, 3, 4, 5])
    boxes = find("depthtrack").truth(tmp_path, "bag").boxes
    np.testing.assert_array_equal(boxes, [[1, 2, 3, 4], *[[NAN] * 4] * 3, [5, 6, 7, 8]])
    assert find("cdtb").truth(tmp_path, "bag").size == (48, 32)
    truth = find("cdtb").truth(tmp_path, "box")
    assert truth.size == (640, 480)
    assert np.isnan(truth.boxes).all(1).tolist() == [True, False, True]
    assert truth.start == 1


def test_anchors_start_forwards_and_backwards(tmp_path: Path) -> None:
    write(tmp_path / "bag", {"groundtruth.txt": BOXES * 2, "anchor.value": "1\n0\n1\n-1\n0\n-1\n"})
    anchors = find("VOT-RGBD2022").truth(tmp_path, "bag").anchors
    assert anchors is not None
    assert anchors.tolist() == [0, 2, -3, -5]
    write(tmp_path / "bag", {"anchor.value": "0\n0\n"})
    with pytest.raises(BenchmarkError, match="no anchor"):
        find("votrgbd2022").truth(tmp_path, "bag")


def test_got10k_takes_its_size_from_its_description(tmp_path: Path) -> None:
    write(tmp_path / "val/GOT-1", {"groundtruth.txt": BOXES, "meta_info.ini": "[META]\nresolution: (1920, 1080)\n"})
    assert find("got10k").truth(tmp_path, "GOT-1").size == (1920, 1080)


def test_lasot_is_cut_to_what_its_toolkit_annotates(tmp_path: Path) -> None:
    name, rows = next(iter(find("lasot").lists.facts["truth_rows"].items()))
    write(tmp_path / name, {"groundtruth.txt": "1,2,3,4\n" * (int(rows) + 5)})
    truth = find("lasot").truth(tmp_path, name)
    assert (len(truth.boxes), truth.length) == (rows, int(rows) + 5)


def test_rgbd1k_reads_its_test_list_from_the_download(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"listed in .*list\.txt, which is not there"):
        find("rgbd1k").names(tmp_path)
    write(tmp_path, {"list.txt": "boy_1\r\ndog_2"})
    assert find("rgbd1k").names(tmp_path) == ("boy_1", "dog_2")


def test_benchmarks_are_found_by_name_and_title() -> None:
    for benchmark in BENCHMARKS.values():
        assert find(benchmark.name.upper()) is find(benchmark.title) is benchmark
    with pytest.raises(UnknownNameError, match="use one of lasher, rgbt234"):
        find("lashr")


@pytest.mark.skipif(not REAL.is_dir(), reason="real ground truth is not here: put the shared folder beside the project")
@pytest.mark.parametrize(("benchmark", "count", "rows"), [("lasher", 245, 220_703), ("rgbt210", 210, 104_706)])
def test_real_ground_truth_is_complete(benchmark: str, count: int, rows: int) -> None:
    reader = find(benchmark)
    root = REAL / "results" / benchmark / "groundtruth"
    names = reader.names(root)
    truths = [reader.truth(root, name) for name in names]
    assert (len(names), sum(len(truth.boxes) for truth in truths)) == (count, rows)
