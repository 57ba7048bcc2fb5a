"""RGBT234: 234 RGB-thermal sequences with an annotation for each sense."""

from __future__ import annotations

from tectum.benchmarks.folder import FolderBenchmark
from tectum.frames import Modality


class RGBT234(FolderBenchmark):
    """The two annotations differ, and a tracker is scored against the nearer one in each frame."""

    name = "rgbt234"
    title = "RGBT234"
    senses = (Modality.RGB, Modality.THERMAL)
    convention = "rgbt234"
    source = "Li et al., RGB-T Object Tracking: Benchmark and Baseline, Pattern Recognition 2019"
    annotation = ("visible.txt",)
    second = "infrared.txt"
    flat = ()
    folders = (("visible",), ("infrared",))
