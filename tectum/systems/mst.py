"""MST: two whole OSTracks, one per sense, with blocks between them that read both, all of which trains but the head.

Source: "Learning Effective Multi-Modal Trackers via Modality-Sensitive Tuning". The network is the smaller part of it:
how its weights move in training is `tectum.training.sensitivity`. The paper does not say how many blocks read both
senses, nor where they stand. Its cost of 149.0 and 335.3 GFLOPs is that of four; here they stand at equal distances,
the last one before the head.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from tectum.frames import Modality, Prompt
from tectum.networks.heads import CenterHead
from tectum.networks.vit import JointViT
from tectum.systems.base import Batch, CenterMaps, Group, Layout, Losses, System, Template, Views, second_sense
from tectum.systems.options import Preset
from tectum.systems.ostrack import (
    BASE_256,
    BASE_384,
    ORIGINALS,
    RENAMES,
    TINY,
    UNUSED,
    OSTrackConfig,
    fit_positions,
    one_stream_objective,
)


@dataclass(frozen=True)
class MSTConfig:
    """What an MST is made of.

    Attributes:
        foundation: the RGB tracker that both streams start from, and whose head reads them.
        crossed_after: blocks (from 0) after which a cross-modal block reads both senses.
        fusion: what the head reads of both senses' search regions.
        cross_rate: learning rate of the cross-modal blocks over that of the streams.

    Raises:
        ValueError: if a cross-modal block follows no block, or if the foundation eliminates candidates.
    """

    foundation: OSTrackConfig = BASE_256
    crossed_after: tuple[int, ...] = (2, 5, 8, 11)
    fusion: Literal["mean", "sum"] = "mean"
    cross_rate: float = 0.5

    def __post_init__(self) -> None:
        vit = self.foundation.vit
        if not set(self.crossed_after) <= set(range(vit.depth)):
            raise ValueError(
                f"Senses cannot cross after {self.crossed_after}: choose from blocks 0 to {vit.depth - 1}."
            )
        if vit.eliminate_at:
            raise ValueError("MST joins both senses place by place: leave eliminate_at empty.")


def spread(system: System, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Starts both streams from a single-stream checkpoint, and each cross-modal block from the block before it.

    Args:
        system: the MST that the tensors are for.
        tensors: an OSTrack's or DropTrack's state dict after `RENAMES`, or an MST's own.
    """
    crossed = system.config.crossed_after if isinstance(system, MST) else ()
    spreaded: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        parent, _, rest = name.partition(".")
        if parent != "backbone":
            spreaded[name] = tensor
            continue
        spreaded.update({f"rgb.{rest}": tensor, f"other.{rest}": tensor})
        kind, _, place = rest.partition(".")
        if kind == "blocks" and int(place.partition(".")[0]) in crossed:
            spreaded[f"cross.{place}"] = tensor
    return fit_positions(system, spreaded)


class MST(System):
    """The two-stream tracker on RGB and a second sense.

    Args:
        second: the sense beside RGB.
        config: what it is made of.

    Raises:
        UnknownNameError: if the second sense is RGB.
    """

    layout = Layout(
        RENAMES,
        UNUSED,
        prepare=spread,
        originals=((r"^cross\.", "backbone.blocks."), (r"^(rgb|other)\.", "backbone."), *ORIGINALS),
    )

    def __init__(self, second: Modality = Modality.THERMAL, config: MSTConfig | None = None) -> None:
        config = config or MSTConfig()
        foundation = config.foundation
        super().__init__(senses=(Modality.RGB, second_sense(second)), crops=foundation.crops)
        self.second = second
        self.config = config
        self.rgb = JointViT(foundation.vit)
        self.other = JointViT(foundation.vit)
        blocks = {str(index): copy.deepcopy(self.rgb.blocks[index]) for index in config.crossed_after}
        self.cross = nn.ModuleDict(blocks)
        self.head = CenterHead(foundation.vit.width, foundation.head, rare=foundation.from_nothing)

    @classmethod
    def presets(cls) -> Mapping[str, Preset]:
        """`mst-b256`, `mst-b384` and `mst-tiny`, on RGB and the second sense."""
        configs = {
            "mst-b256": MSTConfig(),
            "mst-b384": MSTConfig(BASE_384),
            "mst-tiny": MSTConfig(TINY, crossed_after=(1, 4)),
        }
        return {name: Preset(cls, config) for name, config in configs.items()}

    def embed(self, template: Views, prompt: Prompt) -> Template:
        """Keeps the template's tokens `B×Nz×C` of each sense, as `rgb` and `other`."""
        return {
            "rgb": self.rgb.embed_template(template[Modality.RGB]),
            "other": self.other.embed_template(template[self.second]),
        }

    def forward(self, template: Template, search: Views) -> CenterMaps:
        """Finds the targets; maps have a cell for every patch of the search crop."""
        rgb, other = self.read(
            torch.cat([template["rgb"], self.rgb.embed_search(search[Modality.RGB])], dim=1),
            torch.cat([template["other"], self.other.embed_search(search[self.second])], dim=1),
        )
        fused = rgb + other if self.config.fusion == "sum" else (rgb + other) / 2
        vit = self.config.foundation.vit
        features = fused.transpose(1, 2).reshape(-1, vit.width, vit.search_side, vit.search_side)
        return CenterMaps(*self.head(features))

    def read(self, rgb: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
        """Maps both senses' tokens `B×N×C`, template first, to their final search tokens `B×Nx×C`."""
        for index, (rgb_block, other_block) in enumerate(zip(self.rgb.blocks, self.other.blocks, strict=True)):
            rgb, _ = rgb_block(rgb)
            other, _ = other_block(other)
            if str(index) in self.cross:
                joint, _ = self.cross[str(index)](torch.cat([rgb, other], dim=1))
                rgb, other = joint.chunk(2, dim=1)
        length = self.config.foundation.vit.template_side**2
        return self.rgb.norm(rgb[:, length:]), self.other.norm(other[:, length:])

    def objective(self, batch: Batch) -> Losses:
        """`one_stream_objective`, OSTrack's loss."""
        maps = self(self.embed(batch.template, batch.prompt), batch.search)
        return one_stream_objective(self.config.foundation, maps, batch.boxes)

    def trainable(self) -> tuple[Group, ...]:
        """Both streams, and the cross-modal blocks at their share of the rate; the head is frozen, statistics too."""
        return (
            Group((*self.rgb.parameters(), *self.other.parameters())),
            Group(tuple(self.cross.parameters()), rate=self.config.cross_rate),
        )
