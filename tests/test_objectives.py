"""The field's loss on a centre head, worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from tectum.systems.base import CenterMaps
from tectum.systems.objectives import center_objective


def test_parts_and_their_weights_by_hand() -> None:
    # A 4×4 map whose best cell, column 2 and row 1, answers the box (0.5, 0.25, 0.25, 0.25): its centre lies at
    # 0.625, 0.375. The truth is twice as wide, with its centre 0.125 farther right: (0.5, 0.25, 0.5, 0.25).
    score = torch.full((1, 1, 4, 4), 0.1)
    score[0, 0, 1, 2] = 0.6
    maps = CenterMaps(score, torch.full((1, 2, 4, 4), 0.25), torch.full((1, 2, 4, 4), 0.5))
    losses = center_objective(maps, torch.tensor([[0.5, 0.25, 0.5, 0.25]]))
    # Overlap and hull: intersection 1/16, union and hull 1/8. The loss is 1 - (1/2 - 0), twice.
    assert losses.parts["giou"].item() == pytest.approx(2 * 0.5, rel=1e-5)
    # Corners differ by (0, 0, 0.25, 0), on average 1/16, five times.
    assert losses.parts["l1"].item() == pytest.approx(5 / 16, rel=1e-5)
    # The centre (3, 1.5) is nearest to column 3 and row 2 (halves round to even); its radius is below one cell, so
    # that all other cells are misses of heat 0: fourteen with a score of 0.1, one with 0.6.
    misses = 14 * 0.1**2 * math.log(0.9) + 0.6**2 * math.log(0.4)
    assert losses.parts["focal"].item() == pytest.approx(-(0.9**2 * math.log(0.1) + misses), rel=1e-5)
    assert losses.total.item() == pytest.approx(sum(part.item() for part in losses.parts.values()), rel=1e-6)


def test_boxes_apart_cost_more_the_farther_they_are() -> None:
    def giou(x: float) -> float:
        score = torch.full((1, 1, 8, 8), 0.1)
        score[0, 0, 0, 0] = 0.9
        maps = CenterMaps(score, torch.full((1, 2, 8, 8), 0.125), torch.full((1, 2, 8, 8), 0.5))
        return center_objective(maps, torch.tensor([[x, 0.0, 0.125, 0.125]])).parts["giou"].item()

    # Two unit squares with k between them: no overlap, and a hull of 2 + k of which k are nobody's.
    for gap in (0, 1, 4):
        assert giou(0.125 * (1 + gap)) == pytest.approx(2 * (1 + gap / (2 + gap)), rel=1e-5)
