"""Heads that turn a map of features into maps of scores and boxes."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn


def convolution_block(inputs: int, outputs: int) -> nn.Sequential:
    """A 3x3 convolution, batch normalisation and ReLU."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


def tower(inputs: int, channels: int, outputs: int) -> nn.Sequential:
    """Four blocks, each half as wide as the one before, and a 1x1 convolution."""
    widths = [inputs, *(channels // 2**level for level in range(4))]
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        (f"conv{level}", convolution_block(widths[level - 1], widths[level])) for level in range(1, 5)
    )
    layers["conv5"] = nn.Conv2d(widths[-1], outputs, 1)
    return nn.Sequential(layers)


class CenterHead(nn.Module):
    """Three towers that read score, size and offset from a map (OSTrack, Ye et al., ECCV 2022, section 3.3).

    Args:
        inputs: channels of the map.
        channels: channels of each tower's first block, a multiple of 8.
        rare: whether to begin by answering a rare target of a quarter of the crop in the middle of any cell. The
            focal loss of a network that starts from nothing is otherwise spent on this alone for long.
    """

    def __init__(self, inputs: int, channels: int = 256, rare: bool = False) -> None:
        super().__init__()
        self.score = tower(inputs, channels, 1)
        self.size = tower(inputs, channels, 2)
        self.offset = tower(inputs, channels, 2)
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
        if rare:
            for branch, bias in ((self.score, -3.0), (self.size, -1.0), (self.offset, 0.5)):
                nn.init.normal_(branch[-1].weight, std=0.01)  # type: ignore[arg-type]
                nn.init.constant_(branch[-1].bias, bias)  # type: ignore[arg-type]

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Reads a map `B×C×S×S`.

        Returns:
            Score `B×1×S×S` and size `B×2×S×S`, both in [1e-4, 1 - 1e-4], and the raw offset `B×2×S×S`.
        """
        return _probability(self.score(features)), _probability(self.size(features)), self.offset(features).float()


def _probability(logits: Tensor) -> Tensor:
    return logits.float().sigmoid().clamp(1e-4, 1 - 1e-4)
