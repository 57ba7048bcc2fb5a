"""A quick look at a system: how well its boxes fit on pairs that training never shows."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from tectum.geometry import from_centered, iou
from tectum.systems.base import System
from tectum.systems.objectives import boxes_at
from tectum.training.material import RawBatch


@torch.inference_mode()
def mean_overlap(system: System, pairs: Iterable[RawBatch], device: torch.device) -> float:
    """Mean overlap of a system's best boxes with the truth, in [0, 1]; absent targets do not count.

    Args:
        system: in evaluation mode, on the device.
        pairs: what it has not seen.
        device: where to compute.
    """
    overlaps = []
    for raw in pairs:
        batch = raw.batch(device, 1.0)
        maps = system(system.embed(batch.template, batch.prompt), batch.search)
        boxes = from_centered(boxes_at(maps, maps.score.flatten(1).argmax(dim=1)))
        overlaps.append(iou(boxes, batch.boxes))
    return float(torch.cat(overlaps).nanmean())
