"""Small convolutional blocks for two CPU cores."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def convolution(inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int | None = None) -> nn.Sequential:
    """A convolution without bias, "same" padding unless told, batch normalisation and ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2 if padding is None else padding, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class Residual(nn.Module):
    """A skip around a depthwise and a pointwise convolution, without normalisation.

    The pointwise weights start at zero, so that the block starts as the identity (as in ReZero, Bachlechner et al.
    2020) and needs no batch statistics, which cost more than the convolutions on a CPU.

    Args:
        channels: in and out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.pointwise = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.pointwise.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Maps `B×C×H×W` to itself."""
        change: Tensor = self.pointwise(torch.relu_(self.depthwise(x)))
        return x + change
