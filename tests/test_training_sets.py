"""The sets that are only trained on, each in the layout of its download."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from tectum.benchmarks import find
from tectum.benchmarks.imagenetvid import ImageNetVID
from tectum.errors import BenchmarkError, RecipeError, SourceError, UnknownNameError
from tectum.frames import Modality
from tectum.training.stills import COCO, ImageNetDET, Stills

IMAGE = cv2.imencode(".jpg", np.full((50, 100, 3), 90, np.uint8))[1].tobytes()


def put(path: Path, content: str | bytes = IMAGE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def described(*things: tuple[int, int, int, int, int, int]) -> str:
    """An ImageNet description; each thing is track, left, top, right, bottom, occluded."""
    blocks = (
        f"<object><trackid>{track}</trackid><name>n01</name><bndbox><xmax>{right}</xmax><xmin>{left}</xmin>"
        f"<ymax>{bottom}</ymax><ymin>{top}</ymin></bndbox><occluded>{hidden}</occluded></object>"
        for track, left, top, right, bottom, hidden in things
    )
    return f"<annotation><size><width>100</width></size>{''.join(blocks)}</annotation>"


def test_trackingnet_sorts_its_unpadded_numbers(tmp_path: Path) -> None:
    for frame in range(11):
        put(tmp_path / "TRAIN_1" / "frames" / "abc_0" / f"{frame}.jpg")
    put(tmp_path / "TRAIN_1" / "anno" / "abc_0.txt", "".join(f"{frame},2,3,{frame}\n" for frame in range(11)))
    put(tmp_path / "TRAIN_10" / "anno" / "xyz_0.txt", "1,2,3,4\n")
    put(tmp_path / "TEST" / "anno" / "t_0.txt", "1,2,3,4\n")
    net = find("TrackingNet")
    assert net.names(tmp_path, "train") == ("TRAIN_1/abc_0", "TRAIN_10/xyz_0")
    assert net.names(tmp_path, "TRAIN_10") == ("TRAIN_10/xyz_0",)
    assert net.names(tmp_path) == ("TEST/t_0",)
    sequence = net.sequence(tmp_path, "TRAIN_1/abc_0")
    assert sequence.recording.length == 11
    assert np.isnan(sequence.boxes[0]).all()
    np.testing.assert_array_equal(sequence.boxes[10], [10, 2, 3, 10])
    assert [path.stem for path in sequence.recording.streams[Modality.RGB].files[:3]] == ["0", "1", "2"]  # type: ignore[attr-defined]
    with pytest.raises(UnknownNameError, match="no split 'val'"):
        net.names(tmp_path, "val")
    with pytest.raises(BenchmarkError, match="Only its annotations"):
        net.sequence(tmp_path, "TEST/t_0")


def test_things_of_imagenet_videos_are_sequences(tmp_path: Path) -> None:
    video = Path("train/ILSVRC2015_VID_train_0000/ILSVRC2015_train_00000007")
    frames = [
        [(0, 10, 10, 30, 20, 0)],
        [(0, 11, 10, 31, 20, 1), (1, 50, 5, 60, 25, 0)],
        [(1, 51, 5, 61, 25, 0), (0, 12, 10, 32, 20, 0)],
        [(0, 13, 10, 33, 20, 0)],
        [(1, 53, 5, 63, 25, 0)],
    ]
    for index, things in enumerate(frames):
        put(tmp_path / "Annotations" / "VID" / video / f"{index:06d}.xml", described(*things))
        put(tmp_path / "Data" / "VID" / video / f"{index:06d}.JPEG")
    vid = ImageNetVID()
    names = vid.names(tmp_path)
    assert names == (f"{video.as_posix()}/0", f"{video.as_posix()}/1")
    first, second = (vid.sequence(tmp_path, name) for name in names)
    np.testing.assert_array_equal(first.boxes[:, 0], [10, np.nan, 12, 13])
    np.testing.assert_array_equal(first.boxes[2], [12, 10, 20, 10])
    assert second.boxes.tolist() == [[50, 5, 10, 20], [51, 5, 10, 20]]
    files = second.recording.streams[Modality.RGB].files  # type: ignore[attr-defined]
    assert [path.stem for path in files] == ["000001", "000002"]
    truth = vid.truth(tmp_path, names[1])
    assert truth.images is not None
    assert truth.images.tolist() == [1, 2]
    backwards = vid.sequence(tmp_path, names[1], order=[1, 0])
    assert backwards.boxes[:, 0].tolist() == [51, 50]
    with pytest.raises(BenchmarkError, match="describes 9"):
        vid.truth(tmp_path, f"{video.as_posix()}/9")


def test_youtube_boxes_are_shares_of_the_image_with_both_lefts_before_tops(tmp_path: Path) -> None:
    rows = [
        "vid-A,1000,0,person,0,present,0.1,0.3,0.2,0.6",
        "vid-A,2000,0,person,0,absent,-1,-1,-1,-1",
        "vid-A,3000,0,person,0,present,0.5,1.0,0.0,0.5",
        "vid-A,4000,0,person,0,present,0.5,1.0,0.0,0.5",
        "vid-B,1000,3,cat,1,present,0,1,0,1",
    ]
    put(tmp_path / "yt_bb_detection_train.csv", "\n".join(rows) + "\n")
    for time in (1000, 2000, 3000):
        put(tmp_path / "yt_bb_detection_train" / "0" / "vid-A+0+0" / f"{time}.jpg")
    tube = find("youtube-bb")
    assert tube.names(tmp_path) == ("train/vid-A+0+0", "train/vid-B+3+1")
    sequence = tube.sequence(tmp_path, "train/vid-A+0+0")
    np.testing.assert_allclose(sequence.boxes, [[10, 10, 20, 20], [np.nan] * 4, [50, 0, 50, 25]], atol=1e-4)
    with pytest.raises(BenchmarkError, match="There is no folder"):
        tube.sequence(tmp_path, "train/vid-B+3+1")
    put(tmp_path / "yt_bb_detection_validation.csv", "vid,one\n")
    with pytest.raises(BenchmarkError, match="no table of boxes"):
        tube.names(tmp_path, "val")


def test_things_of_coco_are_drawn_one_by_one(tmp_path: Path) -> None:
    things = [
        {"image_id": 7, "bbox": [1.5, 2, 3, 4], "iscrowd": 0},
        {"image_id": 7, "bbox": [0, 0, 9, 9], "iscrowd": 1},
        {"image_id": 9, "bbox": [5, 6, 7, 8], "iscrowd": 0},
        {"image_id": 9, "bbox": [5, 6, 0, 8], "iscrowd": 0},
    ]
    held = {"images": [{"id": 9, "file_name": "b.jpg"}, {"id": 7, "file_name": "a.jpg"}], "annotations": things}
    put(tmp_path / "annotations" / "instances_train2017.json", json.dumps(held))
    put(tmp_path / "train2017" / "a.jpg")
    coco = COCO.read(tmp_path)
    assert len(coco) == 2
    assert [coco[index].images[Modality.RGB].path.name for index in range(2)] == ["a.jpg", "b.jpg"]
    drawn = {tuple(Stills(coco).draw(np.random.default_rng(seed)).search.box) for seed in range(20)}
    assert drawn == {(1.5, 2, 3, 4), (5, 6, 7, 8)}
    with pytest.raises(RecipeError, match="no folder images/val2017"):
        COCO.read(tmp_path, "val2017")
    put(tmp_path / "annotations" / "instances_train2017.json", "{}")
    with pytest.raises(RecipeError, match="no list of COCO's things"):
        COCO.read(tmp_path)


def test_pictures_of_imagenet_are_described_beside_them(tmp_path: Path) -> None:
    put(tmp_path / "Data" / "DET" / "train" / "some" / "n01" / "a.JPEG")
    put(tmp_path / "Data" / "DET" / "train" / "some" / "n01" / "b.JPEG")
    put(tmp_path / "Annotations" / "DET" / "train" / "some" / "n01" / "a.xml", described((0, 5, 6, 25, 16, 0)))
    put(tmp_path / "Annotations" / "DET" / "train" / "some" / "n01" / "b.xml", described())
    det = ImageNetDET(tmp_path)
    assert [len(det[index].boxes) for index in range(len(det))] == [1, 0]  # type: ignore[arg-type]
    assert all(Stills(det).draw(np.random.default_rng(seed)).template.box == (5, 6, 20, 10) for seed in range(8))
    (tmp_path / "Annotations" / "DET" / "train" / "some" / "n01" / "a.xml").unlink()
    with pytest.raises(SourceError, match=r"a\.xml cannot be read"):
        det[0]
    with pytest.raises(RecipeError, match="no images"):
        ImageNetDET(tmp_path, "val")
