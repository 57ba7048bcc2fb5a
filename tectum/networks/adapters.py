"""Adapters for a frozen transformer that two streams share: within a stream, between streams, and before the head.

Those of the streams see one grid of tokens of both at a time, `2B×N×C` with N a square: the first stream of the whole
batch, then the second.

Source: PATrack (Wang et al., "Learning Progressive Adaptation for Multi-Modal Tracking", 2026), section III.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from enum import StrEnum

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Mixer(StrEnum):
    """How a place takes in its neighbours: by a depthwise convolution, by their maximum, or by their average."""

    DEPTHWISE = "depthwise"
    MAXIMUM = "maximum"
    AVERAGE = "average"


def mixer_channels(mixers: Collection[Mixer], channels: int) -> dict[Mixer, int]:
    """How many channels each mixer reads.

    Half go to the average, which answers low frequencies, and half to the others, which answer high ones and share
    alike. Where a half has no mixer, the other has all channels.

    Args:
        mixers: which there are.
        channels: in all.

    Raises:
        ValueError: if there is no mixer, or if the channels cannot be shared so.
    """
    high = [mixer for mixer in (Mixer.DEPTHWISE, Mixer.MAXIMUM) if mixer in mixers]
    low = [Mixer.AVERAGE] if Mixer.AVERAGE in mixers else []
    halves = [half for half in (high, low) if half]
    if not halves:
        raise ValueError(f"Nothing mixes: name one or more of {', '.join(Mixer)}.")
    parts = [len(halves) * len(half) for half in halves]
    if any(channels % part for part in parts):
        raise ValueError(f"{channels} channels cannot be shared by {len(mixers)} mixers: take a multiple of 4.")
    return {mixer: channels // part for half, part in zip(halves, parts, strict=True) for mixer in half}


class Average(nn.Module):
    """Puts the average of every 2x2 window in all of its places; at an odd border windows are cut off."""

    def forward(self, features: Tensor) -> Tensor:
        """Maps `B×C×H×W` to `B×C×H×W`."""
        height, width = features.shape[-2:]
        pooled = F.avg_pool2d(features, 2, ceil_mode=True, count_include_pad=False)
        return F.interpolate(pooled, scale_factor=2.0)[..., :height, :width]


def build_mixer(mixer: Mixer, channels: int) -> tuple[nn.Module, int]:
    """A mixer of maps `B×channels×H×W`, and the channels that it answers."""
    wide = 2 * channels
    if mixer is Mixer.DEPTHWISE:
        spread = nn.Conv2d(wide, wide, 3, padding=1, groups=wide, bias=False)
        return nn.Sequential(nn.Conv2d(channels, wide, 1, bias=False), spread, nn.GELU()), wide
    if mixer is Mixer.MAXIMUM:
        return nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), nn.Conv2d(channels, wide, 1), nn.GELU()), wide
    return Average(), channels


class DependentAdapter(nn.Module):
    """Splits what a stream sees into high and low frequencies, and hands it over to the other stream (MDA).

    Args:
        width: channels of a token.
        hidden: channels that are mixed.
        mixers: which mixers share them.

    Raises:
        ValueError: if the mixers cannot share them.
    """

    def __init__(self, width: int, hidden: int = 8, mixers: Collection[Mixer] = tuple(Mixer)) -> None:
        super().__init__()
        self.shares = mixer_channels(mixers, hidden)
        self.down = nn.Linear(width, hidden)
        nn.init.trunc_normal_(self.down.weight, std=0.02)
        nn.init.zeros_(self.down.bias)
        built = {mixer: build_mixer(mixer, channels) for mixer, channels in self.shares.items()}
        self.mixers = nn.ModuleDict({mixer.value: module for mixer, (module, _) in built.items()})
        joined = sum(channels for _, channels in built.values())
        self.fuse = nn.Conv2d(joined, joined, 3, padding=1, groups=joined, bias=False)
        self.up = nn.Linear(joined, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Maps a grid of both streams `2B×N×C` to what each gets of the other, `2B×N×C`."""
        side = math.isqrt(tokens.shape[1])
        reduced = self.down(tokens).transpose(1, 2).unflatten(2, (side, side))
        parts = reduced.split(list(self.shares.values()), dim=1)
        mixed = torch.cat([mixer(part) for mixer, part in zip(self.mixers.values(), parts, strict=True)], dim=1)
        mixed = mixed + self.fuse(mixed)
        prompt: Tensor = self.up(mixed.flatten(2).transpose(1, 2))
        return prompt.roll(len(prompt) // 2, dims=0)


class EntangledAdapter(nn.Module):
    """Lets two streams exchange what they see, guided by a fusion of both (CEA).

    Every place of a stream looks where the fusion resembles its key, and gathers the stream's own values from there;
    the other stream's token of the place is added. Products of keys and fusion are not scaled, as published.

    Args:
        width: channels of a token.
        hidden: channels inside.
    """

    def __init__(self, width: int, hidden: int = 192) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.down = nn.Linear(width, hidden, bias=False)
        self.fusion = nn.Linear(2 * hidden, hidden, bias=False)
        self.first_key = nn.Linear(hidden, hidden, bias=False)
        self.first_value = nn.Linear(hidden, hidden, bias=False)
        self.second_key = nn.Linear(hidden, hidden, bias=False)
        self.second_value = nn.Linear(hidden, hidden, bias=False)
        self.up = nn.Linear(hidden, width, bias=False)

    def forward(self, tokens: Tensor, living: Tensor | None = None) -> Tensor:
        """Maps a grid of both streams to what each gets.

        Args:
            tokens: of both, `2B×N×C`.
            living: which places can be looked at, `2B×N`; all if not said.

        Returns:
            `2B×N×C`.
        """
        first, second = self.down(self.norm(tokens)).chunk(2)
        fusion = self.fusion(torch.cat([first, second], dim=2)).repeat(2, 1, 1)
        keys = torch.cat([self.first_key(first), self.second_key(second)])
        values = torch.cat([self.first_value(first), self.second_value(second)])
        mask = None if living is None else living[:, None]
        gathered = F.scaled_dot_product_attention(keys, fusion, values, mask, scale=1.0)
        result: Tensor = self.up(gathered + torch.cat([second, first]))
        return result


class HeadAdapter(nn.Module):
    """Turns fused features into what a frozen head understands (HA), by three linear layers, as published.

    Args:
        width: channels of a token.
        hidden: channels between.
        dropout: chance in training that one of these is dropped.
        skips: whether the answer is added to the features, as it is not in the published network. It then begins as
            nothing.
    """

    def __init__(self, width: int, hidden: int = 192, dropout: float = 0.1, skips: bool = False) -> None:
        super().__init__()
        self.skips = skips
        self.down = nn.Linear(width, hidden)
        self.middle = nn.Linear(hidden, hidden)
        self.dropout = nn.Dropout(dropout)
        self.up = nn.Linear(hidden, width)
        if skips:
            nn.init.zeros_(self.up.weight)
            nn.init.zeros_(self.up.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        """Maps tokens `B×N×C` to `B×N×C`."""
        adapted: Tensor = self.up(self.dropout(self.middle(self.down(tokens))))
        return tokens + adapted if self.skips else adapted
