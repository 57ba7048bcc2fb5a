"""A frame of ViPT, SDSTrack, BAT and TBSI, beside their published structure: `python -m benchmarks.adapter_speed`.

Times the network of each preset on one frame, batch 1, on random weights and crops, as tracking runs it: the template
is embedded already. Beside it stands the same network in the structure of its published code, which
`benchmarks.published` says in plain words of ours; both must answer alike to 1e-4. They take turns; counted is the
process's own time on one thread, or the time on the wall with several (`--threads`). `--memory` adds the most that one
frame holds beyond weights and crops, by PyTorch's profiler.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor
from torch.profiler import profile

from benchmarks import published
from benchmarks.alternation import HEADING, compare, setting
from tectum.frames import Prompt
from tectum.systems.base import System, Views
from tectum.systems.bat import BAT
from tectum.systems.catalogue import build
from tectum.systems.sdstrack import SDSTrack
from tectum.systems.tbsi import TBSI
from tectum.systems.vipt import ViPT

RIVALS: dict[type[System], Callable[[Any, Views, Views], published.Maps]] = {
    ViPT: published.vipt,
    SDSTrack: published.sdstrack,
    BAT: published.bat,
    TBSI: published.tbsi,
}
"""The published structure of each system."""

BASE = ("vipt-b256", "vipt-shaw-b256", "sdstrack-b256", "bat-b256", "tbsi-b256")
TINY = ("vipt-tiny", "sdstrack-tiny", "bat-tiny", "tbsi-tiny")


def stirred(preset: str, seed: int = 0) -> System:
    """A network ready to track, with noise on all weights: at their start many are zero and would hide differences."""
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    system = build(preset).eval()
    for parameter in system.parameters():
        parameter += 0.02 * torch.randn(parameter.shape, generator=generator)
    return system


def views(system: System, side: int, seed: int) -> Views:
    """Random crops `1×3×side×side` of all senses."""
    generator = torch.Generator().manual_seed(seed)
    return {sense: torch.randn(1, 3, side, side, generator=generator) for sense in sorted(system.senses)}


def ways(preset: str) -> tuple[Callable[[], Sequence[Tensor]], Callable[[], Sequence[Tensor]]]:
    """A frame of our network, and of the published structure on the same weights and crops."""
    system = stirred(preset)
    template, search = views(system, system.crops.template_size, 1), views(system, system.crops.search_size, 2)
    embedded = system.embed(template, Prompt())

    def ours() -> Sequence[Tensor]:
        maps = system(embedded, search)
        return maps.score, maps.size, maps.offset

    return ours, partial(RIVALS[type(system)], system, template, search)


def peak(work: Callable[[], object]) -> float:
    """Megabytes that a run holds at most, of what it allocates itself."""
    with profile(profile_memory=True) as record:
        work()
    events = sorted(record.events(), key=lambda event: event.time_range.end)
    return max(accumulate(event.self_cpu_memory_usage for event in events)) / 2**20


def arguments() -> argparse.Namespace:
    """What is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("presets", nargs="*", help="presets to time, by default those of ViT-B at 256 pixels")
    parser.add_argument("--tiny", action="store_true", help="time the small presets instead")
    parser.add_argument("--turns", type=int, default=15, help="timed runs of each")
    parser.add_argument("--threads", type=int, default=1, help="threads of PyTorch")
    parser.add_argument("--memory", action="store_true", help="print memory, too: ours, then the published structure's")
    given = parser.parse_args()
    known = [preset for system in RIVALS for preset in system.presets()]
    unknown = [preset for preset in given.presets if preset not in known]
    if unknown:
        parser.error(f"there is no published structure of '{unknown[0]}' here: use {', '.join(known)}")
    given.presets = given.presets or list(TINY if given.tiny else BASE)
    return given


@torch.inference_mode()
def main() -> None:
    """Prints the table."""
    given = arguments()
    torch.set_num_threads(given.threads)
    print(setting(given.turns))
    print(f"{'':15}{HEADING}{'memory':>20}" if given.memory else f"{'':15}{HEADING}")
    for preset in given.presets:
        ours, theirs = ways(preset)
        row = f"{preset:15}{compare(ours, theirs, given.turns).row()}"
        print(f"{row} {peak(ours):7.1f} {peak(theirs):7.1f} MB" if given.memory else row, flush=True)


if __name__ == "__main__":
    main()
