"""Candidate elimination: search tokens that the target's own tokens look at least are dropped on the way.

Source: OSTrack (Ye et al., ECCV 2022), section 3.2. Only the few rows of the attention matrix that judge the
candidates are ever written out, so that the attention itself can run in one fused kernel.
"""

from __future__ import annotations

import math
from enum import StrEnum

import torch
from torch import Tensor


class Watch(StrEnum):
    """Which template tokens judge the candidates: the one at the centre, all, a centre rectangle, or the target's."""

    CENTER = "center"
    ALL = "all"
    RECTANGLE = "rectangle"
    BOX = "box"


def watching_rows(watch: Watch, side: int) -> tuple[int, ...]:
    """Flat indices of the template tokens that judge, before any target's box is known.

    Args:
        watch: which tokens.
        side: template tokens along each side. With an even side the centre is the upper left of the middle four,
            and the rectangle is those four; with an odd side both are the middle one.
    """
    if watch in (Watch.ALL, Watch.BOX):
        return tuple(range(side * side))
    first, last = (side - 1) // 2, side // 2
    middle = [first] if watch is Watch.CENTER else range(first, last + 1)
    return tuple(row * side + column for row in middle for column in middle)


def box_weights(boxes: Tensor, side: int) -> Tensor:
    """How much each template token counts when the target's own tokens judge.

    Args:
        boxes: targets `B×4` as `x, y, w, h` in fractions of the template crop.
        side: template tokens along each side.

    Returns:
        `B×side²`, equal for all tokens whose centre lies in the box and summing to one; where the box lies between
        token centres, the token nearest to its centre has it all.
    """
    middles = (torch.arange(side, device=boxes.device, dtype=boxes.dtype) + 0.5) / side
    start, end = boxes[:, :2, None], (boxes[:, :2] + boxes[:, 2:])[..., None]
    within = (middles >= start) & (middles < end)
    inside = (within[:, 1, :, None] & within[:, 0, None, :]).flatten(1).to(boxes.dtype)
    cell = ((boxes[:, :2] + boxes[:, 2:] / 2) * side).long().clamp(0, side - 1)
    nearest = torch.nn.functional.one_hot(cell[:, 1] * side + cell[:, 0], side * side).to(boxes.dtype)
    chosen = torch.where(inside.sum(dim=1, keepdim=True) > 0, inside, nearest)
    return chosen / chosen.sum(dim=1, keepdim=True)


def keep_ratio(progress: float, start: float, end: float, final: float) -> float:
    """The share of candidates kept while training: 1 until `start`, by a cosine down to `final` at `end`.

    Args:
        progress: how much of the training is done, in [0, 1].
        start: progress at which elimination begins.
        end: progress from which the share is `final`.
        final: the share kept in the end, in (0, 1].
    """
    if progress < start:
        return 1.0
    if progress >= end:
        return final
    return final + (1 - final) * (1 + math.cos(math.pi * (progress - start) / (end - start))) / 2


def candidate_attention(query: Tensor, key: Tensor, template_length: int, rows: tuple[int, ...]) -> Tensor:
    """How much each judging template token attends to each search token.

    Args:
        query: `B×heads×N×D`, template tokens first.
        key: `B×heads×N×D`.
        template_length: tokens of the template.
        rows: flat indices of the judging tokens.

    Returns:
        `B×heads×len(rows)×(N - template_length)`.
    """
    judges = query[:, :, list(rows)] * query.shape[-1] ** -0.5
    attention: Tensor = (judges @ key.transpose(-2, -1)).softmax(dim=-1)
    return attention[..., template_length:]


def candidate_scores(
    query: Tensor, key: Tensor, template_length: int, rows: tuple[int, ...], weights: Tensor | None = None
) -> Tensor:
    """`candidate_attention`, averaged over judging tokens and heads: `B×(N - template_length)`."""
    return averaged(candidate_attention(query, key, template_length, rows), weights)


def averaged(attention: Tensor, weights: Tensor | None = None) -> Tensor:
    """Averages the attention of judging template tokens over them and over heads.

    Args:
        attention: `B×heads×judges×L`.
        weights: of the judges, `B×judges`, equal if `None`.

    Returns:
        Scores `B×L`.
    """
    if weights is None:
        return attention.mean(dim=2).mean(dim=1)
    return (attention.mean(dim=1) * weights[..., None]).sum(dim=1)


def best_candidates(scores: Tensor, keep: float) -> Tensor:
    """Indices of the `ceil(keep * L)` best of scores `B×L`, in ascending order."""
    count = math.ceil(keep * scores.shape[1])
    return scores.topk(count, dim=1, sorted=False).indices.sort(dim=1).values


def select(tokens: Tensor, index: Tensor) -> Tensor:
    """Takes tokens `B×L×C` at the indices `B×K`."""
    return tokens.gather(1, index[..., None].expand(-1, -1, tokens.shape[-1]))


def narrow(tokens: Tensor, template_length: int, survivors: Tensor) -> Tensor:
    """Drops all search tokens but the survivors, `B×K`, from tokens `B×N×C` of which the first are the template's."""
    return torch.cat([tokens[:, :template_length], select(tokens[:, template_length:], survivors)], dim=1)


def restore(tokens: Tensor, index: Tensor, length: int) -> Tensor:
    """Puts tokens `B×K×C` back at the indices `B×K` of `length` places, zeros elsewhere: the inverse of `select`."""
    places = tokens.new_zeros(len(tokens), length, tokens.shape[-1])
    return places.scatter(1, index[..., None].expand_as(tokens), tokens)
