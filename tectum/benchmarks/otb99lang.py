"""OTB99-LANG: 99 RGB sequences of OTB with a sentence each, 48 of them for testing."""

from __future__ import annotations

import re
from pathlib import Path

from tectum.benchmarks.annotations import read_sentence
from tectum.benchmarks.folder import FolderBenchmark
from tectum.benchmarks.images import SortedImages
from tectum.benchmarks.layout import Place, locate
from tectum.frames import Modality


class OTB99Lang(FolderBenchmark):
    """Some sequences share a folder, or are annotated only between two of their images: tables say which."""

    name = "otb99lang"
    title = "OTB99-LANG"
    senses = (Modality.RGB,)
    convention = "otb"
    source = "Li et al., Tracking by Natural Language Specification, CVPR 2017"
    annotation = ("groundtruth_rect.txt",)
    folders = (("img",),)

    def _place(self, root: Path, name: str) -> Place:
        facts = self.lists.facts
        folder = str(facts.get("folder", {}).get(name, name))
        annotation = facts.get("groundtruth", {}).get(name)
        files = self.annotation if annotation is None else (str(annotation),)
        return locate(root, folder, files, self.flat if folder == name else ())

    def _streams(self, folder: Path, name: str) -> dict[Modality, SortedImages]:
        streams = super()._streams(folder, name)
        images, facts = streams[Modality.RGB], self.lists.facts
        first, last = (facts.get(table, {}).get(name) for table in ("first_image", "last_image"))
        files = tuple(path for path in images.files if _within(path, first, last))
        return {Modality.RGB: SortedImages.listed(images.folder, files)}

    def _text(self, root: Path, folder: Path, name: str) -> str | None:
        sentences = (
            read_sentence(above / query / f"{name}.txt")
            for above in (folder.parent.parent, folder.parent)
            for query in ("OTB_query_test", "OTB_query_train")
        )
        return next((sentence for sentence in sentences if sentence is not None), None)


def _within(path: Path, first: int | str | None, last: int | str | None) -> bool:
    """Whether an image's number lies between two numbers, as far as they are known."""
    number = int(re.sub(r"\D", "", path.stem) or 0)
    return (first is None or number >= int(first)) and (last is None or number <= int(last))
