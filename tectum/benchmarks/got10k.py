"""GOT-10k: about ten thousand short RGB sequences; those for validation can be scored at home."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tectum.benchmarks.annotations import read_flags
from tectum.benchmarks.base import Truth
from tectum.benchmarks.folder import FolderBenchmark
from tectum.benchmarks.images import size_of_an_image
from tectum.benchmarks.layout import Place
from tectum.frames import Modality


class GOT10k(FolderBenchmark):
    """A frame counts as absent where the share of the target that is to be seen is 0, for that is what is left out.

    Of the test split only the first box is public: its results are scored by the benchmark's server.
    """

    name = "got10k"
    title = "GOT-10k"
    senses = (Modality.RGB,)
    convention = "got10k"
    split = "val"
    source = (
        "Huang et al., GOT-10k: A Large High-Diversity Benchmark for Generic Object Tracking in the Wild, TPAMI 2021"
    )
    annotation = ("groundtruth.txt",)
    folders = (("",),)

    def _read_truth(self, place: Place, name: str) -> Truth:
        truth = super()._read_truth(place, name)
        return truth if place.folder is None else replace(truth, size=_size(place.folder))

    def _absent(self, place: Place, count: int) -> npt.NDArray[np.bool_] | None:
        covers = place.annotation.parent / "cover.label"
        return ~read_flags(covers, count) if place.folder is not None and covers.is_file() else None


def _size(folder: Path) -> tuple[int, int] | None:
    """Width and height in pixels by the sequence's description, else by one of its images, where there are any."""
    description = folder / "meta_info.ini"
    text = description.read_text("utf-8", "replace") if description.is_file() else ""
    said = re.search(r"(?m)^resolution:\s*\(\s*(\d+)\s*,\s*(\d+)\s*\)", text)
    return (int(said[1]), int(said[2])) if said else size_of_an_image(folder)
