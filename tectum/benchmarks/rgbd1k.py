"""RGBD1K: 1050 RGB-depth sequences, 50 of them for testing."""

from __future__ import annotations

from pathlib import Path

from tectum.benchmarks.vot import VotBenchmark
from tectum.errors import BenchmarkError
from tectum.sources import DepthRendering


class RGBD1K(VotBenchmark):
    """Its trackers see depth unclipped. Which sequences are for testing, only `list.txt` of the download says."""

    name = "rgbd1k"
    title = "RGBD1K"
    convention = "vot-longterm"
    source = "Zhu et al., RGBD1K: A Large-Scale Dataset and Benchmark for RGB-D Object Tracking, AAAI 2023"
    depth = DepthRendering(clip=False)

    def names(self, root: Path, split: str | None = None) -> tuple[str, ...]:
        """The sequences of a split; those of `test` as the download lists them.

        Raises:
            UnknownNameError: if there is no such split.
            BenchmarkError: if the download has no list.
        """
        if split in (None, "test") and "test" not in self.lists.splits:
            listed = next((path for path in (root / "list.txt", root / "test" / "list.txt") if path.is_file()), None)
            if listed is None:
                raise BenchmarkError(
                    f"The test sequences of {self.title} are listed in {root / 'list.txt'}, which is not there: "
                    "name the folder of the download, or copy that file there."
                )
            return tuple(line.strip() for line in listed.read_text("utf-8").splitlines() if line.strip())
        return super().names(root, split)
