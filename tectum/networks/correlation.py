"""Ways to compare a template's features with a search region's."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def matching(search: Tensor, template: Tensor, sharpness: Tensor) -> Tensor:
    """Probability that a cell of the search shows the same thing as a cell of the template.

    Args:
        search: `B×C×H×W`.
        template: `B×C×h×w`.
        sharpness: factor on the cosine similarity before the softmax over the template's cells.

    Returns:
        `B×hw×H×W`, summing to one over the second axis.
    """
    batch, _, height, width = search.shape
    x = F.normalize(search.flatten(2), dim=1)
    z = F.normalize(template.flatten(2), dim=1)
    similarity = torch.bmm(z.transpose(1, 2), x) * sharpness
    return similarity.softmax(dim=1).view(batch, -1, height, width)


def votes(match: Tensor, side: int) -> Tensor:
    """Lets every matched cell vote for where the template's centre would then be (a generalised Hough vote).

    Args:
        match: weights `B×side²×H×W` of each template cell at each search cell.
        side: cells along each side of the template.

    Returns:
        Votes `B×1×H×W`, divided by the number of template cells. The template's cell `(side // 2, side // 2)`
        counts as its centre.
    """
    height, width = match.shape[-2:]
    reversed_cells = match.flip(1).flatten(2)
    margin = side - 1
    total = F.fold(reversed_cells, (height + margin, width + margin), kernel_size=side)
    start = side - 1 - side // 2
    return total[..., start : start + height, start : start + width] / side**2
