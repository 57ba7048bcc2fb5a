"""Training pairs a second, per core, beside decoding whole frames: `python -m benchmarks.loader_speed`.

Writes 1080p JPEGs of the procedural world's textures with targets of mixed sizes, as in LasHeR (half of them below 50
pixels), and draws training pairs from them twice, in turn and with the same draws: as Tectum reads them, and by
decoding each whole frame with OpenCV, joining the senses to six channels, and cropping: the way of the published code.
Crops, jitter and photometry are the same. The JPEGs come in three kinds: ordinary ones in folders, as cameras and
image libraries write them, where decoding must begin at the top; the same ones in shards, as `tectum data shard` makes
them, against whole frames from the folders; and ones that have restart markers between their rows from the start, as
ffmpeg writes frames with several threads. Then one worker process draws on from the shards, and its memory is read on
the way; Linux only.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from unittest.mock import patch

import cv2
import numpy as np
import torch

from benchmarks.memory import resident
from tectum.benchmarks.plain import Plain
from tectum.frames import Modality
from tectum.geometry import Crop, Image
from tectum.sources import DepthRendering
from tectum.systems.base import Crops
from tectum.training.decoding import Stored
from tectum.training.recorded import Recorded
from tectum.training.sharding import write_shards
from tectum.training.shards import INDEX, Shards
from tectum.training.videos import Clips, FolderClips, Videos
from tectum.world.textures import noise, paint, pattern

WIDTH, HEIGHT = 1920, 1080
KINDS = ("ordinary", "shards", "restart markers")
BAR = 3.0
"""How many times faster the loader is to be, for mixed targets out of shards of ordinary JPEGs."""

MEMORY = 300.0
"""Megabytes that a worker may hold."""

GROWTH = 10.0
"""Megabytes by which it may grow once it is warm."""

SENSES = (Modality.RGB, Modality.THERMAL)
SIZES: Mapping[str, tuple[float, float]] = {
    "mixed": (50, 0.6),
    "25 px": (25, 0.0),
    "50 px": (50, 0.0),
    "100 px": (100, 0.0),
    "200 px": (200, 0.0),
    "400 px": (400, 0.0),
}
"""Median of the root of the target's area, and the deviation of its logarithm."""


def textured(rng: np.random.Generator) -> Image:
    """A picture whose JPEG is as large as a photograph's."""
    image = paint(rng, noise(rng, WIDTH, HEIGHT, 6, 8))
    for _ in range(60):
        w, h = (int(side) for side in rng.integers(20, 200, 2))
        x, y = int(rng.integers(0, WIDTH - w)), int(rng.integers(0, HEIGHT - h))
        image[y : y + h, x : x + w] = paint(rng, pattern(rng, w, h))
    grain = cv2.GaussianBlur(rng.normal(0, 6, (HEIGHT, WIDTH, 1)), (0, 0), 0.7)
    return np.clip(image + grain[:, :, None], 0, 255).astype(np.uint8)


def write_pictures(folder: Path, count: int, restart: bool) -> list[Path]:
    """JPEGs of quality 90 with halved colours, with or without a restart marker after each row of blocks."""
    rng, paths = np.random.default_rng(0), [folder / f"{index:06d}.jpg" for index in range(count)]
    flags = [cv2.IMWRITE_JPEG_QUALITY, 90, cv2.IMWRITE_JPEG_RST_INTERVAL, WIDTH // 16 if restart else 0]
    folder.mkdir(parents=True)
    for path in paths:
        cv2.imwrite(str(path), textured(rng), flags)
    return paths


def write_sequences(root: Path, pictures: list[Path], median: float, spread: float) -> Path:
    """Sequences in the plain layout whose images are links; targets lie anywhere in the view."""
    rng = np.random.default_rng(1)
    for name in ("one", "two", "three", "four"):
        rows = []
        for sense in SENSES:
            (root / name / sense).mkdir(parents=True)
            for index, picture in enumerate(pictures):
                os.link(picture, root / name / sense / f"{index:06d}.jpg")
        for _ in pictures:
            extent = min(max(median * math.exp(spread * rng.standard_normal()), 12), 0.6 * HEIGHT)
            w = extent * math.exp(rng.uniform(-0.4, 0.4))
            h = extent * extent / w
            rows.append(f"{rng.uniform(0, WIDTH - w):.2f},{rng.uniform(0, HEIGHT - h):.2f},{w:.2f},{h:.2f}\n")
        (root / name / "groundtruth.txt").write_text("".join(rows))
    return root


def look_at_whole_frames(
    images: Mapping[Modality, Stored], senses: tuple[Modality, ...], crop: Crop, depth: DepthRendering
) -> dict[Modality, Image]:
    """The way of the published code: decode all, join the senses, crop then."""
    whole = [cv2.cvtColor(cv2.imread(str(images[sense].path)), cv2.COLOR_BGR2RGB) for sense in senses]
    joined = np.asarray(whole[0] if len(whole) == 1 else cv2.merge(whole), np.uint8)
    cropped = crop.extract(joined)
    return {sense: cropped[:, :, 3 * place : 3 * place + 3] for place, sense in enumerate(senses)}


def opened(root: Path) -> Recorded:
    """The material that training would draw from: shards, or folders of images."""
    clips: Clips = Shards(root, root.parent) if (root / INDEX).exists() else FolderClips(Plain(), root, None)
    return Recorded(Videos(clips))


def sharded(root: Path) -> Path:
    """Shards of a folder's sequences."""
    out = root.with_name(f"{root.name}-shards")
    begun, count = time.process_time(), len(list(write_shards(FolderClips(Plain(), root, None), out)))
    print(f"{count} sequences put into shards in {time.process_time() - begun:.1f} s", flush=True)
    return out


def seconds(material: Recorded, senses: tuple[Modality, ...], seed: int, count: int) -> float:
    """Processor time for some pairs."""
    begun = time.process_time()
    material.pairs(np.random.default_rng(seed), count, senses, Crops())
    return time.process_time() - begun


def compare(ours: Path, theirs: Path, senses: tuple[Modality, ...], rounds: int, count: int) -> tuple[float, float]:
    """Pairs a second and core, ours and of whole frames; rounds of the same draws alternate and are summed."""
    parts, whole = opened(ours), opened(theirs)
    seconds(parts, senses, 0, 4)
    spent, spent_whole = [], []
    for seed in range(rounds):
        spent.append(seconds(parts, senses, seed, count))
        with patch("tectum.training.recorded.look", look_at_whole_frames):
            spent_whole.append(seconds(whole, senses, seed, count))
    return rounds * count / sum(spent), rounds * count / sum(spent_whole)


def watch_memory(root: Path, batches: int, readings: multiprocessing.Queue[float]) -> None:
    """Draws as a worker does and tells how much memory the process holds."""
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    material = opened(root)
    for seed in range(batches):
        material.pairs(np.random.default_rng(seed), 32, SENSES, Crops())
        readings.put(resident())


def worker_memory(root: Path, batches: int) -> list[float]:
    """Megabytes after each batch in a process of its own."""
    context = multiprocessing.get_context("spawn")
    readings = context.Queue()
    worker = context.Process(target=watch_memory, args=(root, batches, readings))
    worker.start()
    held = [readings.get() for _ in range(batches)]
    worker.join()
    return held


def measure(folder: Path, kind: str, options: argparse.Namespace) -> list[float]:
    """Prints a table for one kind of JPEG; gives the ratios of mixed targets, with one sense and with two."""
    pictures = write_pictures(folder / "pictures", options.pictures, restart=kind == "restart markers")
    size = sum(path.stat().st_size for path in pictures) // len(pictures)
    print(f"{kind}: {len(pictures)} JPEGs of {WIDTH}x{HEIGHT}, {size >> 10} KB each")
    print("target   senses   pairs/s here   pairs/s of whole frames   ratio")
    ratios = []
    for name in options.targets:
        median, spread = SIZES[name]
        root = write_sequences(folder / name.replace(" ", ""), pictures, median, spread)
        read = sharded(root) if kind == "shards" else root
        for senses in (SENSES[:1], SENSES) if name == "mixed" else (SENSES[:1],):
            ours, theirs = compare(read, root, senses, options.rounds, options.pairs)
            ratios += [ours / theirs] if name == "mixed" else []
            print(f"{name:8s} {len(senses):6d} {ours:14.1f} {theirs:25.1f} {ours / theirs:7.2f}", flush=True)
    return ratios


def main() -> None:
    """Measures, and exits with 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=24, help="1080p images to write")
    parser.add_argument("--targets", nargs="+", choices=tuple(SIZES), default=tuple(SIZES), help="mixed for the bar")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--pairs", type=int, default=48, help="in each round")
    parser.add_argument("--batches", type=int, default=40, help="of 32 pairs, while memory is read")
    options = parser.parse_args()
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        ratios = {kind: measure(Path(folder) / kind, kind, options) for kind in KINDS}
        held = worker_memory(next((Path(folder) / "shards").glob("*-shards")), options.batches)
    growth = max(held[len(held) // 2 :]) - held[len(held) // 4]
    print(f"a worker holds {max(held):.0f} MB (bar {MEMORY:.0f}), {growth:+.1f} MB since a quarter of the run")
    sys.exit(min(ratios["shards"], default=BAR) < BAR or max(held) > MEMORY or growth > GROWTH)


if __name__ == "__main__":
    main()
