"""Comparisons of template and search features, and the small blocks that make them."""

from __future__ import annotations

import pytest
import torch

from tectum.networks.correlation import matching, votes
from tectum.networks.separable import Residual


def test_each_cell_is_matched_to_the_template_cell_that_looks_like_it() -> None:
    template = torch.eye(16).view(1, 16, 4, 4)
    order = torch.randperm(16, generator=torch.Generator().manual_seed(0))
    search = template.flatten(2)[:, :, order].view(1, 16, 4, 4)
    match = matching(3 * search, template, torch.tensor(50.0))
    torch.testing.assert_close(match.sum(dim=1), torch.ones(1, 4, 4))
    assert match.flatten(2).argmax(dim=1)[0].tolist() == order.tolist()


@pytest.mark.parametrize("side", [3, 4])
@pytest.mark.parametrize(("row", "column"), [(4, 4), (5, 3)])
def test_all_parts_of_the_target_vote_for_its_centre(side: int, row: int, column: int) -> None:
    match = torch.zeros(1, side * side, 9, 9)
    for down in range(side):
        for across in range(side):
            match[0, down * side + across, row + down - side // 2, column + across - side // 2] = 1
    counted = votes(match, side)
    assert counted.shape == (1, 1, 9, 9)
    assert divmod(int(counted.argmax()), 9) == (row, column)
    assert counted.max() == 1


def test_a_fresh_residual_block_passes_its_input_on() -> None:
    block = Residual(8)
    torch.nn.init.zeros_(block.pointwise.bias)
    features = torch.randn(2, 8, 5, 5)
    torch.testing.assert_close(block(features), features)
