"""TNL2K: 2000 RGB sequences with a sentence each, 700 of them for testing."""

from __future__ import annotations

from tectum.benchmarks.folder import FolderBenchmark
from tectum.frames import Modality


class TNL2K(FolderBenchmark):
    """Only the toolkit's annotations have labels of absence."""

    name = "tnl2k"
    title = "TNL2K"
    senses = (Modality.RGB,)
    convention = "matlab"
    source = (
        "Wang et al., Towards More Flexible and Accurate Object Tracking with Natural Language: "
        "Algorithms and Benchmark, CVPR 2021"
    )
    annotation = ("groundtruth.txt",)
    language = "language.txt"
    folders = (("imgs",),)
