"""What CKD draws together: the students' style, and each student's content and its teacher's.

Source: Lu et al., "Breaking Modality Gap in RGBT Tracking: Coupled Knowledge Distillation", ACM MM 2024. The style of
features is their mean and deviation, their content what is left once both are taken away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import torch
import torch.nn.functional as F
from torch import Tensor


class Level(StrEnum):
    """What has a mean and a deviation: a channel, over all tokens, or a token, over all channels."""

    CHANNEL = "channel"
    TOKEN = "token"


def style_difference(one: Tensor, other: Tensor, level: Level = Level.CHANNEL) -> Tensor:
    """The mean squared difference of means, plus that of standard deviations, which are unbiased.

    Args:
        one: tokens `B×N×C`.
        other: tokens of the same shape.
        level: whose means and deviations.
    """
    over = 1 if level is Level.CHANNEL else 2
    return F.mse_loss(one.mean(over), other.mean(over)) + F.mse_loss(one.std(over), other.std(over))


def content_difference(teacher: Tensor, student: Tensor, level: Level = Level.CHANNEL) -> Tensor:
    """The mean squared difference of features freed of their style; the teacher gets no gradient.

    Args:
        teacher: tokens `B×N×C`.
        student: tokens of the same shape.
        level: whose mean and deviation are taken away.
    """
    return F.mse_loss(content(student, level), content(teacher.detach(), level))


def content(tokens: Tensor, level: Level = Level.CHANNEL) -> Tensor:
    """Tokens `B×N×C` shifted and scaled to a mean of 0 and a deviation of 1 in every channel, or in every token."""
    if level is Level.TOKEN:
        return F.instance_norm(tokens)
    return F.instance_norm(tokens.transpose(1, 2)).transpose(1, 2)


@dataclass(frozen=True)
class Distillation:
    """What is drawn together at the outputs of the blocks; a weight of 0 leaves a part out.

    Attributes:
        style: weight of the difference of both students' style.
        content: weight of the difference of content between each student and its teacher; without it there are none.
        features: weight of the plain difference of both students' features, which the paper compares with.
        style_level: whose style.
        content_level: whose content.
        last: how many of the last blocks take part; all if `None`.

    Raises:
        ValueError: if no block takes part.
    """

    style: float = 0.01
    content: float = 0.1
    features: float = 0.0
    style_level: Level = Level.CHANNEL
    content_level: Level = Level.CHANNEL
    last: int | None = None

    def __post_init__(self) -> None:
        if self.last is not None and self.last < 1:
            raise ValueError(f"The last {self.last} blocks cannot be distilled: give 1 or more, or none for all.")

    def parts(self, layers: Sequence[tuple[Tensor, ...]]) -> dict[str, Tensor]:
        """The weighted differences, each summed over blocks, and content over senses too.

        Args:
            layers: for each block the tokens `B×N×C` of both students, and of their teachers where there are any.
        """
        chosen = layers if self.last is None else layers[-self.last :]
        sums: dict[str, list[Tensor]] = {"style": [], "content": [], "features": []}
        for rgb, other, *teachers in chosen:
            if self.style:
                sums["style"].append(style_difference(rgb, other, self.style_level))
            if self.features:
                sums["features"].append(F.mse_loss(rgb, other))
            if self.content:
                pairs = zip(teachers, (rgb, other), strict=True)
                sums["content"] += [content_difference(*pair, self.content_level) for pair in pairs]
        return {name: getattr(self, name) * torch.stack(terms).sum() for name, terms in sums.items() if terms}
