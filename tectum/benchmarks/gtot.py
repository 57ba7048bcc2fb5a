"""GTOT: 50 grey-thermal sequences with an annotation for each sense."""

from __future__ import annotations

from pathlib import Path

from tectum.benchmarks.annotations import read_corners
from tectum.benchmarks.base import Array
from tectum.benchmarks.folder import FolderBenchmark
from tectum.frames import Modality


class GTOT(FolderBenchmark):
    """Boxes are written as corners, whose plain difference is the size."""

    name = "gtot"
    title = "GTOT"
    senses = (Modality.RGB, Modality.THERMAL)
    convention = "gtot"
    source = "Li et al., Learning Collaborative Sparse Representation for Grayscale-Thermal Tracking, IEEE TIP 2016"
    annotation = ("groundTruth_v.txt",)
    second = "groundTruth_i.txt"
    flat = ()
    folders = (("v",), ("i",))

    def _boxes(self, path: Path) -> Array:
        return read_corners(path)
