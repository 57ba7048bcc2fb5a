"""TBSI: one shared OSTrack for both senses, whose search regions exchange what they see through the templates.

Source: Hui et al., "Bridging Search Region Interaction With Template for RGB-T Tracking", CVPR 2023. After the fourth,
seventh and tenth block the two templates are fused to a medium, which gathers from the search region of one sense what
it then hands to that of the other. Nothing is eliminated.

The published code normalises thermal images by a grey mean of 0.449 and a deviation of 0.226 where views have
ImageNet's colours; the networks themselves are equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tectum.frames import Modality, Prompt
from tectum.networks.heads import CenterHead, convolution_block
from tectum.networks.vit import JointViT, Perceptron, ViTConfig
from tectum.systems.base import Batch, CenterMaps, Group, Layout, Losses, System, Template, Views, second_sense
from tectum.systems.options import Preset
from tectum.systems.ostrack import (
    BASE_256,
    ORIGINALS,
    RENAMES,
    TINY,
    UNUSED,
    OSTrackConfig,
    fit_positions,
    one_stream_objective,
)

BRIDGE_RENAMES = (
    (r"backbone\.tbsi_layers\.(\d+)", r"bridges.\1"),
    (r"\.t_fusion\.", ".fusion."),
    (r"\.attn_reshape\.proj\.", ".proj."),
    (r"\.ca_s2t_i2f\.", ".medium_from_other."),
    (r"\.ca_s2t_v2f\.", ".medium_from_rgb."),
    (r"\.ca_t2s_f2i\.", ".search_other."),
    (r"\.ca_t2s_f2v\.", ".search_rgb."),
    (r"\.ca_t2t_f2i\.", ".template_other."),
    (r"\.ca_t2t_f2v\.", ".template_rgb."),
    (r"tbsi_fuse_search\.", "fusion."),
)

BRIDGE_ORIGINALS = (
    (r"^fusion\.", "tbsi_fuse_search."),
    (r"^(bridges\.\d+)\.fusion\.", r"\1.t_fusion."),
    (r"^(bridges\..*)\.proj\.", r"\1.attn_reshape.proj."),
    (r"\.medium_from_other\.", ".ca_s2t_i2f."),
    (r"\.medium_from_rgb\.", ".ca_s2t_v2f."),
    (r"\.search_other\.", ".ca_t2s_f2i."),
    (r"\.search_rgb\.", ".ca_t2s_f2v."),
    (r"\.template_other\.", ".ca_t2t_f2i."),
    (r"\.template_rgb\.", ".ca_t2t_f2v."),
    (r"^bridges\.", "backbone.tbsi_layers."),
)


@dataclass(frozen=True)
class TBSIConfig:
    """What a TBSI is made of.

    Attributes:
        branch: the network that both senses go through, and the head.
        bridged: blocks (from 0) after which the senses interact.

    Raises:
        ValueError: if a bridged block does not exist, or if the branch eliminates candidates.
    """

    branch: OSTrackConfig = BASE_256
    bridged: tuple[int, ...] = (3, 6, 9)

    def __post_init__(self) -> None:
        vit = self.branch.vit
        if not set(self.bridged) <= set(range(vit.depth)):
            raise ValueError(f"Bridges cannot stand after {self.bridged}: choose from blocks 0 to {vit.depth - 1}.")
        if vit.eliminate_at:
            raise ValueError("TBSI eliminates no candidates: leave eliminate_at empty.")


class CrossBlock(nn.Module):
    """A pre-norm block in which some tokens attend to others, whose values join them without any projection before.

    Args:
        config: width, expansion and heads of the transformer around it. Its own attention has one head over the whole
            width, but is scaled as if it had theirs.
    """

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.scale: float = (config.width // config.heads) ** -0.5
        self.norm1 = nn.LayerNorm(config.width, eps=1e-6)
        self.proj = nn.Linear(config.width, config.width)
        self.norm2 = nn.LayerNorm(config.width, eps=1e-6)
        self.mlp = Perceptron(config.width, config.expansion * config.width)

    def forward(self, tokens: Tensor, source: Tensor) -> Tensor:
        """Maps tokens `B×N×C` to `B×N×C`, given the tokens `B×M×C` that they attend to."""
        values = self.norm1(source)
        mixed = F.scaled_dot_product_attention(self.norm1(tokens), values, values, scale=self.scale)
        # Channels are dealt out anew, as in the published network: the values of one channel fill whole tokens.
        mixed = mixed.transpose(1, 2).reshape(tokens.shape)
        tokens = tokens + self.proj(mixed)
        result: Tensor = tokens + self.mlp(self.norm2(tokens))
        return result


class Bridge(nn.Module):
    """Lets the search regions of two senses interact through a medium, which begins as their fused templates.

    Args:
        config: width, expansion and heads of the transformer around it.
    """

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        width = config.width
        self.fusion = nn.Sequential(nn.Linear(2 * width, width), nn.LayerNorm(width), nn.GELU())
        self.medium_from_other = CrossBlock(config)
        self.search_rgb = CrossBlock(config)
        self.medium_from_rgb = CrossBlock(config)
        self.search_other = CrossBlock(config)
        self.template_rgb = CrossBlock(config)
        self.template_other = CrossBlock(config)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, rgb: Tensor, other: Tensor, length: int) -> tuple[Tensor, Tensor]:
        """Maps both senses' tokens `B×N×C` to `B×N×C`, of which the first `length` are the template's."""
        rgb_template, rgb_search = rgb[:, :length], rgb[:, length:]
        other_template, other_search = other[:, :length], other[:, length:]
        medium = self.fusion(torch.cat([rgb_template, other_template], dim=2))
        medium = self.medium_from_other(medium, other_search)
        bridged_rgb = self.search_rgb(rgb_search, medium)
        medium = self.medium_from_rgb(medium, rgb_search)
        bridged_other = self.search_other(other_search, medium)
        return (
            torch.cat([self.template_rgb(rgb_template, medium), bridged_rgb], dim=1),
            torch.cat([self.template_other(other_template, medium), bridged_other], dim=1),
        )


class TBSI(System):
    """The tracker on RGB and a second sense, bridged by their templates.

    Args:
        second: the sense beside RGB.
        config: what it is made of.

    Raises:
        UnknownNameError: if the second sense is RGB.
    """

    layout = Layout(
        (*BRIDGE_RENAMES, *RENAMES),
        UNUSED,
        prepare=fit_positions,
        originals=(*BRIDGE_ORIGINALS, *ORIGINALS),
        added=(r"bridges\..*", r"fusion\..*"),
    )

    def __init__(self, second: Modality = Modality.THERMAL, config: TBSIConfig | None = None) -> None:
        config = config or TBSIConfig()
        branch = config.branch
        super().__init__(senses=(Modality.RGB, second_sense(second)), crops=branch.crops)
        self.second = second
        self.config = config
        self.backbone = JointViT(branch.vit)
        self.bridges = nn.ModuleList(Bridge(branch.vit) for _ in config.bridged)
        self.fusion = convolution_block(2 * branch.vit.width, branch.vit.width)
        self.head = CenterHead(branch.vit.width, branch.head, rare=branch.from_nothing)

    @classmethod
    def presets(cls) -> Mapping[str, Preset]:
        """`tbsi-b256` as published, and `tbsi-tiny`, on RGB and the second sense."""
        configs = {"tbsi-b256": TBSIConfig(), "tbsi-tiny": TBSIConfig(TINY, bridged=(1, 3))}
        return {name: Preset(cls, config) for name, config in configs.items()}

    def embed(self, template: Views, prompt: Prompt) -> Template:
        """Keeps the template's tokens `B×2×Nz×C`, RGB first."""
        return {"tokens": _paired(self.backbone.embed_template(self._joined(template)))}

    def forward(self, template: Template, search: Views) -> CenterMaps:
        """Finds the targets; maps have a cell for every patch of the search crop."""
        tokens = self._searched(template["tokens"].flatten(0, 1), self.backbone.embed_search(self._joined(search)))
        vit = self.config.branch.vit
        features = _paired(tokens).transpose(2, 3).reshape(-1, 2 * vit.width, vit.search_side, vit.search_side)
        return CenterMaps(*self.head(self.fusion(features)))

    def objective(self, batch: Batch) -> Losses:
        """`one_stream_objective`, OSTrack's loss."""
        maps = self(self.embed(batch.template, batch.prompt), batch.search)
        return one_stream_objective(self.config.branch, maps, batch.boxes)

    def trainable(self) -> tuple[Group, ...]:
        """Everything: what joins the senses, and the foundation at its share of the learning rate.

        As published for a start from OSTrack, the head counts as the foundation's and learns at a tenth too.
        """
        joining = (*self.bridges.parameters(), *self.fusion.parameters())
        foundation = (*self.backbone.parameters(), *self.head.parameters())
        return Group(joining), Group(foundation, rate=self.config.branch.backbone_rate)

    def _joined(self, views: Views) -> Tensor:
        """Both senses' views as one batch `2B×3×H×W`, in which each sample's RGB stands before its other sense."""
        return torch.stack([views[Modality.RGB], views[self.second]], dim=1).flatten(0, 1)

    def _searched(self, template: Tensor, search: Tensor) -> Tensor:
        """Final search tokens `2B×Nx×C` of template tokens `2B×Nz×C` and search tokens, both as `_joined` has them."""
        length = template.shape[1]
        bridges = dict(zip(self.config.bridged, self.bridges, strict=True))
        tokens = torch.cat([template, search], dim=1)
        last = self.config.branch.vit.depth - 1
        for index, block in enumerate(self.backbone.blocks):
            # Nothing reads the templates after the last block.
            tokens, _ = block(tokens, first=length if index == last and index not in bridges else 0)
            if index in bridges:
                rgb, other = _paired(tokens).unbind(1)
                tokens = torch.stack(bridges[index](rgb, other, length), dim=1).flatten(0, 1)
        result: Tensor = self.backbone.norm(tokens[:, -search.shape[1] :])
        return result


def _paired(joined: Tensor) -> Tensor:
    """A joined batch `2B×N×C` as `B×2×N×C`, RGB first."""
    return joined.view(-1, 2, *joined.shape[1:])
