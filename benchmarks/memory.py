"""Whether memory stays flat over a long recording: `python -m benchmarks.memory`.

Tracks through 10,000 frames of 640x480 JPEGs and prints the resident memory on the way; Linux only.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

import tectum
from benchmarks.walk import BOX, write_walk
from tectum.tracking.runner import Moment

LIMIT = 20.0
"""Megabytes by which memory may grow after the first 500 frames."""

SETTLED = 500
"""Frames after which caches and thread pools are full."""


def resident() -> float:
    """Megabytes of memory that the process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def long_walk(folder: Path, frames: int, senses: int) -> Path:
    """A recording of many frames that takes the room of 200: the rest are links."""
    write_walk(folder, min(frames, 200), senses)
    for sense in folder.iterdir():
        for index in range(200, frames):
            os.link(sense / f"{index % 200:05d}.jpg", sense / f"{index:05d}.jpg")
    return folder


def main() -> None:
    """Measures and exits with 1 if memory grew beyond the limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--senses", type=int, choices=(1, 2), default=1)
    options = parser.parse_args()
    if options.frames <= SETTLED:
        parser.error(f"--frames must be above {SETTLED}, from where growth is measured")
    readings: list[float] = []

    def watch(moment: Moment) -> None:
        readings.append(resident())
        if moment.frame.index % 1000 == 0:
            print(f"frame {moment.frame.index:6d}: {readings[-1]:7.1f} MB", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        walk = long_walk(Path(folder) / "walk", options.frames, options.senses)
        tectum.track(tectum.load("nano"), walk, box=BOX, out=Path(folder) / "out", watch=watch)
    growth = max(readings[SETTLED:]) - readings[SETTLED]
    print(f"growth after frame {SETTLED}: {growth:.1f} MB over {len(readings)} frames (limit {LIMIT:.0f})")
    sys.exit(growth > LIMIT)


if __name__ == "__main__":
    main()
