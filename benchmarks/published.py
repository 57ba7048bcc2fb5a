"""The family's networks in the structure of their published code, on the parameters of ours.

Each does per frame all that the published forward pass does in tracking, and nothing more: it embeds the templates
anew, writes out every attention matrix, runs the senses one after the other, and carries every token to the end. The
words are ours; what is done, and in which order, follows the code of botaoye/OSTrack, jiawen-zhu/ViPT,
hoqolo/SDSTrack, SparkTempest/BAT and RyanHTR/TBSI.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tectum.frames import Modality
from tectum.networks.vit import Attention, Block, JointViT, PatchEmbedding
from tectum.systems.base import Views
from tectum.systems.bat import BAT, Adapter
from tectum.systems.ostrack import OSTrack
from tectum.systems.sdstrack import CHANNEL_SHARE, Adapters, SDSTrack
from tectum.systems.tbsi import TBSI, Bridge, CrossBlock
from tectum.systems.vipt import PromptBlock, ViPT

Maps: TypeAlias = tuple[Tensor, Tensor, Tensor]
"""Score, size and offset."""

Forward: TypeAlias = Callable[[Views, Views], Maps]
"""From the views of template and search region to the answer."""

Joins: TypeAlias = Callable[[Tensor], Tensor]
"""What an adapter adds to tokens `B×N×C`."""


@dataclass
class Stream:
    """One sense on its way through the blocks.

    Attributes:
        tokens: `B×N×C`, the template's first, then what is left of the search region by falling attention.
        length: tokens of the template.
        places: where the search tokens belong, `B×K`.
        dropped: where each elimination's victims belong.
    """

    tokens: Tensor
    length: int
    places: Tensor
    dropped: list[Tensor]

    @classmethod
    def of(cls, template: Tensor, search: Tensor) -> Stream:
        """Joins a template's tokens and those of a whole search region."""
        places = torch.arange(search.shape[1], device=search.device).repeat(len(search), 1)
        return cls(torch.cat([template, search], dim=1), template.shape[1], places, [])

    def restored(self, tokens: Tensor) -> Tensor:
        """Tokens like the stream's own, with the search region in its order and zeros where it was eliminated."""
        template, search = tokens[:, : self.length], tokens[:, self.length :]
        if self.dropped:
            lost = torch.cat(self.dropped, dim=1)
            padded = torch.cat([search, search.new_zeros(len(search), lost.shape[1], search.shape[2])], dim=1)
            order = torch.cat([self.places, lost], dim=1)[..., None].expand_as(padded)
            search = torch.zeros_like(padded).scatter_(1, order, padded)
        return torch.cat([template, search], dim=1)

    def eliminate(self, attention: Tensor, vit: JointViT) -> None:
        """Drops the candidates to which the template's centre attends least; all are sorted for it."""
        side = vit.config.template_side
        centre = ((side - 1) // 2) * (side + 1)
        scores = attention[:, :, centre, self.length :].mean(dim=1)
        order = scores.sort(dim=1, descending=True).indices
        count = math.ceil(vit.config.keep * scores.shape[1])
        best, rest = order[:, :count], order[:, count:]
        kept = self.tokens[:, self.length :].gather(1, best[..., None].expand(-1, -1, self.tokens.shape[2]))
        self.tokens = torch.cat([self.tokens[:, : self.length], kept], dim=1)
        self.dropped.append(self.places.gather(1, rest))
        self.places = self.places.gather(1, best)


def embedded(vit: JointViT, patch_embed: PatchEmbedding, template: Tensor, search: Tensor) -> Stream:
    """Embeds both crops of one sense."""
    z, x = patch_embed(template), patch_embed(search)
    return Stream.of(z + vit.template_positions, x + vit.search_positions)


def attend(attention: Attention, tokens: Tensor, hidden: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Attends with the weights `B×heads×N×N` written out, none where `hidden` `N×N` is true; answers them too."""
    batch, count, width = tokens.shape
    joined = attention.qkv(tokens).reshape(batch, count, 3, attention.heads, width // attention.heads)
    query, key, value = joined.permute(2, 0, 3, 1, 4)
    logits = (query @ key.transpose(-2, -1)) * (width // attention.heads) ** -0.5
    if hidden is not None:
        logits = logits.masked_fill(hidden, float("-inf"))
    weights = logits.softmax(dim=-1)
    return attention.proj((weights @ value).transpose(1, 2).reshape(batch, count, width)), weights


def run_block(vit: JointViT, index: int, stream: Stream, adapters: Adapters | None = None) -> None:
    """Runs one block on one sense, with SDSTrack's adapters where they are given."""
    block = vit.blocks[index]
    mixed, attention = attend(block.attn, block.norm1(stream.tokens))
    stream.tokens = stream.tokens + (mixed if adapters is None else mixed + adapters.space(mixed))
    if index in vit.config.eliminate_at:
        stream.eliminate(attention, vit)
    stream.tokens = stream.tokens + perceive(block, stream.tokens, adapters)


def perceive(block: Block, tokens: Tensor, adapters: Adapters | None) -> Tensor:
    """The second branch of a block."""
    normed = block.norm2(tokens)
    return block.mlp(normed) if adapters is None else block.mlp(normed) + CHANNEL_SHARE * adapters.channel(normed)


def read_maps(head: nn.Module, vit: JointViT, search: Tensor) -> Maps:
    """The head's answer from search tokens `B×Nx×C`."""
    side = vit.config.search_side
    return head(as_map(search, side).contiguous())


def as_map(tokens: Tensor, side: int) -> Tensor:
    """Tokens `B×N×C` as a map `B×C×side×side`."""
    return tokens.transpose(1, 2).reshape(len(tokens), -1, side, side)


def ostrack(system: OSTrack, template: Views, search: Views) -> Maps:
    """OSTrack: one stream."""
    vit = system.backbone
    stream = embedded(vit, vit.patch_embed, template[Modality.RGB], search[Modality.RGB])
    for index in range(vit.config.depth):
        run_block(vit, index, stream)
    return read_maps(system.head, vit, stream.restored(vit.norm(stream.tokens))[:, stream.length :])


def vipt(system: ViPT, template: Views, search: Views) -> Maps:
    """ViPT: prompts are made on maps, from both grids at full size before every block."""
    vit, prompter = system.backbone, system.prompter
    patches, prompts = [], []
    for views in (template, search):
        rgb, other = vit.patch_embed(views[Modality.RGB]), prompter.patch_embed(views[system.second])
        prompts.append(make_prompt(prompter.blocks[0], prompter.norms[0](rgb), prompter.norms[0](other)))
        patches.append(rgb + prompts[-1])
    stream = Stream.of(patches[0] + vit.template_positions, patches[1] + vit.search_positions)
    for index in range(vit.config.depth):
        if index and system.config.deep:
            normed = prompter.norms[index - 1](stream.restored(stream.tokens))
            grids = normed[:, : stream.length], normed[:, stream.length :]
            prompts = [
                make_prompt(prompter.blocks[index], grid, prompter.norms[index](prompt))
                for grid, prompt in zip(grids, prompts, strict=True)
            ]
            arriving = prompts[1].gather(1, stream.places[..., None].expand(-1, -1, normed.shape[2]))
            stream.tokens = stream.tokens + torch.cat([prompts[0], arriving], dim=1)
        run_block(vit, index, stream)
    return read_maps(system.head, vit, stream.restored(vit.norm(stream.tokens))[:, stream.length :])


def make_prompt(block: PromptBlock, features: Tensor, prompt: Tensor) -> Tensor:
    """A prompt `B×N×C` by 1x1 convolutions over the joined maps of features and the prompt before."""
    side = math.isqrt(features.shape[1])
    joined = torch.cat([as_map(features, side), as_map(prompt, side)], dim=1)
    halves = (half.contiguous() for half in joined.chunk(2, dim=1))
    squeezed, before = map(_convolved, (block.squeeze_features, block.squeeze_prompt), halves)
    flat = squeezed.flatten(2)
    fovea = ((flat * block.sharpness).softmax(dim=-1) * flat).view_as(squeezed)
    return _convolved(block.expand, fovea + before).flatten(2).transpose(1, 2).contiguous()


def _convolved(layer: nn.Linear, features: Tensor) -> Tensor:
    return F.conv2d(features, layer.weight[..., None, None], layer.bias)


def sdstrack(system: SDSTrack, template: Views, search: Views) -> Maps:
    """SDSTrack: the fused passes write out all pairs of both senses, and hide those within a sense."""
    vit, adaptation = system.backbone, system.adaptation
    rgb = embedded(vit, vit.patch_embed, template[Modality.RGB], search[Modality.RGB])
    other = embedded(vit, adaptation.patch_embed, template[system.second], search[system.second])
    for index, block in enumerate(vit.blocks):
        run_block(vit, index, rgb)
        run_block(vit, index, other, adaptation.second[index])
        if index in system.config.fused_after:
            fuse(block, rgb, other, adaptation.fused[str(index)])
    whole = (rgb.restored(rgb.tokens) + other.restored(other.tokens)) / 2
    return read_maps(system.head, vit, vit.norm(whole)[:, rgb.length :])


def fuse(block: Block, rgb: Stream, other: Stream, adapters: Adapters) -> None:
    """Runs a block on both senses' tokens in one sequence."""
    tokens, count = torch.cat([rgb.tokens, other.tokens], dim=1), rgb.tokens.shape[1]
    hidden = torch.zeros(tokens.shape[1], tokens.shape[1], device=tokens.device)
    hidden[:count, :count] = hidden[count:, count:] = 1
    mixed, _ = attend(block.attn, block.norm1(tokens), hidden == 1)
    tokens = tokens + mixed + adapters.space(mixed)
    tokens = tokens + perceive(block, tokens, adapters)
    rgb.tokens, other.tokens = tokens[:, :count], tokens[:, count:]


def bat(system: BAT, template: Views, search: Views) -> Maps:
    """BAT: each sense is normalised once for its own branch and once more for the other sense's adapter."""
    vit = system.backbone
    rgb, other = (
        embedded(vit, vit.patch_embed, template[sense], search[sense]).tokens for sense in (Modality.RGB, system.second)
    )
    adapters = zip(system.attention_adapters, system.perceptron_adapters, strict=True)
    for block, (attention, perceptron) in zip(vit.blocks, adapters, strict=True):
        before, (mixed, _) = rgb, attend(block.attn, block.norm1(rgb))
        rgb = rgb + mixed + adapted(attention, block.norm1(other))
        mixed, _ = attend(block.attn, block.norm1(other))
        other = other + mixed + adapted(attention, block.norm1(before))
        before = rgb
        rgb = rgb + block.mlp(block.norm2(rgb)) + adapted(perceptron, block.norm2(other))
        other = other + block.mlp(block.norm2(other)) + adapted(perceptron, block.norm2(before))
    return read_maps(system.head, vit, (vit.norm(rgb) + vit.norm(other))[:, vit.config.template_side**2 :])


def adapted(adapter: Adapter, tokens: Tensor) -> Tensor:
    """What one sense's tokens become for the other."""
    return adapter.up(adapter.dropout(adapter.middle(adapter.down(tokens))))


def tbsi(system: TBSI, template: Views, search: Views) -> Maps:
    """TBSI: the perceptrons of its cross blocks run over the tokens that are attended to, too."""
    vit, bridges = system.backbone, dict(zip(system.config.bridged, system.bridges, strict=True))
    senses = (Modality.RGB, system.second)
    rgb, other = (embedded(vit, vit.patch_embed, template[sense], search[sense]) for sense in senses)
    for index in range(vit.config.depth):
        run_block(vit, index, rgb)
        run_block(vit, index, other)
        if index in bridges:
            cross(bridges[index], rgb, other)
    tokens = vit.norm(torch.cat([rgb.tokens, other.tokens], dim=1))
    count, places = rgb.tokens.shape[1], rgb.places.shape[1]
    found = torch.cat([tokens[:, count - places : count], tokens[:, -places:]], dim=2)
    return system.head(system.fusion(as_map(found, vit.config.search_side).contiguous()))


def cross(bridge: Bridge, rgb: Stream, other: Stream) -> None:
    """Lets the search regions of both senses interact through their templates."""
    length = rgb.length
    z_rgb, x_rgb = rgb.tokens[:, :length], rgb.tokens[:, length:]
    z_other, x_other = other.tokens[:, :length], other.tokens[:, length:]
    medium = bridge.fusion(torch.cat([z_rgb, z_other], dim=2))
    medium = cross_block(bridge.medium_from_other, medium, x_other)
    bridged_rgb = cross_block(bridge.search_rgb, x_rgb, medium)
    medium = cross_block(bridge.medium_from_rgb, medium, x_rgb)
    bridged_other = cross_block(bridge.search_other, x_other, medium)
    rgb.tokens[:, length:], other.tokens[:, length:] = bridged_rgb, bridged_other
    rgb.tokens[:, :length] = cross_block(bridge.template_rgb, z_rgb, medium)
    other.tokens[:, :length] = cross_block(bridge.template_other, z_other, medium)


def cross_block(block: CrossBlock, tokens: Tensor, source: Tensor) -> Tensor:
    """Runs a cross block on tokens and their source in one sequence, and answers the tokens' part of it."""
    count = tokens.shape[1]
    joined = torch.cat([tokens, source], dim=1)
    normed = block.norm1(joined)
    query, key = normed[:, :count], normed[:, count:]
    weights = ((query @ key.transpose(-2, -1)) * block.scale).softmax(dim=-1)
    mixed = block.proj((weights @ key).transpose(1, 2).reshape(query.shape))
    joined = joined + torch.cat([mixed, key], dim=1)
    joined = joined + block.mlp(block.norm2(joined))
    return joined[:, :count]
