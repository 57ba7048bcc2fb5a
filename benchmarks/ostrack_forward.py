"""How long one forward pass of OSTrack takes here, beside the published structure in the same process.

    python -m benchmarks.ostrack_forward                            # beside a plain statement of that structure
    python -m benchmarks.ostrack_forward --published ~/OSTrack      # beside the published code itself

Both networks hold the same weights, see the same crops and take turns. The plain statement is
`benchmarks.published.ostrack`: it embeds the template anew, writes out every attention matrix, and sorts and puts back
the eliminated candidates in the way of the published code.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from functools import partial
from pathlib import Path

import torch

from benchmarks.alternation import HEADING, compare, setting
from benchmarks.published import Forward, Maps, ostrack
from tectum.frames import Modality, Prompt
from tectum.systems.base import Views
from tectum.systems.ostrack import OSTrack

EXPERIMENTS = {
    "ostrack-b256": "vitb_256_mae_32x4_ep300",
    "ostrack-b256-ce": "vitb_256_mae_ce_32x4_ep300",
    "ostrack-b384-ce": "vitb_384_mae_ce_32x4_ep300",
}
"""The published experiment behind each preset."""


def published(checkout: Path, preset: str, system: OSTrack) -> Forward:
    """The network of a checkout of botaoye/OSTrack (with what it needs installed), on our weights."""
    if not (checkout / "lib" / "models" / "ostrack").is_dir():
        sys.exit(f"{checkout} is no checkout of OSTrack: it has no lib/models/ostrack.")
    sys.path.insert(0, str(checkout))
    try:
        settings = importlib.import_module("lib.config.ostrack.config")
        models = importlib.import_module("lib.models.ostrack")
    except ImportError as error:
        sys.exit(f"The checkout in {checkout} cannot be imported here ({error}): install what it needs, such as timm.")
    settings.update_config_from_file(str(checkout / "experiments" / "ostrack" / f"{EXPERIMENTS[preset]}.yaml"))
    settings.cfg.MODEL.PRETRAIN_FILE = ""
    network = models.build_ostrack(settings.cfg, training=False).eval()
    ours = {system.layout.original(name): tensor for name, tensor in system.state_dict().items()}
    network.load_state_dict(ours, strict=False)
    vit = system.config.vit
    mask = None
    if vit.eliminate_at:
        mask = torch.zeros(1, vit.template_side, vit.template_side, dtype=torch.bool)
        mask[:, (vit.template_side - 1) // 2, (vit.template_side - 1) // 2] = True
        mask = mask.flatten(1)

    def forward(template: Views, search: Views) -> Maps:
        answer = network(template=template[Modality.RGB], search=search[Modality.RGB], ce_template_mask=mask)
        return answer["score_map"], answer["size_map"], answer["offset_map"]

    return forward


@torch.inference_mode()
def measure(preset: str, checkout: Path | None, turns: int) -> None:
    """Prints a preset's row."""
    torch.manual_seed(0)
    system = OSTrack.presets()[preset](Modality.THERMAL).eval()
    assert isinstance(system, OSTrack)
    other: Forward = partial(ostrack, system) if checkout is None else published(checkout, preset, system)
    sides = system.crops.template_size, system.crops.search_size
    template, search = ({Modality.RGB: torch.randn(1, 3, side, side)} for side in sides)
    embedded = system.embed(template, Prompt())

    def ours() -> Maps:
        maps = system(embedded, search)
        return maps.score, maps.size, maps.offset

    print(f"{preset:16}{compare(ours, partial(other, template, search), turns).row()}", flush=True)


def main() -> None:
    """Reads the arguments and compares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("presets", nargs="*", help="presets to time, by default all")
    parser.add_argument("--published", type=Path, help="a checkout of botaoye/OSTrack to compare with")
    parser.add_argument("--turns", type=int, default=15, help="timed runs of each")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads of PyTorch")
    given = parser.parse_args()
    unknown = [preset for preset in given.presets if preset not in EXPERIMENTS]
    if unknown:
        parser.error(f"there is no preset '{unknown[0]}': use {', '.join(EXPERIMENTS)}")
    torch.set_num_threads(given.threads)
    print(setting(given.turns))
    print(f"{'':16}{HEADING}")
    for preset in given.presets or EXPERIMENTS:
        measure(preset, given.published, given.turns)


if __name__ == "__main__":
    main()
