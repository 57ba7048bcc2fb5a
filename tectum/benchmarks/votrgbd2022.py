"""VOT-RGBD2022: 127 short RGB-depth sequences, in which runs start from several anchors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tectum.benchmarks.base import Truth
from tectum.benchmarks.layout import Place
from tectum.benchmarks.numbers import read_rows
from tectum.benchmarks.vot import VotBenchmark
from tectum.errors import BenchmarkError


class VOTRGBD2022(VotBenchmark):
    """`anchor.value` holds a number for each frame: above 0 a run starts there forwards, below 0 backwards."""

    name = "votrgbd2022"
    title = "VOT-RGBD2022"
    convention = "vot-anchored"
    source = "Kristan et al., The Tenth Visual Object Tracking VOT2022 Challenge Results, ECCV Workshops 2022"

    def _read_truth(self, place: Place, name: str) -> Truth:
        truth = super()._read_truth(place, name)
        path = place.annotation.parent / "anchor.value"
        values = read_rows(path).ravel()
        places = np.arange(len(values))
        anchors = np.concatenate([places[values > 0], -places[values < 0]])
        if not len(anchors):
            raise BenchmarkError(f"{path} names no anchor, so no run could start: download it again.")
        return replace(truth, anchors=anchors)
