"""Training losses that several systems share."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from tectum.geometry import centered, corners, from_centered, giou
from tectum.systems.base import CenterMaps, Losses


def center_objective(maps: CenterMaps, boxes: Tensor, giou_weight: float = 2.0, l1_weight: float = 5.0) -> Losses:
    """Focal loss on the score map, GIoU and L1 on the box read at the score's maximum, as in tracking.

    Args:
        maps: the answer of a centre head.
        boxes: targets `B×4` as `x, y, w, h` in fractions of the crop's side, `nan` where the target is absent: the
            score alone learns from those.
        giou_weight: weight of the GIoU loss.
        l1_weight: weight of the L1 loss over the corners `x1, y1, x2, y2`.

    Source: OSTrack (Ye et al., ECCV 2022), equation 4, with CenterNet's focal loss (Zhou et al., 2019). As published,
    the heat peaks at the cell nearest to the centre, and targets are cut off at the crop's border for the box losses.
    """
    side = maps.score.shape[-1]
    present = ~boxes.isnan().any(dim=1)
    heat = center_heat(boxes.nan_to_num(0.5), side, nearest=True) * present[:, None, None]
    found = from_centered(boxes_at(maps, maps.score.flatten(1).argmax(dim=1)))[present]
    edges = corners(boxes[present]).clamp(0, 1)
    truth = torch.cat([edges[:, :2], edges[:, 2:] - edges[:, :2]], dim=1)
    count = present.sum().clamp(min=1)
    return Losses(
        {
            "focal": focal(maps.score[:, 0], heat),
            "giou": giou_weight * (1 - giou(found, truth)).sum() / count,
            "l1": l1_weight * (corners(found) - edges).abs().mean(dim=1).sum() / count,
        }
    )


def dense_center_objective(maps: CenterMaps, boxes: Tensor) -> Losses:
    """Focal loss on the score; GIoU, place and size learnt at every cell near the centre, weighted by its heat.

    Args:
        maps: the answer.
        boxes: targets `B×4` as `x, y, w, h` in fractions of the search crop, `nan` where the target is absent.
    """
    side = maps.score.shape[-1]
    present = ~boxes.isnan().any(dim=1)
    known = boxes.nan_to_num(0.25)
    heat = center_heat(known, side) * present[:, None, None]
    grid = torch.arange(side, device=boxes.device, dtype=boxes.dtype)
    cells = torch.stack(torch.meshgrid(grid, grid, indexing="xy"))
    predicted = torch.cat([(cells + maps.offset) / side, maps.size], dim=1).permute(0, 2, 3, 1)
    truth = known[:, None, None, :].expand_as(predicted)
    # Every target weighs the same: heat grows with size, and weight by heat alone would teach sizes too large.
    weight = heat / heat.sum(dim=(1, 2), keepdim=True).clamp(min=1e-6) / present.sum().clamp(min=1)
    return Losses(
        {
            "focal": focal(maps.score[:, 0], heat),
            "giou": (weight * (1 - giou(from_centered(predicted), truth))).sum(),
            "place": 2.0 * (weight * _place_error(predicted, centered(truth))).sum(),
            "size": 4.0 * (weight * _size_error(predicted, truth)).sum(),
        }
    )


def _place_error(predicted: Tensor, truth: Tensor) -> Tensor:
    """Distance of the centres in shares of the true size; boxes `…×4` as `cx, cy, w, h`."""
    return _smooth((predicted[..., :2] - truth[..., :2]) / truth[..., 2:])


def _size_error(predicted: Tensor, truth: Tensor) -> Tensor:
    """Distance of the sizes' logarithms: too large costs what too small does."""
    return _smooth(torch.log(predicted[..., 2:] / truth[..., 2:]))


def _smooth(error: Tensor) -> Tensor:
    """Mean absolute value over the last axis, smooth near zero."""
    return F.smooth_l1_loss(error, torch.zeros_like(error), reduction="none", beta=0.05).mean(-1)


def covered(boxes: Tensor, side: int) -> Tensor:
    """The share of each cell of a grid that lies in a box.

    Args:
        boxes: `B×4` as `x, y, w, h` in fractions of the grid's side.
        side: cells along each side.

    Returns:
        `B×side×side` in [0, 1], zero for boxes of `nan`.
    """
    low = torch.arange(side, device=boxes.device, dtype=boxes.dtype) / side
    start, end = boxes[:, :2, None], (boxes[:, :2] + boxes[:, 2:])[..., None]
    share = (torch.minimum(low + 1 / side, end) - torch.maximum(low, start)).clamp(min=0).nan_to_num(0) * side
    return share[:, 1, :, None] * share[:, 0, None, :]


def boxes_at(maps: CenterMaps, index: Tensor) -> Tensor:
    """Reads boxes at one cell of each map.

    Args:
        maps: the answer of a centre head.
        index: flat cell indices `B`, row by row.

    Returns:
        Boxes `B×4` as `cx, cy, w, h` in fractions of the crop's side.
    """
    side = maps.score.shape[-1]
    where = index.view(-1, 1, 1).expand(-1, 2, 1)
    size = maps.size.flatten(2).gather(2, where)[..., 0]
    offset = maps.offset.flatten(2).gather(2, where)[..., 0]
    cell = torch.stack([index % side, index.div(side, rounding_mode="floor")], dim=1)
    return torch.cat([(cell + offset) / side, size], dim=1)


def center_heat(boxes: Tensor, side: int, nearest: bool = False) -> Tensor:
    """Gaussian heat maps `B×side×side` with 1 at each target's centre cell.

    The deviation is a sixth of the diameter `2r + 1`, where `r` is CenterNet's radius within which a box of
    the same size still overlaps the target by 0.7.

    Args:
        boxes: targets `B×4` as `x, y, w, h` in fractions of the crop's side.
        side: cells along each side of the map.
        nearest: peak at the grid point nearest to the centre, which may lie outside the map, as OSTrack does, rather
            than in the cell that holds the centre.
    """
    scaled = centered(boxes) * side
    cell = scaled[:, :2].round().long() if nearest else scaled[:, :2].long().clamp(0, side - 1)
    radius = center_radius(scaled[:, 2], scaled[:, 3]).floor().clamp(min=0)
    sigma = (2 * radius + 1) / 6
    grid = torch.arange(side, device=boxes.device)
    dx = grid[None, None, :] - cell[:, 0, None, None]
    dy = grid[None, :, None] - cell[:, 1, None, None]
    heat = torch.exp(-(dx**2 + dy**2) / (2 * sigma[:, None, None] ** 2))
    inside = (dx.abs() <= radius[:, None, None]) & (dy.abs() <= radius[:, None, None])
    return heat * inside


def center_radius(width: Tensor, height: Tensor, overlap: float = 0.7) -> Tensor:
    """CenterNet's radius: how far a box's corners may move while it overlaps the target by `overlap`.

    The smallest of the three cases: both corners inside, both outside, one of each. The published code divides
    each root by 2 whatever its leading coefficient, and so does this.

    Args:
        width: widths in cells, any shape.
        height: heights in cells, same shape.
        overlap: the least overlap.
    """
    total, area = width + height, width * height

    def root(a: float, b: Tensor, c: Tensor) -> Tensor:
        return (b + torch.sqrt((b * b - 4 * a * c).clamp(min=0))) / 2

    shifted = root(1, total, area * (1 - overlap) / (1 + overlap))
    inner = root(4, 2 * total, (1 - overlap) * area)
    outer = root(4 * overlap, -2 * overlap * total, (overlap - 1) * area)
    return torch.stack([shifted, inner, outer]).amin(dim=0)


def focal(score: Tensor, heat: Tensor, alpha: float = 2.0, beta: float = 4.0) -> Tensor:
    """Penalty-reduced focal loss, divided by the number of centres (CornerNet, Law & Deng 2018, equation 1).

    Args:
        score: probabilities `B×S×S`, strictly inside (0, 1).
        heat: heat maps `B×S×S` with exactly 1 at the centres.
        alpha: exponent of the hardness.
        beta: exponent that spares cells near a centre.
    """
    positive = heat == 1
    hit = torch.log(score) * (1 - score) ** alpha
    miss = torch.log1p(-score) * score**alpha * (1 - heat) ** beta
    loss = torch.where(positive, hit, miss)
    return -loss.sum() / positive.sum().clamp(min=1)
