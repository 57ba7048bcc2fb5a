"""VisEvent: 820 sequences of a colour and an event camera, 320 of them for testing."""

from __future__ import annotations

from tectum.benchmarks.folder import FolderBenchmark
from tectum.frames import Modality


class VisEvent(FolderBenchmark):
    """The data set labels presence with 1, its toolkit absence; both are read, each by its own meaning."""

    name = "visevent"
    title = "VisEvent"
    senses = (Modality.RGB, Modality.EVENT)
    convention = "matlab"
    source = (
        "Wang et al., VisEvent: Reliable Object Tracking via Collaboration of Frame and Event Flows, "
        "IEEE Transactions on Cybernetics 2023"
    )
    annotation = ("groundtruth.txt",)
    presence = "absent_label.txt"
    folders = (("vis_imgs",), ("event_imgs",))
