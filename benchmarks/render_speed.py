"""Training pairs of the procedural world a second: `python -m benchmarks.render_speed`.

Draws and renders batches of pairs, template 128 and search 256 pixels, and prints for each pairing of senses the pairs
a second, what they take in milliseconds, and how much of it the second sense adds. On a CPU one thread works and its
own time is counted, so that other work on the machine hardly shows; on a GPU (`--device cuda`) it is the time on the
wall, from the first draw to the last finished image. Scripts are drawn on the CPU even then; their speed stands first.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch

from tectum.frames import Modality
from tectum.world.pairs import Stock, build_stock, render, write_script

SECONDS = (None, Modality.THERMAL, Modality.DEPTH, Modality.EVENT)
BARS = {"cpu": 150, "cuda": 4000}
"""Pairs a second that every pairing is to reach: on one core, and on a large GPU."""


def shortest(work: Callable[[int], object], repeats: int, device: torch.device) -> float:
    """Seconds of the fastest of several calls, each with a seed of its own, after one that warms up."""
    work(0)
    return min(_seconds(work, seed, device) for seed in range(1, repeats + 1))


def _seconds(work: Callable[[int], object], seed: int, device: torch.device) -> float:
    if device.type != "cuda":
        begin = time.process_time()
        work(seed)
        return time.process_time() - begin
    torch.cuda.synchronize()
    begin = time.perf_counter()
    work(seed)
    torch.cuda.synchronize()
    return time.perf_counter() - begin


def pairing(stock: Stock, count: int, senses: Sequence[Modality]) -> Callable[[int], object]:
    """Makes a batch of pairs from a seed."""

    def make(seed: int) -> object:
        return render(stock, write_script(np.random.default_rng(seed), stock, count), senses, seed)

    return make


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--batch", type=int, default=64, help="pairs made in one call")
    parser.add_argument("--repeats", type=int, default=10, help="calls of which the fastest counts")
    given = parser.parse_args()
    torch.set_num_threads(1)
    device = torch.device(given.device)
    stock = build_stock(0, plates=128, things=256).to(device)
    cpu = torch.device("cpu")
    script = shortest(lambda seed: write_script(np.random.default_rng(seed), stock, given.batch), given.repeats, cpu)
    print(f"scripts alone, on the CPU: {given.batch / script:,.0f} a second")
    print("senses         pairs/s   ms/pair   second sense adds")
    alone = 0.0
    for second in SECONDS:
        senses = [Modality.RGB] if second is None else [Modality.RGB, second]
        each = shortest(pairing(stock, given.batch, senses), given.repeats, device) / given.batch
        alone = alone or each
        name = "+".join(sense.value for sense in senses)
        print(f"{name:<12} {1 / each:>9,.0f} {each * 1e3:>9.2f} {(each - alone) * 1e3:>14.2f} ms", flush=True)
    if device.type in BARS:
        print(f"to be reached by each: {BARS[device.type]:,} a second")


if __name__ == "__main__":
    main()
