"""How fast `nano` tracks from files on disk to boxes on disk: `python -m benchmarks.track_speed`.

Prints frames per second on 640x480 JPEGs with one sense and with two, where the time goes, and the ratio to
OpenCV's KCF and CSRT where this OpenCV has them (opencv-contrib-python).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import torch

import tectum
from benchmarks.rivals import opencv_trackers
from benchmarks.walk import BOX, write_walk
from tectum.frames import Frame, Modality
from tectum.geometry import Box, Crop
from tectum.sources import open_recording, read_image
from tectum.systems.base import CenterMaps
from tectum.tracking.decoders import decode, hann_window
from tectum.tracking.runner import ResultFiles, follow, reading, recorded
from tectum.tracking.session import Tracker
from tectum.tracking.views import MissingPolicy, look


def end_to_end(tracker: Tracker, folder: Path, out: Path) -> float:
    """Frames per second from the second frame on, JPEG decoding and writing included."""
    with reading(open_recording(folder)) as frames:
        moments = recorded(follow(tracker, frames, [BOX]), [out / "walk.txt"])
        next(moments)
        begin = time.perf_counter()
        count = sum(1 for _ in moments)
        return count / (time.perf_counter() - begin)


def milliseconds(work: Callable[[], object], repeats: int = 100) -> float:
    """Median time of one call."""
    for _ in range(5):
        work()
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return sorted(times)[repeats // 2] * 1e3


@torch.inference_mode()
def stages(tracker: Tracker, folder: Path, out: Path) -> dict[str, float]:
    """Milliseconds of each stage alone; reading overlaps with the rest in a run."""
    frame = next(iter(open_recording(folder, ahead=0)))
    files = [next((folder / sense).iterdir()) for sense in frame.images]
    session, system = tracker.start(frame, BOX), tracker.system
    crop = Crop.around(Box(*BOX), system.crops.search_factor, system.crops.search_size)

    def views() -> dict[Modality, torch.Tensor]:
        return look([frame], [crop], session.senses, MissingPolicy.COPY)

    search = views()
    maps: CenterMaps = system(session.template, search)
    window, previous = hann_window(maps.score.shape[-1]), torch.tensor([[0.25, 0.25]])
    with ResultFiles([out / "stages.txt"]) as results:
        return {
            "read (on a thread)": milliseconds(lambda: [read_image(file) for file in files]),
            "crop and normalise": milliseconds(views),
            "network": milliseconds(lambda: system(session.template, search)),
            "decode": milliseconds(lambda: decode(maps, window, system.decoding, previous)),
            "write": milliseconds(lambda: results.write([session.box])),
            "whole update": milliseconds(lambda: session.update(frame)),
        }


def classical(folder: Path) -> dict[str, float]:
    """Frames per second of OpenCV's trackers on the same files, reading included."""
    files = sorted((folder / "rgb").iterdir())
    speeds = {}
    for name, make in opencv_trackers().items():
        tracker = make()
        tracker.init(cv2.imread(str(files[0])), tuple(int(value) for value in BOX))
        begin = time.perf_counter()
        for file in files[1:]:
            tracker.update(cv2.imread(str(file)))
        speeds[name] = (len(files) - 1) / (time.perf_counter() - begin)
    return speeds


def measure(tracker: Tracker, folder: Path, name: str) -> None:
    """Prints one block of the report."""
    frame: Frame = next(iter(open_recording(folder, ahead=0)))
    end_to_end(tracker, folder, folder)
    speed = end_to_end(tracker, folder, folder)
    print(f"{name}: {speed:.1f} frames per second end to end ({len(frame.images)} sense(s), 640x480 JPEG)")
    for stage, spent in stages(tracker, folder, folder).items():
        print(f"    {stage:20s} {spent:7.2f} ms")
    if len(frame.images) == 1:
        for rival, other in classical(folder).items():
            print(f"    {rival}: {other:.1f} frames per second; {name} runs at {speed / other:.2f} of that")


def main() -> None:
    """Measures with one sense and with two."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--preset", default="nano")
    parser.add_argument("--threads", type=int, default=2, help="threads of PyTorch's pool")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    tracker = tectum.load(options.preset)
    for senses in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            measure(tracker, write_walk(Path(folder) / "walk", options.frames, senses), options.preset)


if __name__ == "__main__":
    main()
