"""YouTube-BoundingBoxes: some 380,000 short RGB clips of 23 kinds of things, a box a second, for training."""

from __future__ import annotations

import csv
from array import array
from collections.abc import Sequence as Order
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tectum.benchmarks.base import Array, Benchmark, Lists, Truth
from tectum.benchmarks.folder import boxes_by_image
from tectum.benchmarks.images import SortedImages, size_of_an_image
from tectum.errors import BenchmarkError, UnknownNameError
from tectum.frames import Modality, Sequence
from tectum.sources import StreamRecording
from tectum.sources.folders import images_in

_TABLES = {"train": "yt_bb_detection_train", "val": "yt_bb_detection_validation"}


@dataclass(frozen=True)
class _Table:
    """A split's annotations.

    Attributes:
        rows: for each sequence its first row and the one after its last.
        times: milliseconds of each row.
        sides: `R×4` left, right, top and bottom of each row, in shares of the image, 0 where the thing is absent.
    """

    rows: dict[str, tuple[int, int]]
    times: npt.NDArray[np.int64]
    sides: npt.NDArray[np.float32]


class YouTubeBB(Benchmark):
    """`yt_bb_detection_train.csv` and `yt_bb_detection_validation.csv` annotate clips of videos that are fetched alone.

    Only addresses of videos are published, so the layout of images is that of whoever cut them; here an image of a
    clip is `TABLE/CLASS/VIDEO+CLASS+OBJECT/TIME.jpg`, `TABLE` being the csv file's name without its ending, the clip
    as the downloaders name it, and the time in milliseconds as the table writes it. Images that are missing are left
    out. A sequence is called `SPLIT/VIDEO+CLASS+OBJECT`.
    """

    name = "youtubebb"
    title = "YouTube-BB"
    senses = (Modality.RGB,)
    convention = "plain"
    split = "train"
    source = (
        "Real et al., YouTube-BoundingBoxes: A Large High-Precision Human-Annotated Data Set for Object Detection "
        "in Video, CVPR 2017"
    )

    @property
    def lists(self) -> Lists:
        """There are no official lists but the tables themselves."""
        return Lists()

    def names(self, root: Path, split: str | None = None) -> tuple[str, ...]:
        """The clips of a split that the table annotates, in its order; see `Benchmark.names`."""
        wanted = split or self.split
        if wanted not in _TABLES:
            raise UnknownNameError(f"{self.title} has no split '{wanted}': use one of {', '.join(_TABLES)}.")
        return tuple(f"{wanted}/{clip}" for clip in _table(root / f"{_TABLES[wanted]}.csv").rows)

    def truth(self, root: Path, name: str) -> Truth:
        """Reads what is annotated of a clip, a row for each of its images; see `Benchmark.truth`."""
        return self._clip(root, name)[0]

    def sequence(self, root: Path, name: str, order: Order[int] | None = None) -> Sequence:
        """Opens a clip; see `Benchmark.sequence`."""
        truth, images = self._clip(root, name)
        chosen = range(len(truth.boxes)) if order is None else order
        boxes = boxes_by_image(truth, len(truth.boxes))[list(chosen)]
        return Sequence(StreamRecording(name, {Modality.RGB: images.played(chosen)}), boxes)

    def _clip(self, root: Path, name: str) -> tuple[Truth, SortedImages]:
        split, _, clip = name.partition("/")
        folder = root / _TABLES.get(split, split) / clip.rpartition("+")[0].rpartition("+")[2] / clip
        if not clip or not folder.is_dir():
            raise BenchmarkError(f"Sequence {name} of {self.title}: There is no folder {folder}: check the path.")
        table = _table(root / f"{_TABLES[split]}.csv")
        first, end = table.rows.get(clip, (0, 0))
        files = {path.stem: path for path in images_in(folder)}
        rows = [row for row in range(first, end) if str(table.times[row]) in files]
        size = size_of_an_image(folder)
        if not rows or size is None:
            raise BenchmarkError(f"Sequence {name} of {self.title}: {folder} has no image at a time that is annotated.")
        images = SortedImages.listed(folder, tuple(files[str(table.times[row])] for row in rows))
        return Truth(name, _boxes(table.sides[rows], size), size=size), images


def _boxes(sides: npt.NDArray[np.float32], size: tuple[int, int]) -> Array:
    """Boxes `N×4` as `x, y, w, h` in pixels of an image of this width and height."""
    left, right, top, bottom = sides.astype(np.float64).T
    return np.stack([left, top, right - left, bottom - top], axis=1) * (*size, *size)


@lru_cache(maxsize=2)
def _table(path: Path) -> _Table:
    """Reads a table: video, milliseconds, class, its name, object, presence, left, right, top, bottom.

    Six million rows take some ten seconds and, once read, 150 MB.
    """
    codes: dict[str, int] = {}
    clips, times, sides = array("i"), array("q"), array("f")
    try:
        with path.open(newline="") as file:
            for video, time, kind, _, thing, presence, *corners in csv.reader(file):
                clips.append(codes.setdefault(f"{video}+{kind}+{thing}", len(codes)))
                times.append(int(time))
                sides.extend([0.0] * 4 if presence == "absent" else [float(corner) for corner in corners[:4]])
    except OSError as error:
        raise BenchmarkError(f"There is no table {path} ({error.strerror}): check the path, or unpack it.") from None
    except ValueError as error:
        raise BenchmarkError(f"{path} is no table of boxes ({error}): download it again.") from None
    order = np.lexsort((np.asarray(times), np.asarray(clips)))
    ends = np.cumsum(np.bincount(np.asarray(clips), minlength=len(codes))).tolist()
    spans = zip([0, *ends[:-1]], ends, strict=True) if codes else iter(())
    rows = dict(zip(codes, spans, strict=True))
    return _Table(rows, np.array(times)[order], np.array(sides).reshape(-1, 4)[order])
