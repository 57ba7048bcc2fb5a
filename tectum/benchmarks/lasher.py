"""LasHeR: 1224 aligned RGB-thermal sequences, 245 of them for testing."""

from __future__ import annotations

from tectum.benchmarks.folder import FolderBenchmark
from tectum.benchmarks.layout import FLAT_FOLDERS
from tectum.frames import Modality


class LasHeR(FolderBenchmark):
    """Both senses share one annotation; a box of no size stands for an absent target."""

    name = "lasher"
    title = "LasHeR"
    senses = (Modality.RGB, Modality.THERMAL)
    convention = "lasher"
    source = "Li et al., LasHeR: A Large-Scale High-Diversity Benchmark for RGBT Tracking, IEEE TIP 2022"
    annotation = ("visible.txt", "init.txt")
    flat = (*FLAT_FOLDERS, "lasher_gt")
    folders = (("visible",), ("infrared",))
