"""How long one forward pass of OSTrack takes here, beside the published structure in the same process.

    python benchmarks/ostrack_forward.py                            # beside a plain statement of that structure
    python benchmarks/ostrack_forward.py --published ~/OSTrack      # beside the published code itself

Both networks hold the same weights and see the same crops. Their runs alternate, so that whatever else the machine
does falls on both, and the fastest run of each counts, since other work only ever slows one down. The plain network
does what the published one does per frame: it embeds the template anew, writes out every attention matrix, and sorts
and puts back the eliminated candidates in the same way.
"""

from __future__ import annotations

import argparse
import importlib
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tectum.frames import Modality, Prompt
from tectum.systems.base import CenterMaps
from tectum.systems.ostrack import OSTrack

EXPERIMENTS = {
    "ostrack-b256": "vitb_256_mae_32x4_ep300",
    "ostrack-b256-ce": "vitb_256_mae_ce_32x4_ep300",
    "ostrack-b384-ce": "vitb_384_mae_ce_32x4_ep300",
}
"""The published experiment behind each preset."""

Forward = Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]
"""From template and search crops to score, size and offset."""


class Plain(nn.Module):
    """The published structure in its plainest form, on the parameters of one of our systems."""

    def __init__(self, system: OSTrack) -> None:
        super().__init__()
        self.system = system

    def forward(self, template: Tensor, search: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Score, size and offset of crops `B×3×T×T` and `B×3×S×S`."""
        vit = self.system.backbone
        z = vit.patch_embed(template) + vit.template_positions
        x = vit.patch_embed(search) + vit.search_positions
        tokens, length, total = torch.cat([z, x], dim=1), z.shape[1], x.shape[1]
        places = torch.arange(total).expand(len(x), -1)
        dropped: list[Tensor] = []
        for index, block in enumerate(vit.blocks):
            tokens, attention = self._attend(block, tokens)
            if index in vit.config.eliminate_at:
                tokens, places, gone = self._eliminate(tokens, attention, places, length)
                dropped.append(gone)
            tokens = tokens + block.mlp(block.norm2(tokens))
        features = vit.norm(tokens)[:, length:]
        if dropped:
            padded = torch.cat([features, features.new_zeros(len(x), total - features.shape[1], x.shape[2])], dim=1)
            order = torch.cat([places, *dropped], dim=1)[..., None].expand_as(padded)
            features = torch.zeros_like(padded).scatter_(1, order, padded)
        side = vit.config.search_side
        return self.system.head(features.transpose(1, 2).reshape(len(x), -1, side, side).contiguous())

    def _attend(self, block: Any, tokens: Tensor) -> tuple[Tensor, Tensor]:
        batch, count, width = tokens.shape
        heads = block.attn.heads
        joined = block.attn.qkv(block.norm1(tokens)).reshape(batch, count, 3, heads, width // heads)
        query, key, value = joined.permute(2, 0, 3, 1, 4)
        attention = ((query @ key.transpose(-2, -1)) * (width // heads) ** -0.5).softmax(dim=-1)
        mixed = (attention @ value).transpose(1, 2).reshape(batch, count, width)
        return tokens + block.attn.proj(mixed), attention

    def _eliminate(
        self, tokens: Tensor, attention: Tensor, places: Tensor, length: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        config = self.system.backbone.config
        side = config.template_side
        centre = (side - 1) // 2 * side + (side - 1) // 2
        scores = attention[:, :, centre, length:].mean(dim=1)
        order = scores.sort(dim=1, descending=True).indices
        count = math.ceil(config.keep * scores.shape[1])
        best, rest = order[:, :count], order[:, count:]
        kept = tokens[:, length:].gather(1, best[..., None].expand(-1, -1, tokens.shape[2]))
        return torch.cat([tokens[:, :length], kept], dim=1), places.gather(1, best), places.gather(1, rest)


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

    def forward(template: Tensor, search: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        answer = network(template=template, search=search, ce_template_mask=mask)
        return answer["score_map"], answer["size_map"], answer["offset_map"]

    return forward


def seconds(run: Callable[[], object]) -> float:
    """How long one run takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


@torch.inference_mode()
def compare(preset: str, checkout: Path | None, runs: int) -> None:
    """Prints the fastest run of both, their ratio and the largest difference of the maps."""
    torch.manual_seed(0)
    system = OSTrack.presets()[preset](Modality.THERMAL).eval()
    assert isinstance(system, OSTrack)
    other: Forward = Plain(system).eval() if checkout is None else published(checkout, preset, system)
    crops = system.crops
    template, search = torch.randn(1, 3, *[crops.template_size] * 2), torch.randn(1, 3, *[crops.search_size] * 2)
    embedded = system.embed({Modality.RGB: template}, Prompt())

    def ours() -> CenterMaps:
        return system(embedded, {Modality.RGB: search})  # type: ignore[no-any-return]

    def theirs() -> tuple[Tensor, Tensor, Tensor]:
        return other(template, search)

    mine, reference = ours(), theirs()
    pairs = zip((mine.score, mine.size, mine.offset), reference, strict=True)
    difference = max((one - two).abs().max().item() for one, two in pairs)
    theirs()
    times = [(seconds(ours), seconds(theirs)) for _ in range(runs)]
    fast, slow = (min(column) * 1000 for column in zip(*times, strict=True))
    print(f"{preset:16} {fast:9.1f} ms {slow:9.1f} ms {slow / fast:7.2f}x {difference:12.1e}", flush=True)


def main() -> None:
    """Reads the arguments and compares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("presets", nargs="*", help="presets to time, by default all")
    parser.add_argument("--published", type=Path, help="a checkout of botaoye/OSTrack to compare with")
    parser.add_argument("--runs", type=int, default=15, help="timed runs of each")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads of PyTorch")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    unknown = [preset for preset in arguments.presets if preset not in EXPERIMENTS]
    if unknown:
        parser.error(f"there is no preset '{unknown[0]}': use {', '.join(EXPERIMENTS)}")
    name = "plain" if arguments.published is None else "published"
    print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} thread(s), batch 1, {arguments.runs} runs each")
    print(f"{'':16} {'tectum':>12} {name:>12} {'ratio':>8} {'difference':>12}")
    for preset in arguments.presets or EXPERIMENTS:
        compare(preset, arguments.published, arguments.runs)


if __name__ == "__main__":
    main()
