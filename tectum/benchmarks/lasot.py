"""LaSOT: 1400 long RGB sequences with a sentence each, 280 of them for testing."""

from __future__ import annotations

from dataclasses import replace

from tectum.benchmarks.base import Truth
from tectum.benchmarks.folder import FolderBenchmark
from tectum.benchmarks.layout import Place
from tectum.frames import Modality


class LaSOT(FolderBenchmark):
    """The target is absent where it is labelled fully occluded or out of view.

    The evaluation toolkit annotates fewer frames of some sequences than the download; its count is what is scored.
    """

    name = "lasot"
    title = "LaSOT"
    senses = (Modality.RGB,)
    convention = "matlab"
    source = "Fan et al., LaSOT: A High-quality Benchmark for Large-scale Single Object Tracking, CVPR 2019"
    annotation = ("groundtruth.txt",)
    absence = ("full_occlusion.txt", "out_of_view.txt")
    language = "nlp.txt"
    folders = (("img",),)

    def _read_truth(self, place: Place, name: str) -> Truth:
        truth = super()._read_truth(place, name)
        scored = int(self.lists.facts.get("truth_rows", {}).get(name, len(truth.boxes)))
        if scored >= len(truth.boxes):
            return truth
        absent = None if truth.absent is None else truth.absent[:scored]
        return replace(truth, boxes=truth.boxes[:scored], absent=absent, length=len(truth.boxes))
