"""CDTB: 80 RGB-depth sequences, the test set of VOT-RGBD 2019 to 2021."""

from __future__ import annotations

from tectum.benchmarks.vot import VotBenchmark


class CDTB(VotBenchmark):
    """Absence is written as `nan`; its tag files only say why."""

    name = "cdtb"
    title = "CDTB"
    convention = "vot-longterm"
    source = "Lukežič et al., CDTB: A Color and Depth Visual Object Tracking Dataset and Benchmark, ICCV 2019"
