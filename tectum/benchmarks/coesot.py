"""COESOT: 1354 sequences of a colour and an event camera, 528 of them for testing."""

from __future__ import annotations

from tectum.benchmarks.folder import FolderBenchmark
from tectum.frames import Modality


class COESOT(FolderBenchmark):
    """Labels are 1 where the target is present, in the data set and in its toolkit's `coesot_anno` alike."""

    name = "coesot"
    title = "COESOT"
    senses = (Modality.RGB, Modality.EVENT)
    convention = "matlab"
    source = "Tang et al., Revisiting Color-Event based Tracking: A Unified Network, Dataset, and Metric, arXiv 2022"
    annotation = ("groundtruth.txt",)
    presence = "absent.txt"
    folders = (("{name}_aps", "aps"), ("{name}_dvs", "dvs"))
