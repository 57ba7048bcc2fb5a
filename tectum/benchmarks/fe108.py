"""FE108: sequences of a grey and an event camera, whose event images begin earlier."""

from __future__ import annotations

from pathlib import Path

from tectum.benchmarks.folder import FolderBenchmark
from tectum.benchmarks.images import SortedImages
from tectum.errors import BenchmarkError
from tectum.frames import Modality

_AS_RECORDED = "events_dvs"


class FE108(FolderBenchmark):
    """Event images as recorded start before the camera's; a table says by how many. Exported ones are aligned."""

    name = "fe108"
    title = "FE108"
    senses = (Modality.RGB, Modality.EVENT)
    convention = "ostrack"
    source = "Zhang et al., Object Tracking by Jointly Exploiting Frame and Event Domain, ICCV 2021"
    annotation = ("groundtruth_rect.txt",)
    folders = (("img",), ("event_imgs", f"events/{_AS_RECORDED}"))

    def _streams(self, folder: Path, name: str) -> dict[Modality, SortedImages]:
        streams = super()._streams(folder, name)
        events = streams[Modality.EVENT]
        if events.folder.name == _AS_RECORDED:
            offsets = self.lists.facts["event_offset"]
            if name not in offsets:
                raise BenchmarkError(
                    f"No table says which image in {events.folder} belongs to the first frame: "
                    f"put aligned images into a folder event_imgs."
                )
            first = int(offsets[name])
            files = events.files[first : first + streams[Modality.RGB].length]
            streams[Modality.EVENT] = SortedImages.listed(events.folder, files)
        return streams
