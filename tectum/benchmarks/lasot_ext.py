"""LaSOT_ext: 150 further RGB sequences of LaSOT's kind in 15 new classes."""

from __future__ import annotations

from tectum.benchmarks.lasot import LaSOT


class LaSOTExt(LaSOT):
    """Laid out and labelled like LaSOT."""

    name = "lasot_ext"
    title = "LaSOT_ext"
    source = "Fan et al., LaSOT: A High-quality Large-scale Single Object Tracking Benchmark, IJCV 2021"
