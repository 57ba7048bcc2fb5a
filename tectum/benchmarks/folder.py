"""A benchmark with a folder for each sequence: nearly all of them, told apart by a few names."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence as Order
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from tectum.benchmarks.annotations import read_boxes, read_flags, read_sentence
from tectum.benchmarks.base import Array, Benchmark, Truth
from tectum.benchmarks.images import SortedImages
from tectum.benchmarks.layout import FLAT_FOLDERS, Place, locate, toolkit_labels
from tectum.benchmarks.numbers import NumbersError
from tectum.errors import BenchmarkError, SourceError
from tectum.frames import Modality, Sequence
from tectum.sources import DepthRendering, StreamRecording


class FolderBenchmark(Benchmark):
    """A benchmark that keeps each sequence in a folder: annotation files, and a folder of images for each sense.

    Attributes:
        annotation: names of the file with the boxes, the best first.
        second: name of the file with the boxes in the second sense, for benchmarks that annotate both.
        folders: for each of `senses`, names of the folder with its images, the best first; `{name}` is the sequence.
        flat: folders below the root that may hold one annotation file per sequence instead.
        presence: name of the file with labels that are 1 where the target is present.
        absence: names of the files with labels; the target is absent where one of them is 1.
        language: name of the file with the sentence.
        depth: how depth becomes an image.
    """

    annotation: ClassVar[tuple[str, ...]]
    second: ClassVar[str | None] = None
    folders: ClassVar[tuple[tuple[str, ...], ...]]
    flat: ClassVar[tuple[str, ...]] = FLAT_FOLDERS
    presence: ClassVar[str | None] = None
    absence: ClassVar[tuple[str, ...]] = ()
    language: ClassVar[str | None] = None
    depth: ClassVar[DepthRendering] = DepthRendering()

    def truth(self, root: Path, name: str) -> Truth:
        """Reads what is annotated of a sequence; see `Benchmark.truth`."""
        with self._naming(name):
            return self._read_truth(self._place(root, name), name)

    def sequence(self, root: Path, name: str, order: Order[int] | None = None) -> Sequence:
        """Opens a sequence for tracking; see `Benchmark.sequence`.

        Senses belong together by their place in their sorted folders. A sense that has no folder, or fewer images
        than RGB, is missing from those frames.
        """
        with self._naming(name):
            place = self._place(root, name)
            if place.folder is None:
                raise BenchmarkError(f"Only its annotations are in {root}: name the folder that holds the images too.")
            truth = self._read_truth(place, name)
            streams = self._streams(place.folder, name)
            moments = len(streams[Modality.RGB].order)
            chosen = range(moments) if order is None else order
            played = {sense: stream.played(chosen) for sense, stream in streams.items()}
            boxes = boxes_by_image(truth, moments)[list(chosen)]
            text = self._text(root, place.folder, name)
            attributes = self._attributes(root, place.folder, name)
        return Sequence(StreamRecording(name, played, depth=self.depth), boxes, text, attributes)

    def _place(self, root: Path, name: str) -> Place:
        return locate(root, name, self.annotation, self.flat)

    def _read_truth(self, place: Place, name: str) -> Truth:
        boxes = self._boxes(place.annotation)
        return Truth(name, boxes, self._second_boxes(place, len(boxes)), self._absent(place, len(boxes)))

    def _boxes(self, path: Path) -> Array:
        return read_boxes(path)

    def _second_boxes(self, place: Place, count: int) -> Array | None:
        if self.second is None:
            return None
        path = place.annotation.parent / self.second
        boxes = self._boxes(path)
        if len(boxes) != count:
            raise BenchmarkError(f"{path} has {len(boxes)} boxes, but {place.annotation} has {count}: they must agree.")
        return boxes

    def _absent(self, place: Place, count: int) -> npt.NDArray[np.bool_] | None:
        """What label files say; missing ones say nothing."""
        if place.folder is None:
            labels = toolkit_labels(place.annotation)
            return None if labels is None else read_flags(labels, count)
        if self.presence is not None and (path := place.folder / self.presence).is_file():
            return ~read_flags(path, count)
        paths = [place.folder / each for each in self.absence if (place.folder / each).is_file()]
        return np.logical_or.reduce([read_flags(path, count) for path in paths]) if paths else None

    def _streams(self, folder: Path, name: str) -> dict[Modality, SortedImages]:
        """The images of each sense, RGB first."""
        return {
            sense: self._images(folder, sense, tuple(each.format(name=folder.name) for each in names))
            for sense, names in zip(self.senses, self.folders, strict=True)
        }

    def _images(self, folder: Path, sense: Modality, names: tuple[str, ...]) -> SortedImages:
        """The images in the first of the named folders that is there; without one, a second sense has none."""
        found = next((folder / each for each in names if (folder / each).is_dir()), None)
        if found is not None:
            return SortedImages.of(found)
        if sense == Modality.RGB:
            raise BenchmarkError(f"Folder {folder} has no folder {' or '.join(names)} with its RGB images.")
        return SortedImages.listed(folder / names[0], ())

    def _text(self, root: Path, folder: Path, name: str) -> str | None:
        return None if self.language is None else read_sentence(folder / self.language)

    def _attributes(self, root: Path, folder: Path, name: str) -> frozenset[str]:
        return frozenset(each for each, holders in self.attributes(root).items() if name in holders)

    @contextmanager
    def _naming(self, name: str) -> Iterator[None]:
        """Puts the sequence and the benchmark in front of whatever is wrong."""
        try:
            yield
        except (BenchmarkError, NumbersError, SourceError) as error:
            raise BenchmarkError(f"Sequence {name} of {self.title}: {error}") from None


def boxes_by_image(truth: Truth, count: int) -> Array:
    """The boxes of a sequence, one row for each of its images.

    Args:
        truth: what is annotated.
        count: number of images; rows beyond it are left out.

    Returns:
        Boxes `count×4` as `x, y, w, h` in pixels, `nan` where the image is not annotated, the target is labelled
        absent, or the box has no area.
    """
    boxes = np.full((count, 4), np.nan)
    images = np.arange(len(truth.boxes)) if truth.images is None else truth.images
    shown = (truth.boxes[:, 2:] > 0).all(axis=1) & (images < count)
    if truth.absent is not None:
        shown &= ~truth.absent
    boxes[images[shown]] = truth.boxes[shown]
    return boxes
