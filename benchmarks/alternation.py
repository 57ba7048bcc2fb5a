"""Two ways to the same answer, timed in turns."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

Answer = Callable[[], Sequence[Tensor]]
"""One way to the answer."""

TOLERANCE = 1e-4
"""How far both answers may lie apart."""

HEADING = f"{'tectum':>12} {'published':>12} {'ratio':>8} {'quartiles':>15} {'difference':>11}"
"""What stands above the rows."""


@dataclass(frozen=True)
class Comparison:
    """What came of it.

    Attributes:
        ours: median milliseconds of the first way.
        theirs: median milliseconds of the second.
        ratio: lower quartile, median and upper quartile of how many times longer the second takes, turn by turn.
        difference: the largest one between both answers.
    """

    ours: float
    theirs: float
    ratio: tuple[float, float, float]
    difference: float

    def row(self) -> str:
        """A line of the table under `HEADING`."""
        low, middle, high = self.ratio
        times = f"{self.ours:9.1f} ms {self.theirs:9.1f} ms {middle:7.2f}x"
        return f"{times} {low:6.2f} to {high:5.2f} {self.difference:11.1e}"


def compare(ours: Answer, theirs: Answer, turns: int) -> Comparison:
    """Times both in turns, so that whatever else the machine does falls on both, after a turn that warms up.

    Args:
        ours: the first way.
        theirs: the second way.
        turns: timed runs of each.
    """
    pairs = zip(ours(), theirs(), strict=True)
    difference = torch.stack([(one - two).abs().max() for one, two in pairs]).max().item()
    if not difference <= TOLERANCE:
        sys.exit(f"The answers differ by {difference:.1e}: mend one of the networks before their times are compared.")
    times = np.array([(milliseconds(ours), milliseconds(theirs)) for _ in range(turns)])
    low, middle, high = np.quantile(times[:, 1] / times[:, 0], (0.25, 0.5, 0.75)).tolist()
    return Comparison(*np.median(times, axis=0).tolist(), (low, middle, high), difference)


def setting(turns: int) -> str:
    """What the times were taken with."""
    threads = torch.get_num_threads()
    clock = "time of the process" if threads == 1 else "time on the wall"
    return f"PyTorch {torch.__version__}, batch 1, {threads} thread(s), {clock}, medians of {turns} turns"


def milliseconds(work: Callable[[], object]) -> float:
    """How long one run takes; of one thread the time of the process, which other work hardly lengthens."""
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    begin = clock()
    work()
    return (clock() - begin) * 1e3
