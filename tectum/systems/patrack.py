"""PATrack: a frozen OSTrack that both senses go through, adapted within them, between them and before its head.

Source: Wang et al., "Learning Progressive Adaptation for Multi-Modal Tracking", 2026. Adapters stand beside both halves
of each block: dependent ones, by which what one sense sees at high and low frequencies prompts the other, or, at some
blocks, entangled ones, through which both attend to their fusion. The head reads the sum of both senses' search regions
through an adapter of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn

from tectum.frames import Modality, Prompt
from tectum.networks.adapters import DependentAdapter, EntangledAdapter, HeadAdapter, Mixer, mixer_channels
from tectum.networks.elimination import restore, select, watching_rows
from tectum.networks.heads import CenterHead
from tectum.networks.vit import Block, Elimination, JointViT, eliminate
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
    BASE_256_CE,
    BASE_384,
    ORIGINALS,
    RENAMES,
    TINY,
    UNUSED,
    OSTrackConfig,
    fit_positions,
    one_stream_objective,
    training_keep,
    with_judges,
)

ADAPTER_RENAMES = (
    (r"backbone\.blocks\.(\d+)\.adap_t\.", r"adaptation.attention.dependent.\1."),
    (r"backbone\.blocks\.(\d+)\.adap2_t\.", r"adaptation.perceptron.dependent.\1."),
    (r"(dependent\.\d+)\.proj\.", r"\1.up."),
    (r"(dependent\.\d+)\.D_fc1\.", r"\1.down."),
    (r"(dependent\.\d+)\.conv_fuse\.", r"\1.fuse."),
    (r"(dependent\.\d+)\.high_mixer\.conv1\.", r"\1.mixers.depthwise.0."),
    (r"(dependent\.\d+)\.high_mixer\.proj1\.", r"\1.mixers.depthwise.1."),
    (r"(dependent\.\d+)\.high_mixer\.proj2\.", r"\1.mixers.maximum.1."),
    (r"backbone\.blocks\.(\d+)\.highfuseadapter1\.(obj_fuse\.)?", r"adaptation.attention.entangled.\1."),
    (r"backbone\.blocks\.(\d+)\.highfuseadapter2\.(obj_fuse\.)?", r"adaptation.perceptron.entangled.\1."),
    (r"backbone\.blocks\.(\d+)\.norml1\.", r"adaptation.attention.entangled.\1.norm."),
    (r"backbone\.blocks\.(\d+)\.norml2\.", r"adaptation.perceptron.entangled.\1.norm."),
    (r"(entangled\.\d+)\.linearcat\.", r"\1.fusion."),
    (r"(entangled\.\d+)\.linear1\.", r"\1.first_key."),
    (r"(entangled\.\d+)\.linear2\.", r"\1.first_value."),
    (r"(entangled\.\d+)\.linear3\.", r"\1.second_key."),
    (r"(entangled\.\d+)\.linear4\.", r"\1.second_value."),
    (r"adapter_head\.adapter_mid\.", r"adaptation.head.middle."),
    (r"adapter_head\.adapter_", r"adaptation.head."),
)

ADAPTER_ORIGINALS = (
    (r"adaptation\.head\.middle\.", r"adapter_head.adapter_mid."),
    (r"adaptation\.head\.", r"adapter_head.adapter_"),
    (r"(entangled\.\d+)\.second_value\.", r"\1.obj_fuse.linear4."),
    (r"(entangled\.\d+)\.second_key\.", r"\1.obj_fuse.linear3."),
    (r"(entangled\.\d+)\.first_value\.", r"\1.obj_fuse.linear2."),
    (r"(entangled\.\d+)\.first_key\.", r"\1.obj_fuse.linear1."),
    (r"(entangled\.\d+)\.fusion\.", r"\1.obj_fuse.linearcat."),
    (r"adaptation\.attention\.entangled\.(\d+)\.norm\.", r"backbone.blocks.\1.norml1."),
    (r"adaptation\.perceptron\.entangled\.(\d+)\.norm\.", r"backbone.blocks.\1.norml2."),
    (r"adaptation\.attention\.entangled\.(\d+)\.", r"backbone.blocks.\1.highfuseadapter1."),
    (r"adaptation\.perceptron\.entangled\.(\d+)\.", r"backbone.blocks.\1.highfuseadapter2."),
    (r"(dependent\.\d+)\.mixers\.maximum\.1\.", r"\1.high_mixer.proj2."),
    (r"(dependent\.\d+)\.mixers\.depthwise\.1\.", r"\1.high_mixer.proj1."),
    (r"(dependent\.\d+)\.mixers\.depthwise\.0\.", r"\1.high_mixer.conv1."),
    (r"(dependent\.\d+)\.fuse\.", r"\1.conv_fuse."),
    (r"(dependent\.\d+)\.down\.", r"\1.D_fc1."),
    (r"(dependent\.\d+)\.up\.", r"\1.proj."),
    (r"adaptation\.attention\.dependent\.(\d+)\.", r"backbone.blocks.\1.adap_t."),
    (r"adaptation\.perceptron\.dependent\.(\d+)\.", r"backbone.blocks.\1.adap2_t."),
)

UNUSED_ADAPTERS = (
    r"backbone\.blocks\.(3|6|9)\.adap2?_t\..*",
    r"backbone\.blocks\.(0|1|2|4|5|7|8|10|11)\.(highfuseadapter|norml)[12]\..*",
    r".*\.obj_fuse\.gamma[12]",
    r"norm1\..*",
)
"""What the published code builds and never runs: every block has adapters of both kinds there, and uses one of them."""


@dataclass(frozen=True)
class PATrackConfig:
    """What a PATrack is made of.

    Attributes:
        foundation: the RGB tracker that is adapted. Where it eliminates candidates, it does so for each sense alone,
            and to the adapters eliminated places are zero.
        entangled_at: blocks (from 0) with entangled adapters.
        dependent_at: blocks with dependent adapters; `None` for all that have no entangled ones.
        mixers: what the dependent adapters mix neighbours by.
        dependent_width: channels that they mix.
        entangled_width: channels inside an entangled adapter.
        head_width: channels inside the head's adapter; 0 for none.
        head_skips: whether the head's adapter adds to what it reads, and begins by adding nothing. The published one
            stands between features and head alone, which understands nothing until it has been trained for long.
        head_dropout: chance in training that one of its channels is dropped.

    Raises:
        ValueError: if a block with adapters does not exist, or if the mixers cannot share their channels.
    """

    foundation: OSTrackConfig = BASE_256
    entangled_at: tuple[int, ...] = (3, 6, 9)
    dependent_at: tuple[int, ...] | None = None
    mixers: tuple[Mixer, ...] = tuple(Mixer)
    dependent_width: int = 8
    entangled_width: int = 192
    head_width: int = 192
    head_skips: bool = False
    head_dropout: float = 0.1

    def __post_init__(self) -> None:
        blocks = range(self.foundation.vit.depth)
        if beyond := sorted({*self.entangled_at, *self.dependents}.difference(blocks)):
            raise ValueError(f"Adapters cannot stand at {beyond}: choose from blocks 0 to {blocks[-1]}.")
        mixer_channels(self.mixers, self.dependent_width)

    @property
    def dependents(self) -> tuple[int, ...]:
        """Blocks with dependent adapters."""
        if self.dependent_at is not None:
            return self.dependent_at
        return tuple(index for index in range(self.foundation.vit.depth) if index not in self.entangled_at)


@dataclass(frozen=True)
class Grids:
    """Where the tokens `2B×N×C` of both senses stand: in the template's grid first, then in the search region's.

    Attributes:
        template: tokens of the template.
        search: places of the search region.
        kept: which of these have a token, `2B×K`; `None` for all.
    """

    template: int
    search: int
    kept: Tensor | None = None

    def narrowed(self, survivors: Tensor | None) -> Grids:
        """The grids after an elimination, with the survivors `2B×K` among the search tokens before it."""
        if survivors is None:
            return self
        return replace(self, kept=survivors if self.kept is None else self.kept.gather(1, survivors))

    def apply(self, adapter: nn.Module, tokens: Tensor, attends: bool = False) -> Tensor:
        """Maps tokens by an adapter of whole grids, one grid at a time.

        Args:
            adapter: of tokens `2B×N×C`.
            tokens: of both senses, `2B×N×C`.
            attends: whether the adapter looks from place to place, and must know which still have a token.

        Returns:
            `2B×N×C`.
        """
        template, search = tokens[:, : self.template], tokens[:, self.template :]
        if self.kept is None:
            return torch.cat([adapter(template), adapter(search)], dim=1)
        living = torch.zeros(len(search), self.search, dtype=torch.bool, device=search.device)
        looks = (living.scatter(1, self.kept, True),) if attends else ()
        adapted = adapter(restore(search, self.kept, self.search), *looks)
        return torch.cat([adapter(template), select(adapted, self.kept)], dim=1)


class Beside(nn.Module):
    """The adapters beside one half of every block.

    Args:
        config: of the whole.
    """

    def __init__(self, config: PATrackConfig) -> None:
        super().__init__()
        width = config.foundation.vit.width
        dependent = partial(DependentAdapter, width, config.dependent_width, config.mixers)
        entangled = partial(EntangledAdapter, width, config.entangled_width)
        self.dependent = nn.ModuleDict({str(index): dependent() for index in config.dependents})
        self.entangled = nn.ModuleDict({str(index): entangled() for index in config.entangled_at})

    def forward(self, index: int, tokens: Tensor, normed: Tensor, norm: nn.LayerNorm, grids: Grids) -> Iterator[Tensor]:
        """What joins this half of a block, `2B×N×C` each.

        Args:
            index: number of the block.
            tokens: of both senses before this half, `2B×N×C`.
            normed: the same after the half's own norm.
            norm: this norm, which the answer of an entangled adapter goes through as well.
            grids: where the tokens stand.
        """
        name = str(index)
        if name in self.dependent:
            yield grids.apply(self.dependent[name], normed)
        if name in self.entangled:
            yield norm(grids.apply(self.entangled[name], tokens, attends=True))


class Adaptation(nn.Module):
    """All that is added to the foundation.

    Args:
        config: of the whole.
    """

    def __init__(self, config: PATrackConfig) -> None:
        super().__init__()
        width, hidden = config.foundation.vit.width, config.head_width
        self.attention = Beside(config)
        self.perceptron = Beside(config)
        self.head = HeadAdapter(width, hidden, config.head_dropout, config.head_skips) if hidden else nn.Identity()

    def forward(
        self, index: int, block: Block, tokens: Tensor, grids: Grids, elimination: Elimination | None
    ) -> tuple[Tensor, Grids]:
        """Runs a block of the foundation with the adapters beside it.

        Args:
            index: number of the block.
            block: the block.
            tokens: of both senses, `2B×N×C`.
            grids: where they stand.
            elimination: how to eliminate candidates, if at all.

        Returns:
            The tokens that are left, and where these stand.
        """
        normed = block.norm1(tokens)
        query, key, value = block.attn.project(normed)
        beside = self.attention(index, tokens, normed, block.norm1, grids)
        tokens = tokens + block.drop_path(block.attn.gather(query, key, value)) + sum(map(block.drop_path, beside))
        tokens, survivors = eliminate(tokens, query, key, elimination)
        grids = grids.narrowed(survivors)
        normed = block.norm2(tokens)
        beside = self.perceptron(index, tokens, normed, block.norm2, grids)
        return tokens + block.drop_path(block.mlp(normed)) + sum(map(block.drop_path, beside)), grids


def add_adaptation(system: System, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Makes matrices of published 1x1 kernels.

    Args:
        system: the PATrack that the tensors are for.
        tensors: a PATrack's, OSTrack's or DropTrack's state dict after the renames.
    """
    matrices = {name for name, tensor in system.state_dict().items() if tensor.dim() == 2}
    fitted = {
        name: tensor.flatten(1) if name in matrices and tensor.dim() == 4 else tensor
        for name, tensor in tensors.items()
    }
    return fit_positions(system, fitted)


ADAPTED_TINY = PATrackConfig(TINY, entangled_at=(1, 3), entangled_width=40, head_width=40, head_skips=True)
"""For the tiny foundation, whose tokens have 160 channels in place of 768, and for short trainings."""


class PATrack(System):
    """The progressively adapted tracker on RGB and a second sense.

    Args:
        second: the sense beside RGB.
        config: what it is made of.

    Raises:
        UnknownNameError: if the second sense is RGB.
    """

    opens_blocks = True
    layout = Layout(
        (*ADAPTER_RENAMES, *RENAMES),
        (*UNUSED, *UNUSED_ADAPTERS),
        prepare=add_adaptation,
        originals=(*ADAPTER_ORIGINALS, *ORIGINALS),
        added=(r"adaptation\..*",),
    )

    def __init__(self, second: Modality = Modality.THERMAL, config: PATrackConfig | None = None) -> None:
        config = config or PATrackConfig()
        foundation = config.foundation
        super().__init__(senses=(Modality.RGB, second_sense(second)), crops=foundation.crops)
        self.second = second
        self.config = config
        self.backbone = JointViT(foundation.vit)
        self.adaptation = Adaptation(config)
        self.head = CenterHead(foundation.vit.width, foundation.head, rare=foundation.from_nothing)
        self._judges = watching_rows(foundation.vit.watch, foundation.vit.template_side)

    @classmethod
    def presets(cls) -> Mapping[str, Preset]:
        """`patrack-b256` as published, `patrack-b256-ce`, `patrack-b384`, and `patrack-tiny`."""
        configs = {
            "patrack-b256": PATrackConfig(),
            "patrack-b256-ce": PATrackConfig(BASE_256_CE),
            "patrack-b384": PATrackConfig(BASE_384),
            "patrack-tiny": ADAPTED_TINY,
        }
        return {name: Preset(cls, config) for name, config in configs.items()}

    def embed(self, template: Views, prompt: Prompt) -> Template:
        """Keeps the template's tokens `B×Nz×C` of each sense, as `tokens` of RGB and `other`."""
        tokens, other = self.backbone.embed_template(side_by_side(template, self.second)).chunk(2)
        return {**with_judges(self.backbone, tokens, prompt), "other": other}

    def forward(self, template: Template, search: Views) -> CenterMaps:
        """Finds the targets; maps have a cell for every patch of the search crop."""
        return self._answer(template, search, self.config.foundation.vit.keep)

    def _answer(self, template: Template, search: Views, keep: float) -> CenterMaps:
        rgb, other = self.through(template, self.backbone.embed_search(side_by_side(search, self.second)), keep).chunk(
            2
        )
        features: Tensor = self.adaptation.head(rgb + other)
        side = self.config.foundation.vit.search_side
        return CenterMaps(*self.head(features.transpose(1, 2).reshape(-1, features.shape[2], side, side)))

    def through(self, template: Template, search: Tensor, keep: float) -> Tensor:
        """Lets both senses go through all blocks.

        Args:
            template: as `embed` returns it.
            search: tokens of the search regions `2B×Nx×C`, first RGB of the whole batch, then the other sense.
            keep: share of the candidates that each elimination keeps.

        Returns:
            The final search tokens `2B×Nx×C`; eliminated ones are zero.
        """
        templates = torch.cat([template["tokens"], template["other"]])
        weights = template["weights"].repeat(2, 1) if "weights" in template else None
        elimination = Elimination(templates.shape[1], keep, self._judges, weights)
        grids = Grids(templates.shape[1], search.shape[1])
        tokens = torch.cat([templates, search], dim=1)
        for index, block in enumerate(self.backbone.blocks):
            eliminates = index in self.config.foundation.vit.eliminate_at
            tokens, grids = self.adaptation(index, block, tokens, grids, elimination if eliminates else None)
        found: Tensor = self.backbone.norm(tokens[:, grids.template :])
        return found if grids.kept is None else restore(found, grids.kept, grids.search)

    def objective(self, batch: Batch) -> Losses:
        """`one_stream_objective`, with elimination warmed up by the batch's progress where there is any."""
        foundation = self.config.foundation
        template = self.embed(batch.template, batch.prompt)
        maps = self._answer(template, batch.search, training_keep(foundation, batch))
        return one_stream_objective(foundation, maps, batch.boxes)

    def trainable(self) -> tuple[Group, ...]:
        """The adapters. As published, the entangled ones' norms are not among them and stay as they begin."""
        norms = [module for module in self.adaptation.modules() if isinstance(module, nn.LayerNorm)]
        fixed = {id(parameter) for norm in norms for parameter in norm.parameters()}
        return (Group(tuple(each for each in self.adaptation.parameters() if id(each) not in fixed)),)
