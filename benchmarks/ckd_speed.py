"""What eliminating candidates by both senses together saves: `python -m benchmarks.ckd_speed`.

Times the network of CKD on one frame, batch 1, on random weights and crops, as tracking runs it: the template is
embedded already. With and without elimination take turns on the same weights, so that whatever else the machine does
falls on both. On one thread the process's own time counts, else the time on the wall; on a GPU always the latter.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import torch

from benchmarks.alternation import milliseconds, setting
from tectum.frames import Prompt
from tectum.systems.catalogue import build

PRESETS = ("ckd-b256", "ckd-tiny")


def frame(preset: str, weights: dict[str, torch.Tensor], device: str) -> Callable[[], None]:
    """A frame of a preset's network, done when it returns."""
    system = build(preset).eval().to(device)
    system.load_state_dict(weights)
    generator = torch.Generator().manual_seed(1)
    template, search = (
        {sense: torch.randn(1, 3, side, side, generator=generator).to(device) for sense in sorted(system.senses)}
        for side in (system.crops.template_size, system.crops.search_size)
    )
    embedded = system.embed(template, Prompt())

    def run() -> None:
        system(embedded, search)
        if device != "cpu":
            torch.cuda.synchronize(device)

    return run


@torch.inference_mode()
def compare(preset: str, device: str, turns: int) -> str:
    """A row: median milliseconds without and with elimination, and quartiles of their ratio, turn by turn."""
    torch.manual_seed(0)
    weights = build(preset).state_dict()
    whole, pruned = frame(preset, weights, device), frame(f"{preset}-mce", weights, device)
    for warm in (whole, pruned):
        warm()
    times = np.array([(milliseconds(whole), milliseconds(pruned)) for _ in range(turns)])
    slow, fast = np.median(times, axis=0)
    low, middle, high = np.quantile(times[:, 0] / times[:, 1], (0.25, 0.5, 0.75))
    return f"{preset:12}{slow:11.1f} ms{fast:11.1f} ms{middle:9.2f}x{low:9.2f} to {high:.2f}"


def main() -> None:
    """Reads the arguments and compares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "presets", nargs="*", default=PRESETS, help="presets without elimination, by default both sizes"
    )
    parser.add_argument("--turns", type=int, default=15, help="timed runs of each")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads of PyTorch")
    parser.add_argument("--device", default="cpu", help="where to compute, such as cpu or cuda")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads if arguments.device == "cpu" else max(2, arguments.threads))
    print(f"{setting(arguments.turns)}, {arguments.device}")
    print(f"{'':12}{'without':>14}{'with':>14}{'faster':>10}{'quartiles':>17}")
    for preset in arguments.presets:
        print(compare(preset, arguments.device, arguments.turns), flush=True)


if __name__ == "__main__":
    main()
