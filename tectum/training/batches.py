"""Batches of pairs, each made from its own number, so that a run can stop and resume anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset

from tectum.frames import Modality, Prompt
from tectum.geometry import Box, Image
from tectum.systems.base import Batch, normalise
from tectum.training.augmentation import Strengths, own_change, shared_change
from tectum.training.pairs import PairMaker, Shot
from tectum.world.senses import depth_look, event_look, imagined_heat, thermal_look


@dataclass(frozen=True)
class RawBatch:
    """A batch as it leaves the workers.

    Attributes:
        template: per sense `B×T×T×3`, 8 bit.
        search: per sense `B×S×S×3`, 8 bit.
        template_boxes: `B×4` as `x, y, w, h` in fractions of the crop.
        boxes: the same in the search crop, `nan` where the target is absent.
    """

    template: Mapping[Modality, torch.Tensor]
    search: Mapping[Modality, torch.Tensor]
    template_boxes: torch.Tensor
    boxes: torch.Tensor

    def batch(self, device: torch.device, progress: float) -> Batch:
        """The batch as systems take it, on a device."""
        return Batch(
            {sense: normalise(images.to(device)) for sense, images in self.template.items()},
            {sense: normalise(images.to(device)) for sense, images in self.search.items()},
            self.boxes.to(device),
            Prompt(box=self.template_boxes.to(device)),
            progress,
        )


class PairBatches(Dataset[RawBatch]):
    """Batch number `k` of a training, always the same for the same seed.

    Args:
        maker: draws the pairs.
        strengths: of the photometric changes.
        size: pairs in a batch.
        count: number of batches.
        seed: of the training.
        lone: share of batches with RGB alone, for systems that take any senses.
        required: the senses that every batch must show; empty for systems that take any.
    """

    def __init__(
        self,
        maker: PairMaker,
        strengths: Strengths,
        size: int,
        count: int,
        seed: int,
        lone: float,
        required: frozenset[Modality] = frozenset(),
    ) -> None:
        self.maker, self.strengths = maker, strengths
        self.size, self.count, self.seed, self.lone = size, count, seed, lone
        self.required = tuple(sense for sense in Modality if sense in required)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> RawBatch:
        cv2.setNumThreads(0)
        rng = np.random.default_rng((self.seed, index))
        senses = self.required or senses_of_batch(rng, self.lone)
        pairs = [self._pair(rng, senses) for _ in range(self.size)]
        return RawBatch(
            {sense: _stacked([template[sense] for template, _, _, _ in pairs]) for sense in senses},
            {sense: _stacked([search[sense] for _, search, _, _ in pairs]) for sense in senses},
            torch.from_numpy(np.stack([box for _, _, box, _ in pairs])),
            torch.from_numpy(np.stack([box for _, _, _, box in pairs])),
        )

    def _pair(
        self, rng: np.random.Generator, senses: tuple[Modality, ...]
    ) -> tuple[dict[Modality, Image], dict[Modality, Image], npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        template, search = self.maker.pair(rng)
        if rng.random() < 0.5:
            template, search = mirrored(template), mirrored(search)
        seed = int(rng.integers(2**31))
        copied = rng.random() < 0.1
        shots = [sensed(seed, shot, senses, copied) for shot in (template, search)]
        for sense in senses:
            change = shared_change(rng, self.strengths)
            for shot in shots:
                shot[sense] = own_change(rng, self.strengths)(change(shot[sense]))
        return shots[0], shots[1], _fractions(template), _fractions(search)


def senses_of_batch(rng: np.random.Generator, lone: float) -> tuple[Modality, ...]:
    """Which senses one batch shows a system that takes any: RGB alone, RGB with a second one, or a second one alone.

    Args:
        rng: source of randomness.
        lone: share of batches with RGB alone.
    """
    if rng.random() < lone:
        return (Modality.RGB,)
    second = (Modality.THERMAL, Modality.DEPTH, Modality.EVENT)[int(rng.choice(3, p=(0.6, 0.2, 0.2)))]
    return (second,) if rng.random() < 0.15 else (Modality.RGB, second)


def sensed(seed: int, shot: Shot, senses: tuple[Modality, ...], copied: bool) -> dict[Modality, Image]:
    """What each sense sees of a shot; both shots of a pair are seen alike by giving the same seed.

    Args:
        seed: of what a sense chooses at random.
        shot: the crop.
        senses: which are wanted.
        copied: whether the second sense is a copy of the colours, as when a sensor drops out.
    """
    seen: dict[Modality, Image] = {}
    for sense in senses:
        rng = np.random.default_rng((seed, list(Modality).index(sense)))
        if sense is Modality.RGB or (copied and Modality.RGB in senses):
            seen[sense] = shot.image
        elif sense is Modality.THERMAL:
            heat = shot.heat if shot.heat is not None else imagined_heat(rng, shot.image, shot.mask)
            seen[sense] = thermal_look(rng, heat)
        elif sense is Modality.DEPTH:
            seen[sense] = depth_look(rng, shot.image, shot.mask)
        else:
            seen[sense] = event_look(rng, shot.image)
    return seen


def mirrored(shot: Shot) -> Shot:
    """The shot seen in a mirror."""
    side = shot.image.shape[1]
    box = None if shot.box is None else Box(side - shot.box.x - shot.box.w, shot.box.y, shot.box.w, shot.box.h)
    return Shot(
        np.ascontiguousarray(shot.image[:, ::-1]),
        box,
        None if shot.heat is None else np.ascontiguousarray(shot.heat[:, ::-1]),
        None if shot.mask is None else np.ascontiguousarray(shot.mask[:, ::-1]),
    )


def _fractions(shot: Shot) -> npt.NDArray[np.float32]:
    if shot.box is None:
        return np.full(4, np.nan, np.float32)
    return np.asarray(np.array(shot.box) / shot.image.shape[1], np.float32)


def _stacked(images: list[Image]) -> torch.Tensor:
    return torch.from_numpy(np.stack(images))
