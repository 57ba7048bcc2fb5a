"""Success AUC of nano on real recordings, beside a static box and OpenCV's KCF and CSRT.

    python -m benchmarks.real_recordings ../shared/real/rgb [--weights FILE]

KCF and CSRT need `pip install opencv-contrib-python-headless` in place of `opencv-python-headless`; without it they
are left out. The score is the mean over 21 thresholds of the share of annotated frames, the first left out, whose
overlap is above the threshold.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import tectum
from benchmarks.rivals import opencv_trackers
from tectum.evaluation.metrics import overlaps, success_auc
from tectum.frames import Frame, Modality
from tectum.geometry import Box
from tectum.sources import open_recording

Follow = Callable[[list[Frame], Box], Iterable[tuple[float, ...]]]


def static(frames: list[Frame], box: Box) -> Iterable[tuple[float, ...]]:
    """The first box for ever."""
    return [box] * (len(frames) - 1)


def with_tectum(tracker: tectum.Tracker) -> Follow:
    """A tracker of ours."""

    def follow(frames: list[Frame], box: Box) -> Iterable[tuple[float, ...]]:
        session = tracker.start(frames[0], box)
        return [session.update(frame).box for frame in frames[1:]]

    return follow


def with_opencv(make: Callable[[], Any]) -> Follow:
    """A tracker of OpenCV's, which keeps its last box where it finds nothing."""

    def follow(frames: list[Frame], box: Box) -> Iterable[tuple[float, ...]]:
        tracker = make()
        tracker.init(_bgr(frames[0]), tuple(round(value) for value in box))
        last: tuple[float, ...] = box
        for frame in frames[1:]:
            found, answer = tracker.update(_bgr(frame))
            last = tuple(answer) if found else last
            yield last

    return follow


def _bgr(frame: Frame) -> npt.NDArray[np.uint8]:
    return np.ascontiguousarray(frame.images[Modality.RGB][..., ::-1])  # type: ignore[index]


def main() -> None:
    """Prints a Markdown table: a row per recording, a column per tracker, mean AUC and frames per second below."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--weights", type=Path)
    arguments = parser.parse_args()
    trackers: dict[str, Follow] = {"static": static}
    trackers |= {name: with_opencv(make) for name, make in opencv_trackers().items()}
    trackers["nano"] = with_tectum(tectum.load("nano", weights=arguments.weights))
    print("| recording | frames | " + " | ".join(trackers) + " |\n" + "| --- " * (len(trackers) + 2) + "|")
    rows, seconds, count = [], dict.fromkeys(trackers, 0.0), 0
    for folder in sorted(path for path in arguments.folder.iterdir() if (path / "groundtruth.txt").is_file()):
        frames, truth = list(open_recording(folder)), np.loadtxt(folder / "groundtruth.txt", delimiter=",")
        row = []
        for name, follow in trackers.items():
            started = time.perf_counter()
            boxes = np.array(list(follow(frames, Box.of(truth[0]))), np.float64)
            seconds[name] += time.perf_counter() - started
            row.append(success_auc(overlaps(boxes, truth[1:])))
        rows.append(row)
        count += len(frames) - 1
        print(f"| {folder.name} | {len(frames)} | " + " | ".join(f"{value:.3f}" for value in row) + " |", flush=True)
    print("| **mean** | | " + " | ".join(f"**{value:.3f}**" for value in np.mean(rows, axis=0)) + " |")
    print(f"| frames/s | {count} | " + " | ".join(f"{count / seconds[name]:.0f}" for name in trackers) + " |")


if __name__ == "__main__":
    main()
