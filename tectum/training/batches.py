"""Batches of pairs, each made from its own number, so that a run can stop, resume and be shared anywhere."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset

from tectum.errors import RecipeError
from tectum.frames import Modality
from tectum.systems.base import Crops
from tectum.training.material import Draw, Material, Mixture, RawBatch, joined


class Purpose(IntEnum):
    """What a stream of random numbers is for; streams of different purposes have nothing in common."""

    PAIRS = 0
    SENSES = 1
    HELD_OUT = 2
    NETWORK = 3


@dataclass(frozen=True)
class Division:
    """How a batch is divided over processes and forward passes.

    Attributes:
        size: pairs in a batch.
        group: pairs that are drawn together.
        processes: that share each batch.
        process: this one's number.
        passes: forward passes of each process for a batch.
    """

    size: int
    group: int
    processes: int = 1
    process: int = 0
    passes: int = 1

    def groups(self, number: int) -> range:
        """The groups of this process's forward pass `number`."""
        each = -(-self.size // self.group) // (self.processes * self.passes)
        first = (self.process * self.passes + number) * each
        return range(first, first + each)

    def count(self, group: int) -> int:
        """Pairs in a group; the last one may be smaller."""
        return min(self.group, self.size - group * self.group)

    @property
    def largest(self) -> int:
        """The most pairs in one forward pass."""
        return min(self.size, len(self.groups(0)) * self.group)


def divide(size: int, group: int, micro: int | None, processes: int = 1, process: int = 0) -> Division:
    """Divides batches evenly, by whole groups, into as few forward passes as `micro` allows.

    Args:
        size: pairs in a batch.
        group: pairs that are drawn together.
        micro: the most pairs in one forward pass, any number if `None`.
        processes: that share each batch.
        process: this one's number.

    Raises:
        RecipeError: if whole groups cannot be divided so.
    """
    if processes == 1 and (micro is None or micro >= size):
        return Division(size, group)
    share = size // processes
    passes = -(-share // min(micro or share, share)) if share else 1
    if size % (group * processes * passes):
        raise RecipeError(
            f"Batches of {size} pairs, drawn {group} at a time, cannot be divided over {processes} processes with "
            f"{passes} forward passes each: make batch.size a multiple of {group * processes * passes}."
        )
    return Division(size, group, processes, process, passes)


@dataclass(frozen=True)
class SenseDraw:
    """Which senses each batch shows.

    Attributes:
        shares: of the batches, by senses; they sum to 1.
        seed: of the training.
    """

    shares: Mapping[tuple[Modality, ...], float]
    seed: int

    def __call__(self, batch: int) -> tuple[Modality, ...]:
        """The senses of a batch, the same in every process."""
        rng = np.random.default_rng((self.seed, Purpose.SENSES, batch))
        return tuple(self.shares)[int(rng.choice(len(self.shares), p=tuple(self.shares.values())))]


def any_material(material: Material) -> bool:
    """Chooses all materials."""
    return True


@dataclass(frozen=True)
class Batches(Dataset[RawBatch | None]):
    """The forward passes of a training in their order, each always the same for the same seed.

    Group `g` of batch `k` is drawn from a stream that only `seed`, `k` and `g` determine.

    Attributes:
        mixture: makes the pairs.
        division: of the batches.
        senses: tells what a batch shows.
        crops: the windows to cut.
        seed: of the training.
        count: batches in all.
        purpose: of the streams.
        chosen: which materials are made here; the pairs of others are left out.
    """

    mixture: Mixture
    division: Division
    senses: Callable[[int], tuple[Modality, ...]]
    crops: Crops
    seed: int
    count: int
    purpose: Purpose = Purpose.PAIRS
    chosen: Callable[[Material], bool] = any_material

    def __len__(self) -> int:
        return self.count * self.division.passes

    def __getitem__(self, index: int) -> RawBatch | None:
        """Forward pass number `index` of this process; `None` if no pair of it is made here."""
        batch, number = divmod(index, self.division.passes)
        draws = [draw for group in self.division.groups(number) for draw in self._draws(batch, group)]
        senses = self.senses(batch)
        made = [draw.pairs(senses, self.crops) for draw in draws if self.chosen(draw.material)]
        return joined(made) if made else None

    def _draws(self, batch: int, group: int) -> list[Draw]:
        rng = np.random.default_rng((self.seed, self.purpose, batch, group))
        return self.mixture.draws(rng, self.division.count(group))


def prepare_worker(number: int) -> None:
    """Keeps a worker process to one core, and leaves it to the training process to heed signals and end it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
