"""RGBT210: 210 RGB-thermal sequences, the older annotation of recordings that RGBT234 took over."""

from __future__ import annotations

from tectum.benchmarks.folder import FolderBenchmark
from tectum.frames import Modality


class RGBT210(FolderBenchmark):
    """One annotation, `init.txt`, which differs from RGBT234's file of that name in most sequences."""

    name = "rgbt210"
    title = "RGBT210"
    senses = (Modality.RGB, Modality.THERMAL)
    convention = "rgbt210"
    source = (
        "Li et al., Weighted Sparse Representation Regularized Graph Learning for RGB-T Object Tracking, ACM MM 2017"
    )
    annotation = ("init.txt",)
    folders = (("visible",), ("infrared",))
