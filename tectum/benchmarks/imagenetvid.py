"""ImageNet VID: some four thousand RGB videos of 30 kinds of things, for training; every thing is a sequence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from collections.abc import Sequence as Order
from functools import lru_cache
from pathlib import Path

import numpy as np

from tectum.benchmarks.base import Benchmark, Lists, Truth
from tectum.benchmarks.folder import boxes_by_image
from tectum.benchmarks.images import SortedImages
from tectum.errors import BenchmarkError, SourceError, UnknownNameError
from tectum.frames import Modality, Sequence
from tectum.sources import StreamRecording

_SPLITS = ("train", "val")
_TRACK = re.compile(rb"<trackid>\s*(\d+)\s*</trackid>")
_OBJECT = re.compile(rb"<object>(.*?)</object>", re.DOTALL)
_VALUE = re.compile(rb"<(trackid|xmin|ymin|xmax|ymax|occluded)>\s*(\d+)")


class ImageNetVID(Benchmark):
    """`Data/VID/SPLIT/…/VIDEO/` holds a video's images and `Annotations/VID/SPLIT/…/VIDEO/` a description of each.

    A sequence is called `SPLIT/…/VIDEO/TRACK`. It begins where its thing is first described and ends before the first
    image that does not describe it; an image in which it is labelled occluded counts as absent. No pixel is added to
    width and height. To list a split, all its descriptions are read once, which takes minutes.
    """

    name = "imagenetvid"
    title = "ImageNet VID"
    senses = (Modality.RGB,)
    convention = "plain"
    split = "train"
    source = "Russakovsky et al., ImageNet Large Scale Visual Recognition Challenge, IJCV 2015"

    @property
    def lists(self) -> Lists:
        """There are no official lists of things."""
        return Lists()

    def names(self, root: Path, split: str | None = None) -> tuple[str, ...]:
        """The things of a split, video by video; see `Benchmark.names`."""
        wanted = split or self.split
        if wanted not in _SPLITS:
            raise UnknownNameError(f"{self.title} has no split '{wanted}': use one of {', '.join(_SPLITS)}.")
        return _things(root, wanted)

    def truth(self, root: Path, name: str) -> Truth:
        """Reads what is annotated of a thing; see `Benchmark.truth`. Rows belong to images from its first one on."""
        first, boxes, occluded = self._track(root, name)
        return Truth(name, boxes, absent=occluded, images=np.arange(first, first + len(boxes)))

    def sequence(self, root: Path, name: str, order: Order[int] | None = None) -> Sequence:
        """Opens a thing's part of its video; see `Benchmark.sequence`."""
        first, boxes, occluded = self._track(root, name)
        video = root / "Data" / "VID" / name.rpartition("/")[0]
        try:
            files = SortedImages.of(video).files[first : first + len(boxes)]
        except SourceError as error:
            raise BenchmarkError(f"Sequence {name} of {self.title}: {error}") from None
        chosen = range(len(files)) if order is None else order
        images = SortedImages.listed(video, files).played(chosen)
        shown = boxes_by_image(Truth(name, boxes, absent=occluded), len(files))
        return Sequence(StreamRecording(name, {Modality.RGB: images}), shown[list(chosen)])

    def _track(self, root: Path, name: str) -> tuple[int, np.ndarray, np.ndarray]:
        """The place of the first image, boxes `N×4` and `N` labels of occlusion."""
        video, _, track = name.rpartition("/")
        folder = root / "Annotations" / "VID" / video
        if not video or not folder.is_dir():
            raise BenchmarkError(f"Sequence {name} of {self.title}: There is no folder {folder}: check the path.")
        rows: list[list[int]] = []
        first = 0
        for place, described in enumerate(_descriptions(folder)):
            row = _row(described, track.encode())
            if row is None and rows:
                break
            if row is not None:
                first = first if rows else place
                rows.append(row)
        if not rows:
            raise BenchmarkError(f"Sequence {name} of {self.title}: No image of {folder} describes {track}.")
        table = np.array(rows, np.float64)
        boxes = np.concatenate([table[:, :2], table[:, 2:4] - table[:, :2]], axis=1)
        return first, boxes, table[:, 4] > 0


def _row(described: bytes, track: bytes) -> list[int] | None:
    """Left, top, right, bottom and occlusion of a thing, `None` where it is not described."""
    for block in _OBJECT.findall(described):
        values = dict(_VALUE.findall(block))
        if values.get(b"trackid") == track:
            return [int(values.get(key, 0)) for key in (b"xmin", b"ymin", b"xmax", b"ymax", b"occluded")]
    return None


def _descriptions(folder: Path) -> Iterator[bytes]:
    for path in sorted(folder.glob("*.xml")):
        yield path.read_bytes()


@lru_cache(maxsize=4)
def _things(root: Path, split: str) -> tuple[str, ...]:
    above = root / "Annotations" / "VID"
    if not (above / split).is_dir():
        raise BenchmarkError(f"There is no folder {above / split}: check the path.")
    videos = sorted({path.parent for path in (above / split).rglob("*.xml")})
    return tuple(
        f"{video.relative_to(above).as_posix()}/{track}"
        for video in videos
        for track in sorted({int(each) for text in _descriptions(video) for each in _TRACK.findall(text)})
    )
