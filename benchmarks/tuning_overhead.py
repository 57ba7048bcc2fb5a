"""What modality-sensitive tuning costs beside plain AdamW: `python -m benchmarks.tuning_overhead`.

Trains `mst-b256` on noise by every kind of tuning in turn, and prints the time of the optimiser and of the whole
iteration, the memory, and how far the approximate ranks of its 200 million gradients are from those of a sort. On a CPU
times are of the processor, so that other work on the machine hardly matters; memory is measured on Linux only. `update`
holds one more copy of what trains, and a second one while a step is done; `weight` holds one while a step is done. From
about four pairs on that is less than the activations that a step finds gone.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from tectum.frames import Prompt
from tectum.systems.base import Batch, System
from tectum.systems.catalogue import build
from tectum.training.optim import build_optimiser, freeze
from tectum.training.recipe import Optim, Tuning
from tectum.training.sensitivity import coefficients, counted, magnitudes

LIMIT = 5.7
"""Per cent of a plain iteration that the paper's tuning adds."""

JUDGED = 10**6
"""Gradients whose approximate ranks are compared."""

KINDS: tuple[Literal["none", "update", "weight"], ...] = ("none", "update", "weight")


def noise(system: System, pairs: int, device: str) -> Batch:
    """Pairs of nothing in particular."""

    def views(side: int) -> dict[object, torch.Tensor]:
        return {sense: torch.randn(pairs, 3, side, side, device=device) for sense in system.senses}

    box = torch.tensor([[0.3, 0.4, 0.2, 0.1]], device=device).expand(pairs, 4)
    return Batch(views(system.crops.template_size), views(system.crops.search_size), box, Prompt(box=box))  # type: ignore[arg-type]


def seconds(work: Callable[[], object], device: str) -> float:
    """How long something takes: on a GPU until it is done, on a CPU in time of the processor."""
    if device == "cpu":
        start = time.process_time()
        work()
        return time.process_time() - start
    torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def forget_peak(device: str) -> None:
    """Begins to measure the largest memory anew."""
    gc.collect()
    if device == "cpu":
        ctypes.CDLL(None).malloc_trim(0)  # or memory that is free would count
        Path("/proc/self/clear_refs").write_text("5")
    else:
        torch.cuda.reset_peak_memory_stats()


def peak(device: str) -> float:
    """The largest memory since then, in gigabytes."""
    if device != "cpu":
        return torch.cuda.max_memory_allocated() / 1e9
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / 1e9


def iterate(system: System, batch: Batch, tuning: Tuning, count: int, precision: str) -> tuple[float, float, float]:
    """Seconds of gradients and of the optimiser, the least of some, and the largest memory of an iteration."""
    optimiser = build_optimiser(system, Optim(lr=1e-4, tuning=tuning))
    device = batch.boxes.device.type

    def learn() -> None:
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
            loss = system.objective(batch).total
        loss.backward()

    learn()
    optimiser.step()
    optimiser.zero_grad()
    forget_peak(device)
    gradients = seconds(learn, device)
    optimiser.step()
    largest = peak(device)
    return gradients, min(seconds(optimiser.step, device) for _ in range(count)), largest


def rank_errors(system: System) -> np.ndarray:
    """How far approximate ranks of the gradients that the system has are from exact ones, in [0, 1]."""
    gradients = [weight.grad for weight in system.parameters() if weight.grad is not None]
    row = torch.cat([gradient.flatten() for gradient in gradients])
    some = row[torch.randint(len(row), (JUDGED,), device=row.device)]
    found = coefficients(counted(gradients), 0, 1)[magnitudes(some.clone())].cpu().numpy()
    ordered = np.sort(row.abs().cpu().numpy())
    judged = some.abs().cpu().numpy()
    between = np.searchsorted(ordered, judged, "left") + np.searchsorted(ordered, judged, "right") - 1
    return np.abs(found - between / 2 / (len(ordered) - 1))


def main() -> None:
    """Reads the arguments, measures, and exits with 1 if the time added is beyond the limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="mst-b256")
    parser.add_argument("--pairs", type=int, default=24, help="pairs in an iteration; 24 are one GPU's in the paper")
    parser.add_argument("--steps", type=int, default=5, help="timed steps of each kind")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    options = parser.parse_args()
    torch.manual_seed(0)
    system = build(options.preset).to(options.device).train()
    freeze(system)
    batch = noise(system, options.pairs, options.device)
    trained = sum(weight.numel() for weight in system.parameters() if weight.requires_grad)
    print(f"{options.preset}: {trained / 1e6:.1f} M trained, {4 * trained / 1e9:.2f} GB a copy; {options.pairs} pairs")
    print(f"{'tuning':<8}{'gradients':>12}{'optimiser':>12}{'added':>12}{'of all':>9}{'peak memory':>14}")
    rows = [iterate(system, batch, Tuning(kind), options.steps, options.precision) for kind in KINDS]
    # Gradients cost the same whatever becomes of them.
    plain = rows[0][1]
    whole = min(gradients for gradients, _, _ in rows) + plain
    shares = [100 * (step - plain) / whole for _, step, _ in rows]
    for kind, share, (gradients, step, memory) in zip(KINDS, shares, rows, strict=True):
        added = step - plain
        print(f"{kind:<8}{gradients:10.3f} s{step:10.3f} s{added:10.3f} s{share:7.1f} %{memory:11.2f} GB")
    errors = rank_errors(system)
    print(f"error of ranks: mean {errors.mean():.2%}, largest {errors.max():.2%} of all parameters")
    raise SystemExit(max(shares) > LIMIT)


if __name__ == "__main__":
    main()
