"""BAT: both senses go through one frozen OSTrack, and small adapters carry what one sees over to the other.

Source: Cao et al., "Bi-directional Adapter for Multimodal Tracking", AAAI 2024. Each block has two adapters, one beside
its attention and one beside its perceptron, and either serves both directions. Nothing is eliminated, and the head
reads the sum of both senses' search regions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tectum.frames import Modality, Prompt
from tectum.networks.heads import CenterHead
from tectum.networks.vit import Beside, JointViT
from tectum.systems.base import (
    Batch,
    CenterMaps,
    Group,
    Layout,
    Losses,
    System,
    Template,
    Views,
    second_sense,
    side_by_side,
)
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

ADAPTER_RENAMES = (
    (r"backbone\.blocks\.(\d+)\.adap_t\.adapter_", r"attention_adapters.\1."),
    (r"backbone\.blocks\.(\d+)\.adap2_t\.adapter_", r"perceptron_adapters.\1."),
    (r"(_adapters\.\d+)\.mid\.", r"\1.middle."),
)

ADAPTER_ORIGINALS = (
    (r"(_adapters\.\d+)\.middle\.", r"\1.mid."),
    (r"attention_adapters\.(\d+)\.", r"backbone.blocks.\1.adap_t.adapter_"),
    (r"perceptron_adapters\.(\d+)\.", r"backbone.blocks.\1.adap2_t.adapter_"),
)


@dataclass(frozen=True)
class BATConfig:
    """What a BAT is made of.

    Attributes:
        foundation: the RGB tracker that is adapted.
        hidden: channels inside an adapter.
        dropout: chance in training that one of these channels is dropped.

    Raises:
        ValueError: if the foundation eliminates candidates.
    """

    foundation: OSTrackConfig = BASE_256
    hidden: int = 8
    dropout: float = 0.1

    def __post_init__(self) -> None:
        if self.foundation.vit.eliminate_at:
            raise ValueError("BAT adds both senses place by place: leave eliminate_at empty.")


class Adapter(nn.Module):
    """Turns what one sense sees into a prompt for the other: three linear layers without any nonlinearity between.

    It begins with weights of a deviation of 0.02, as the published network does: the zeros that its adapter's own
    code sets are replaced there by the transformer's initial values. With zeros hardly anything would learn.

    Args:
        width: channels of a token.
        hidden: channels between.
        dropout: chance in training that one of these is dropped.
    """

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.down = nn.Linear(width, hidden)
        self.middle = nn.Linear(hidden, hidden)
        self.dropout = nn.Dropout(dropout)
        self.up = nn.Linear(hidden, width)
        for layer in (self.down, self.middle, self.up):
            nn.init.trunc_normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        """Maps tokens `2B×N×C`, first one sense of the whole batch, then the other, to what each gets of the other."""
        narrow = self.dropout(self.middle(self.down(tokens)))
        prompt: Tensor = self.up(narrow.roll(len(tokens) // 2, dims=0))
        return prompt


class BAT(System):
    """The tracker on RGB and a second sense, which prompt each other.

    Args:
        second: the sense beside RGB.
        config: what it is made of.

    Raises:
        UnknownNameError: if the second sense is RGB.
    """

    layout = Layout(
        (*ADAPTER_RENAMES, *RENAMES),
        UNUSED,
        prepare=fit_positions,
        originals=(*ADAPTER_ORIGINALS, *ORIGINALS),
        added=(r"(attention|perceptron)_adapters\..*",),
    )

    def __init__(self, second: Modality = Modality.THERMAL, config: BATConfig | None = None) -> None:
        config = config or BATConfig()
        foundation = config.foundation
        super().__init__(senses=(Modality.RGB, second_sense(second)), crops=foundation.crops)
        self.second = second
        self.config = config
        self.backbone = JointViT(foundation.vit)
        self.attention_adapters = _adapters(config)
        self.perceptron_adapters = _adapters(config)
        self.head = CenterHead(foundation.vit.width, foundation.head, rare=foundation.from_nothing)

    @classmethod
    def presets(cls) -> Mapping[str, Preset]:
        """`bat-b256` as published, and `bat-tiny`, on RGB and the second sense."""
        return {"bat-b256": Preset(cls, BATConfig()), "bat-tiny": Preset(cls, BATConfig(TINY))}

    def embed(self, template: Views, prompt: Prompt) -> Template:
        """Keeps the template's tokens `B×Nz×C` of each sense, as `rgb` and `other`."""
        rgb, other = self.backbone.embed_template(side_by_side(template, self.second)).chunk(2)
        return {"rgb": rgb, "other": other}

    def forward(self, template: Template, search: Views) -> CenterMaps:
        """Finds the targets; maps have a cell for every patch of the search crop."""
        joint = self.backbone(
            torch.cat([template["rgb"], template["other"]]),
            self.backbone.embed_search(side_by_side(search, self.second)),
            beside=self.beside(),
        )
        rgb, other = joint.search.chunk(2)
        side = self.config.foundation.vit.search_side
        return CenterMaps(*self.head((rgb + other).transpose(1, 2).unflatten(2, (side, side))))

    def objective(self, batch: Batch) -> Losses:
        """`one_stream_objective`, OSTrack's loss."""
        maps = self(self.embed(batch.template, batch.prompt), batch.search)
        return one_stream_objective(self.config.foundation, maps, batch.boxes)

    def trainable(self) -> tuple[Group, ...]:
        """The adapters alone."""
        return (Group((*self.attention_adapters.parameters(), *self.perceptron_adapters.parameters())),)

    def beside(self) -> list[Beside]:
        """The adapters of each block, as `JointViT` takes them."""
        pairs = zip(self.attention_adapters, self.perceptron_adapters, strict=True)
        return [Beside(attention, perceptron) for attention, perceptron in pairs]


def _adapters(config: BATConfig) -> nn.ModuleList:
    """An adapter for each block."""
    vit = config.foundation.vit
    return nn.ModuleList(Adapter(vit.width, config.hidden, config.dropout) for _ in range(vit.depth))
