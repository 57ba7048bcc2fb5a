"""The layout of the VOT challenges with depth: sequences with a colour and a depth camera, absence written as `nan`."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from tectum.benchmarks.annotations import read_boxes
from tectum.benchmarks.base import Array, Truth
from tectum.benchmarks.folder import FolderBenchmark
from tectum.benchmarks.images import size_of_an_image
from tectum.benchmarks.layout import Place
from tectum.benchmarks.numbers import NumbersError
from tectum.frames import Modality


class VotBenchmark(FolderBenchmark):
    """A benchmark with colour and depth in the VOT toolkit's layout.

    A box without area stands for an absent target, as some downloads write it (`x,y,-1,-1`, `x,y,0,0`), and becomes
    a row of `nan`; so does a line with a single number, the toolkit's code for a frame without a box.
    """

    senses: ClassVar[tuple[Modality, ...]] = (Modality.RGB, Modality.DEPTH)
    annotation: ClassVar[tuple[str, ...]] = ("groundtruth.txt", "groundtruth_rect.txt")
    folders: ClassVar[tuple[tuple[str, ...], ...]] = (("color",), ("depth",))

    def _boxes(self, path: Path) -> Array:
        try:
            boxes = read_boxes(path)
        except NumbersError:
            coded = _coded_boxes(path)
            if coded is None:
                raise
            boxes = coded
        boxes[~(boxes[:, 2:] > 0).all(axis=1)] = np.nan
        return boxes

    def _read_truth(self, place: Place, name: str) -> Truth:
        truth = super()._read_truth(place, name)
        return truth if place.folder is None else replace(truth, size=_size(place.folder))


def _coded_boxes(path: Path) -> Array | None:
    """Boxes among which lines of one number are codes (`nan` rows here); `None` if the file is not of that form."""
    try:
        lines = path.read_text("ascii").splitlines()
        rows = [[float(word) for word in re.split(r"[\s,;]+", line.strip())] for line in lines if line.strip()]
    except (OSError, ValueError):
        return None
    if {len(row) for row in rows} != {1, 4}:
        return None
    return np.array([row if len(row) == 4 else [np.nan] * 4 for row in rows])


def _size(folder: Path) -> tuple[int, int] | None:
    """Width and height in pixels by the sequence's own description, else by one of its images, where there are any."""
    description = folder / "sequence"
    if description.is_file():
        pairs = dict(re.findall(r"(?m)^(width|height)\s*=\s*(\d+)\s*$", description.read_text("utf-8", "replace")))
        if len(pairs) == 2:
            return int(pairs["width"]), int(pairs["height"])
    return size_of_an_image(folder / "color")
