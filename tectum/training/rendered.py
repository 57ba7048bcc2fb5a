"""The procedural world as a material, rendered on the device that trains."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tectum.frames import Modality
from tectum.systems.base import Crops
from tectum.training.material import RawBatch
from tectum.world.pairs import Lens, Ranges, Stock, render, write_script


@dataclass(frozen=True, eq=False)
class Rendered:
    """Pairs of the procedural world.

    Attributes:
        stock: what they are composed from; where its tensors are, there they are rendered.
        ranges: how pairs vary.
        lens: how strongly light and lens change pictures.
    """

    stock: Stock
    ranges: Ranges = field(default_factory=Ranges)
    lens: Lens = field(default_factory=Lens)
    name: str = "world"
    senses: frozenset[Modality] = frozenset(Modality)

    def pairs(self, rng: np.random.Generator, count: int, senses: tuple[Modality, ...], crops: Crops) -> RawBatch:
        """Renders pairs; see `Material.pairs`."""
        sizes = (crops.template_size, crops.search_size)
        factors = (crops.template_factor, crops.search_factor)
        script = write_script(rng, self.stock, count, sizes, factors, self.ranges)
        made = render(self.stock, script, senses, int(rng.integers(2**31)), self.lens)
        return RawBatch(made.template, made.search, made.template_boxes, made.search_boxes)
