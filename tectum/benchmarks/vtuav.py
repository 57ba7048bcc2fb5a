"""VTUAV: 500 RGB-thermal sequences from a drone, annotated in every tenth frame."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tectum.benchmarks.base import Truth
from tectum.benchmarks.folder import FolderBenchmark
from tectum.benchmarks.layout import Place
from tectum.frames import Modality

_STEP = 10


class VTUAV(FolderBenchmark):
    """Each sense has its annotation; row `k` belongs to the image numbered `10 k` plus the sequence's first number.

    For the few sequences whose first annotated image has a number of its own, the folder of RGB images tells where
    that one stands; without images it is taken for the first, as it is for all others.
    """

    name = "vtuav"
    title = "VTUAV"
    senses = (Modality.RGB, Modality.THERMAL)
    convention = "vtuav"
    split = "test-short"
    source = "Zhang et al., Visible-Thermal UAV Tracking: A Large-Scale Benchmark and New Baseline, CVPR 2022"
    annotation = ("rgb.txt",)
    second = "ir.txt"
    flat = ()
    folders = (("rgb",), ("ir", "ir_gray"))

    def _read_truth(self, place: Place, name: str) -> Truth:
        truth = super()._read_truth(place, name)
        return replace(truth, images=self._first(place, name) + _STEP * np.arange(len(truth.boxes)))

    def _first(self, place: Place, name: str) -> int:
        """The position of the first annotated image in the sorted folder."""
        last = name.rpartition("/")[2]
        number = self.lists.facts.get("first_image", {}).get(last)
        folder = place.annotation.parent / "rgb"
        if number is None or not folder.is_dir():
            return 0
        numbers = [int(path.stem) for path in folder.iterdir() if path.stem.isdecimal()]
        return sum(each < int(number) for each in numbers)
