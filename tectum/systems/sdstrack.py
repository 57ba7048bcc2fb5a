"""SDSTrack: one frozen RGB tracker reads both senses, through adapters that also let them look at each other.

Source: Hou et al., "SDSTrack: Self-Distillation Symmetric Adapter Learning for Multi-Modal Visual Object Tracking",
CVPR 2024. At some blocks a pass follows in which every token of one sense attends to the other sense alone. Training
shows every pair a second time with patches missing, each from one sense at most, and draws both answers together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tectum.frames import Modality, Prompt
from tectum.networks.elimination import restore, watching_rows
from tectum.networks.heads import CenterHead
from tectum.networks.vit import Block, Elimination, JointViT, PatchEmbedding, Perceptron, eliminate
from tectum.systems.base import Batch, CenterMaps, Group, Layout, Losses, System, Template, Views, second_sense
from tectum.systems.options import Preset
from tectum.systems.ostrack import (
    BASE_256_CE,
    BASE_384_CE,
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
    (r"backbone\.patch_embed_multimodal\.", r"adaptation.patch_embed."),
    (r"backbone\.blocks\.(\d+)\.Space_X_DTE_Adapter\.D_", r"adaptation.second.\1.space."),
    (r"backbone\.blocks\.(\d+)\.MLP_X_DTE_Adapter\.D_", r"adaptation.second.\1.channel."),
    (r"backbone\.blocks\.(\d+)\.Space_X_X_DTE_Adapter\.D_", r"adaptation.fused.\1.space."),
    (r"backbone\.blocks\.(\d+)\.MLP_X_X_DTE_Adapter\.D_", r"adaptation.fused.\1.channel."),
)

ADAPTER_ORIGINALS = (
    (r"adaptation\.patch_embed\.", r"backbone.patch_embed_multimodal."),
    (r"adaptation\.second\.(\d+)\.space\.", r"backbone.blocks.\1.Space_X_DTE_Adapter.D_"),
    (r"adaptation\.second\.(\d+)\.channel\.", r"backbone.blocks.\1.MLP_X_DTE_Adapter.D_"),
    (r"adaptation\.fused\.(\d+)\.space\.", r"backbone.blocks.\1.Space_X_X_DTE_Adapter.D_"),
    (r"adaptation\.fused\.(\d+)\.channel\.", r"backbone.blocks.\1.MLP_X_X_DTE_Adapter.D_"),
)

UNUSED_ADAPTERS = (
    r"backbone\.pos_embed_[zx]_[zx]_dte",
    r"backbone\.blocks\.(0|1|2|4|5|7|8|10)\.\w+_X_X_DTE_Adapter\..*",
)
"""Positions that nothing adds, and adapters of fused passes that the published code builds and never runs."""


def warmed_up(foundation: OSTrackConfig) -> OSTrackConfig:
    """A foundation whose elimination begins and is complete as in the published training, of 40 epochs."""
    return replace(foundation, elimination_start=4 / 40, elimination_end=20 / 40)


FOUNDATION_256 = warmed_up(BASE_256_CE)
FOUNDATION_384 = warmed_up(BASE_384_CE)


@dataclass(frozen=True)
class SDSTrackConfig:
    """What an SDSTrack is made of.

    Attributes:
        foundation: the RGB tracker that is adapted.
        fused_after: blocks (from 0) after which the senses look at each other.
        narrowing: channels of a token over those inside an adapter.
        copies_embedding: whether a training that starts from a foundation starts the second sense's patch embedding as
            a copy of RGB's, and not at random as published; a small one would take long to learn to see.
        missing: chance that a patch of RGB is missing in training's second view, and a patch of the second sense where
            RGB has it.
        clear_weight: weight of the tracking loss on the whole view.
        masked_weight: weight of the tracking loss on the view with missing patches.
        distillation_weight: weight of the difference between both views' fused tokens.
    """

    foundation: OSTrackConfig = FOUNDATION_256
    fused_after: tuple[int, ...] = (3, 6, 9, 11)
    narrowing: int = 4
    copies_embedding: bool = False
    missing: float = 0.3
    clear_weight: float = 0.6
    masked_weight: float = 0.2
    distillation_weight: float = 0.1


CHANNEL_SHARE = 0.5
"""How much of the channel adapter's answer joins the perceptron's."""


class Adapters(nn.Module):
    """Runs a frozen block with an adapter after its attention and one beside its perceptron.

    Args:
        width: channels of a token.
        hidden: channels inside an adapter.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.space = Perceptron(width, hidden)
        self.channel = Perceptron(width, hidden)

    def forward(
        self, block: Block, tokens: Tensor, elimination: Elimination | None = None, crossed: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Maps tokens `B×N×C` to `B×N'×C`.

        Args:
            block: the block.
            tokens: template tokens, then search tokens.
            elimination: how to eliminate candidates, if at all.
            crossed: whether the batch's halves are two senses, each of which attends to the other alone.

        Returns:
            The tokens, and which of the incoming search tokens they hold, `B×K` (`None` for all).
        """
        query, key, value = block.attn.project(block.norm1(tokens))
        if crossed:
            half = len(tokens) // 2
            key, value = key.roll(half, dims=0), value.roll(half, dims=0)
        attended = block.attn.gather(query, key, value)
        tokens = tokens + block.drop_path(attended + self.space(attended))
        tokens, survivors = eliminate(tokens, query, key, elimination)
        normed = block.norm2(tokens)
        return tokens + block.drop_path(block.mlp(normed) + CHANNEL_SHARE * self.channel(normed)), survivors


class Adaptation(nn.Module):
    """All that is added to the foundation: the second sense's patch embedding, and adapters.

    Args:
        config: of the whole.
    """

    def __init__(self, config: SDSTrackConfig) -> None:
        super().__init__()
        vit = config.foundation.vit
        hidden = vit.width // config.narrowing
        self.patch_embed = PatchEmbedding(vit)
        self.second = nn.ModuleList(Adapters(vit.width, hidden) for _ in range(vit.depth))
        self.fused = nn.ModuleDict({str(index): Adapters(vit.width, hidden) for index in config.fused_after})
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)


@dataclass(frozen=True)
class Senses:
    """Tokens of both senses on their way through the blocks.

    Attributes:
        tokens: `2B×N×C`, first RGB of the whole batch, then the second sense; template tokens before search tokens.
        kept: which search tokens are left, `2B×K`; `None` for all.
    """

    tokens: Tensor
    kept: Tensor | None = None

    def narrowed(self, tokens: Tensor, survivors: Tensor | None) -> Senses:
        """What is left after a pass: its tokens, and its survivors among those that were left before."""
        if survivors is None:
            return Senses(tokens, self.kept)
        return Senses(tokens, survivors if self.kept is None else self.kept.gather(1, survivors))


@dataclass(frozen=True)
class Reading:
    """What came of a pair of views.

    Attributes:
        maps: the answer.
        stages: tokens after each fused pass, before the final norm.
    """

    maps: CenterMaps
    stages: tuple[Senses, ...]


def complementary_masks(tokens: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Draws which patches each sense lacks; no place is lacking in both.

    Args:
        tokens: of one sense, `B×N×C`.
        share: chance that RGB lacks a patch, and that the second sense lacks one of those which RGB has.

    Returns:
        True where RGB lacks it, and where the second sense does, `B×N×1` each.
    """
    first, second = (torch.rand(*tokens.shape[:2], 1, device=tokens.device) < share for _ in range(2))
    return first, second & ~first


def place_error(clear: Senses, masked: Senses, length: int, places: int) -> Tensor:
    """Mean squared difference of tokens at the places that both views kept.

    The published code compares tokens by rank once some are eliminated, whatever their places.

    Args:
        clear: tokens of the whole view.
        masked: tokens of the view with missing patches.
        length: template tokens.
        places: search tokens before any elimination.
    """
    if clear.kept is None or masked.kept is None:
        return F.mse_loss(masked.tokens, clear.tokens)
    first, first_there = _spread(clear.tokens, clear.kept, length, places)
    second, second_there = _spread(masked.tokens, masked.kept, length, places)
    both = first_there * second_there
    return ((first - second).square() * both).sum() / (both.sum() * first.shape[-1])


def _spread(tokens: Tensor, kept: Tensor, length: int, places: int) -> tuple[Tensor, Tensor]:
    """Tokens with their search part back at its places, and 1 where there is a token, 0 elsewhere, `B×N×1`."""
    marked = torch.cat([tokens, torch.ones_like(tokens[..., :1])], dim=2)
    whole = torch.cat([marked[:, :length], restore(marked[:, length:], kept, places)], dim=1)
    return whole[..., :-1], whole[..., -1:]


def add_adaptation(system: System, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Gives a foundation the second sense's patch embedding.

    Args:
        system: the SDSTrack that the tensors are for.
        tensors: an SDSTrack's, OSTrack's or DropTrack's state dict after the renames.
    """
    fitted = dict(tensors)
    if isinstance(system, SDSTrack) and not any(name.startswith("adaptation.") for name in tensors):
        own = system.adaptation.patch_embed.state_dict()
        given = {name: tensors.get(f"backbone.patch_embed.{name}", tensor) for name, tensor in own.items()}
        source = given if system.config.copies_embedding else own
        fitted.update({f"adaptation.patch_embed.{name}": tensor for name, tensor in source.items()})
    return fit_positions(system, fitted)


class SDSTrack(System):
    """The symmetrically adapted tracker on RGB and a second sense.

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
        added=(r"adaptation\.(second|fused)\..*",),
    )

    def __init__(self, second: Modality = Modality.THERMAL, config: SDSTrackConfig | None = None) -> None:
        config = config or SDSTrackConfig()
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
        """`sdstrack-b256`, `sdstrack-b384` and `sdstrack-tiny`, on RGB and the second sense."""
        configs = {
            "sdstrack-b256": SDSTrackConfig(),
            "sdstrack-b384": SDSTrackConfig(FOUNDATION_384),
            "sdstrack-tiny": SDSTrackConfig(TINY, fused_after=(1, 3, 4), copies_embedding=True),
        }
        return {name: Preset(cls, config) for name, config in configs.items()}

    def embed(self, template: Views, prompt: Prompt) -> Template:
        """Keeps the template's tokens, positions included: `tokens` of RGB, `second` of the second sense."""
        tokens = self.backbone.embed_template(template[Modality.RGB])
        second = self.adaptation.patch_embed(template[self.second]) + self.backbone.template_positions
        return {**with_judges(self.backbone, tokens, prompt), "second": second}

    def _embed_search(self, search: Views) -> Template:
        """The same of a search region."""
        second = self.adaptation.patch_embed(search[self.second]) + self.backbone.search_positions
        return {"tokens": self.backbone.embed_search(search[Modality.RGB]), "second": second}

    def forward(self, template: Template, search: Views) -> CenterMaps:
        """Finds the targets; maps have a cell for every patch of the search crop."""
        return self.read(template, self._embed_search(search), self.config.foundation.vit.keep).maps

    def read(self, template: Template, search: Template, keep: float) -> Reading:
        """Lets both senses go through the blocks, and the head read their mean.

        Args:
            template: tokens `B×Nz×C` of both senses, as `embed` returns them.
            search: tokens `B×Nx×C` of both senses, named alike.
            keep: share of the candidates that each elimination keeps.
        """
        length, places = template["tokens"].shape[1], search["tokens"].shape[1]
        elimination = Elimination(length, keep, self._judges, template.get("weights"))
        joined = [torch.cat([template[name], search[name]], dim=1) for name in ("tokens", "second")]
        senses, stages = self._through(Senses(torch.cat(joined)), elimination)
        found = senses.tokens[:, length:]
        if senses.kept is not None:
            found = restore(found, senses.kept, places)
        features: Tensor = self.backbone.norm(torch.stack(found.chunk(2)).mean(dim=0))
        side = self.config.foundation.vit.search_side
        maps = self.head(features.transpose(1, 2).reshape(-1, features.shape[2], side, side))
        return Reading(CenterMaps(*maps), stages)

    def _through(self, senses: Senses, elimination: Elimination) -> tuple[Senses, tuple[Senses, ...]]:
        """Both senses after all blocks, and after each fused pass."""
        stages: list[Senses] = []
        for index, block in enumerate(self.backbone.blocks):
            eliminates = index in self.config.foundation.vit.eliminate_at
            senses = self._apart(index, senses, elimination if eliminates else None)
            if index in self.config.fused_after:
                tokens, _ = self.adaptation.fused[str(index)](block, senses.tokens, crossed=True)
                senses = Senses(tokens, senses.kept)
                stages.append(senses)
        return senses, tuple(stages)

    def _apart(self, index: int, senses: Senses, elimination: Elimination | None) -> Senses:
        """A block in which each sense attends to itself, the second one through its adapters."""
        block = self.backbone.blocks[index]
        rgb, second = senses.tokens.chunk(2)
        rgb, rgb_left = block(rgb, elimination)
        second, second_left = self.adaptation.second[index](block, second, elimination)
        left = None if rgb_left is None else torch.cat([rgb_left, second_left])
        return senses.narrowed(torch.cat([rgb, second]), left)

    def _masked(self, tokens: Template, positions: Tensor) -> Template:
        """The tokens of a view that lacks patches: of those only the positions are left."""
        masks = complementary_masks(tokens["tokens"], self.config.missing)
        lacking = dict(zip(("tokens", "second"), masks, strict=True))
        return {
            name: torch.where(lacking[name], positions, tensor) if name in lacking else tensor
            for name, tensor in tokens.items()
        }

    def objective(self, batch: Batch) -> Losses:
        """The tracking loss on the whole view and on a masked one, and the difference of their fused tokens.

        Elimination is warmed up by the batch's progress. The parts of the whole view's loss go by their own names, the
        other view's are summed as `masked`, and the difference is `distillation`.
        """
        foundation = self.config.foundation
        keep = training_keep(foundation, batch)
        template, search = self.embed(batch.template, batch.prompt), self._embed_search(batch.search)
        clear = self.read(template, search, keep)
        masked = self.read(
            self._masked(template, self.backbone.template_positions),
            self._masked(search, self.backbone.search_positions),
            keep,
        )
        sizes = template["tokens"].shape[1], search["tokens"].shape[1]
        errors = [place_error(a, b, *sizes) for a, b in zip(clear.stages, masked.stages, strict=True)]
        tracked = one_stream_objective(foundation, clear.maps, batch.boxes).parts
        return Losses(
            {
                **{name: self.config.clear_weight * part for name, part in tracked.items()},
                "masked": self.config.masked_weight * one_stream_objective(foundation, masked.maps, batch.boxes).total,
                "distillation": self.config.distillation_weight * torch.stack(errors).mean(),
            }
        )

    def trainable(self) -> tuple[Group, ...]:
        """The adaptation, and the final norm at a tenth of the learning rate; all else is frozen, statistics too."""
        return (
            Group(tuple(self.adaptation.parameters())),
            Group(tuple(self.backbone.norm.parameters()), rate=0.1),
        )
