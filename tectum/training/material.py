"""What training learns from: materials that make pairs, mixed by shares into batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from tectum.errors import RecipeError
from tectum.frames import Modality, Prompt
from tectum.systems.base import Batch, Crops, normalise


@dataclass(frozen=True)
class RawBatch:
    """Pairs as they leave their makers.

    Attributes:
        template: per sense `B×T×T×3`, 8 bit, RGB order.
        search: per sense `B×S×S×3`, 8 bit, RGB order.
        template_boxes: the target `B×4` as `x, y, w, h` in fractions of the template crop's side.
        boxes: the same in the search crop, `nan` where the target is absent.
        text: a sentence per pair, empty where there is none; `None` if no pair has one.
    """

    template: Mapping[Modality, Tensor]
    search: Mapping[Modality, Tensor]
    template_boxes: Tensor
    boxes: Tensor
    text: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.boxes)

    def on(self, device: torch.device) -> RawBatch:
        """The same on a device."""
        return RawBatch(
            {sense: images.to(device, non_blocking=True) for sense, images in self.template.items()},
            {sense: images.to(device, non_blocking=True) for sense, images in self.search.items()},
            self.template_boxes.to(device),
            self.boxes.to(device),
            self.text,
        )

    def batch(self, device: torch.device, progress: float) -> Batch:
        """The batch as systems take it, on a device.

        Args:
            device: where the network is.
            progress: how much of the training is done, in [0, 1].
        """
        return Batch(
            {sense: normalise(images.to(device, non_blocking=True)) for sense, images in self.template.items()},
            {sense: normalise(images.to(device, non_blocking=True)) for sense, images in self.search.items()},
            self.boxes.to(device),
            Prompt(text=self.text, box=self.template_boxes.to(device)),
            progress,
        )


def joined(parts: Sequence[RawBatch]) -> RawBatch:
    """One batch of several with the same senses, one after the other."""
    if len(parts) == 1:
        return parts[0]
    senses = parts[0].search.keys()
    told = any(part.text is not None for part in parts)
    return RawBatch(
        {sense: torch.cat([part.template[sense] for part in parts]) for sense in senses},
        {sense: torch.cat([part.search[sense] for part in parts]) for sense in senses},
        torch.cat([part.template_boxes for part in parts]),
        torch.cat([part.boxes for part in parts]),
        tuple(word for part in parts for word in (part.text or ("",) * len(part))) if told else None,
    )


class Material(Protocol):
    """Something that makes pairs: a world, videos, still pictures."""

    @property
    def name(self) -> str:
        """For messages and logs."""
        ...

    @property
    def senses(self) -> frozenset[Modality]:
        """Those that it has images of; a second sense that it lacks is shown as a copy of RGB, as the field does."""
        ...

    def pairs(self, rng: np.random.Generator, count: int, senses: tuple[Modality, ...], crops: Crops) -> RawBatch:
        """Makes pairs, the same for the same state of `rng`.

        Args:
            rng: the only source of randomness.
            count: how many, at least one.
            senses: which images are wanted, RGB first where it is among them.
            crops: the windows to cut.
        """
        ...


@dataclass(frozen=True)
class Part:
    """One material and its share of every batch."""

    material: Material
    share: float


@dataclass(frozen=True)
class Draw:
    """Pairs that are still to be made.

    Attributes:
        material: what makes them.
        count: how many.
        seed: of their own stream of random numbers.
    """

    material: Material
    count: int
    seed: int

    def pairs(self, senses: tuple[Modality, ...], crops: Crops) -> RawBatch:
        """Makes them; see `Material.pairs`."""
        return self.material.pairs(np.random.default_rng(self.seed), self.count, senses, crops)


class Mixture:
    """Materials mixed by their shares; itself a material.

    Args:
        parts: materials with shares above zero; they need not sum to 1.

    Raises:
        RecipeError: if there is nothing to draw from.
    """

    name = "mixture"

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = tuple(part for part in parts if part.share > 0)
        if not self.parts:
            raise RecipeError("The recipe leaves no pairs to draw: give at least one material a share above zero.")
        total = sum(part.share for part in self.parts)
        self.shares = np.array([part.share / total for part in self.parts])

    @property
    def senses(self) -> frozenset[Modality]:
        """Those of all its materials together."""
        return frozenset[Modality]().union(*(part.material.senses for part in self.parts))

    def draws(self, rng: np.random.Generator, count: int) -> list[Draw]:
        """Draws how many pairs each material makes, as chance and the shares say."""
        counts = rng.multinomial(count, self.shares)
        seeds = rng.integers(2**63, size=len(counts))
        # Each material draws from a stream of its own, so that one does not disturb another.
        return [
            Draw(part.material, int(share), int(seed))
            for part, share, seed in zip(self.parts, counts, seeds, strict=True)
            if share
        ]

    def pairs(self, rng: np.random.Generator, count: int, senses: tuple[Modality, ...], crops: Crops) -> RawBatch:
        """Makes pairs of all materials; see `Material.pairs`."""
        return joined([draw.pairs(senses, crops) for draw in self.draws(rng, count)])
