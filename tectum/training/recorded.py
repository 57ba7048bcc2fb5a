"""Recorded images as a material: pairs cut out of videos, stills and shards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count as counting
from typing import Protocol

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import get_worker_info

from tectum.errors import BenchmarkError, SourceError
from tectum.frames import Modality
from tectum.geometry import Box, Crop, Image
from tectum.sources import DepthRendering
from tectum.systems.base import Crops
from tectum.training.breakage import Breakage
from tectum.training.decoding import Stored, look
from tectum.training.jitter import Jitter, mirrored, mirrored_box
from tectum.training.material import RawBatch
from tectum.training.photometry import Photometry


@dataclass(frozen=True)
class Shot:
    """One moment and its target.

    Attributes:
        images: by sense, RGB among them.
        box: around which crops are cut, in pixels of RGB.
        depth: how depth becomes an image.
    """

    images: Mapping[Modality, Stored]
    box: Box
    depth: DepthRendering = field(default_factory=DepthRendering)


@dataclass(frozen=True)
class Draw:
    """Two shots of one target.

    Attributes:
        template: the earlier one.
        search: the later one, or one without the target.
        text: a sentence that names the target, empty where there is none.
        absent: whether the search shot lacks the target.
    """

    template: Shot
    search: Shot
    text: str = ""
    absent: bool = False


class Source(Protocol):
    """Where pairs are drawn from."""

    @property
    def name(self) -> str:
        """For messages and logs."""
        ...

    @property
    def senses(self) -> frozenset[Modality]:
        """Those that it has images of."""
        ...

    def draw(self, rng: np.random.Generator) -> Draw:
        """Draws a pair, the same for the same state of `rng`.

        Raises:
            BenchmarkError: if what is drawn is missing or damaged.
            SourceError: if it cannot be read.
        """
        ...


@dataclass(frozen=True)
class _Pair:
    template: Mapping[Modality, Image]
    search: Mapping[Modality, Image]
    template_box: Box
    box: Box
    text: str


@dataclass(frozen=True, eq=False)
class Recorded:
    """Pairs cut out of recorded images, as tracking would cut them.

    A pair whose image is broken is replaced by another draw, the same on every run.

    Attributes:
        source: what is drawn from.
        jitter: of the search crops.
        photometry: how light and lens change pictures.
    """

    source: Source
    jitter: Jitter = field(default_factory=Jitter)
    photometry: Photometry = field(default_factory=Photometry)
    breakage: Breakage = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "breakage", Breakage(self.name))

    @property
    def name(self) -> str:
        """The source's."""
        return self.source.name

    @property
    def senses(self) -> frozenset[Modality]:
        """The source's."""
        return self.source.senses

    def pairs(self, rng: np.random.Generator, count: int, senses: tuple[Modality, ...], crops: Crops) -> RawBatch:
        """Cuts pairs; see `Material.pairs`.

        Raises:
            SourceError: if more than one in a hundred images is broken.
        """
        if get_worker_info() is not None:
            # Workers are many already, each with a core of its own.
            cv2.setNumThreads(0)
        seeds = rng.integers(2**63, size=count)
        made = [self._pair(int(seed), senses, crops) for seed in seeds]
        texts = tuple(pair.text for pair in made)
        return RawBatch(
            {sense: _stacked([pair.template[sense] for pair in made]) for sense in senses},
            {sense: _stacked([pair.search[sense] for pair in made]) for sense in senses},
            _fractions([pair.template_box for pair in made], crops.template_size),
            _fractions([pair.box for pair in made], crops.search_size),
            texts if any(texts) else None,
        )

    def _pair(self, seed: int, senses: tuple[Modality, ...], crops: Crops) -> _Pair:
        for attempt in counting():
            rng = np.random.default_rng((seed, attempt))
            self.breakage.read += 2 * len(senses)
            try:
                return self._cut(rng, self.source.draw(rng), senses, crops)
            except (BenchmarkError, SourceError) as error:
                self.breakage.add(error)
        raise AssertionError("a run with nothing but broken images was not stopped")

    def _cut(self, rng: np.random.Generator, draw: Draw, senses: tuple[Modality, ...], crops: Crops) -> _Pair:
        around = self.jitter.moved(rng, draw.search.box)
        windows = (
            Crop.around(draw.template.box, crops.template_factor, crops.template_size),
            Crop.around(around, crops.search_factor, crops.search_size),
        )
        shots = (draw.template, draw.search)
        boxes = [window.into(shot.box) for window, shot in zip(windows, shots, strict=True)]
        views = [look(shot.images, senses, window, shot.depth) for shot, window in zip(shots, windows, strict=True)]
        if self.jitter.flips(rng, draw.text):
            views = [{sense: mirrored(image) for sense, image in view.items()} for view in views]
            boxes = [mirrored_box(box, window.size) for box, window in zip(boxes, windows, strict=True)]
        pairs = {sense: self.photometry.changed(rng, sense, views[0][sense], views[1][sense]) for sense in senses}
        return _Pair(
            {sense: pair[0] for sense, pair in pairs.items()},
            {sense: pair[1] for sense, pair in pairs.items()},
            boxes[0],
            Box(*[float("nan")] * 4) if draw.absent else boxes[1],
            draw.text,
        )


def _stacked(images: list[Image]) -> Tensor:
    return torch.from_numpy(np.stack(images))


def _fractions(boxes: list[Box], side: int) -> Tensor:
    return torch.from_numpy((np.array(boxes) / side).astype(np.float32))
