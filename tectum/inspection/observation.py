"""What a system did in one frame, as arrays over the places of its search region."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import reduce

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tectum.frames import Modality
from tectum.geometry import Image
from tectum.inspection.watching import Evidence, Pass
from tectum.networks.elimination import (
    averaged,
    best_candidates,
    box_weights,
    candidate_attention,
    watching_rows,
)
from tectum.networks.vit import ViTConfig
from tectum.systems.base import DEVIATION, MEAN, System
from tectum.systems.ckd import CKD

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Observation:
    """What a system did in one frame.

    A stream is what has tokens of its own: a sense, or several that are one from the start. Places are those of the
    search region, `S×S`, row by row.

    Attributes:
        streams: their names, such as `rgb` and `thermal`, or `rgb + thermal`.
        views: the search crops as the system saw them, by sense.
        score: the score map, in [0, 1].
        attention: how much the template's tokens on the target look at each place, averaged over them and over heads,
            `blocks×streams×S×S`; `nan` where a place has been eliminated. Without transformers there are no blocks.
        kept: which places are left after each elimination, `eliminations×streams×S×S`.
        eliminated_after: the blocks (from 0) in which these took place.
        layers: normalised features that each block reads, `blocks×streams×C×S×S`, `nan` where eliminated.
        features: the last that was seen of each stream by itself, `streams×C×S×S`, `nan` where eliminated. Without
            streams there are none.
        left_out: what cannot be seen of this system, a sentence each.
    """

    streams: tuple[str, ...]
    views: dict[Modality, Image]
    score: Array
    attention: Array
    kept: npt.NDArray[np.bool_]
    eliminated_after: tuple[int, ...]
    layers: Array
    features: Array
    left_out: tuple[str, ...] = ()


@dataclass
class Course:
    """Tokens of all streams on their way through the blocks, as far as they have come.

    Attributes:
        config: of the transformers.
        judges: weights of the template's tokens where the targets' boxes judge, `1×Nz`; equal if `None`.
        together: whether all streams decide together what is eliminated.
        kept: which places each stream has left, `1×K`; `None` for all.
    """

    config: ViTConfig
    judges: Tensor | None
    together: bool
    kept: list[Tensor | None]
    layers: list[Tensor] = field(default_factory=list)
    attention: list[Tensor] = field(default_factory=list)
    masks: list[Tensor] = field(default_factory=list)

    @property
    def length(self) -> int:
        """Tokens of the template."""
        return self.config.template_side**2

    def advance(self, index: int, passes: list[Pass], target: Tensor) -> None:
        """Takes in a block.

        Args:
            index: number of the block.
            passes: those through it, in their order.
            target: weights of the template's tokens on the target, `1×Nz`.
        """
        everyone, watched = tuple(range(self.length)), watching_rows(self.config.watch, self.config.template_side)
        projected = [each.attention.project(each.tokens)[:2] for each in passes]
        looks = self._rows([candidate_attention(*pair, self.length, everyone) for pair in projected])
        tokens = self._rows([each.tokens[:, self.length :] for each in passes])
        self.layers.append(self._grids(tokens))
        self.attention.append(self._grids([averaged(look, target)[..., None] for look in looks])[:, 0])
        if index in self.config.eliminate_at and self.config.keep < 1:
            judging = self._rows([candidate_attention(*pair, self.length, watched) for pair in projected])
            self._eliminate(judging)

    def _rows(self, batches: list[Tensor]) -> list[Tensor]:
        """One tensor for each stream: of what follows, such as passes in which streams look at each other, none."""
        return _singles(batches)[: len(self.kept)]

    def _eliminate(self, looks: list[Tensor]) -> None:
        if self.together:
            looks = [reduce(torch.maximum, looks)] * len(looks)
        for stream, look in enumerate(looks):
            survivors, before = best_candidates(averaged(look, self.judges), self.config.keep), self.kept[stream]
            self.kept[stream] = survivors if before is None else before.gather(1, survivors)
        places = [
            torch.ones_like(each[0], dtype=torch.float32)[None, :, None] for each in self.kept if each is not None
        ]
        self.masks.append(~self._grids(places)[:, 0].isnan())

    def _grids(self, tokens: list[Tensor]) -> Tensor:
        """Tokens `1×K×C` of each stream at their places, `streams×C×S×S`, with `nan` at the others."""
        return torch.cat([on_grid(each, kept, self.config) for each, kept in zip(tokens, self.kept, strict=True)])

    def last(self, evidence: Evidence) -> Tensor:
        """The last that was seen of each stream by itself, `streams×C×S×S`.

        It leaves the last norm, or, where streams are joined before that, it is what the last pass through the last
        block reads.
        """
        final = _singles(evidence.final)
        if len(final) != len(self.kept):
            batches = [each.tokens for each in evidence.passes if each.block == self.config.depth - 1]
            final = _singles(batches)[-len(self.kept) :]
        counts = [self.config.search_side**2 if kept is None else kept.shape[1] for kept in self.kept]
        return self._grids([tokens[:, -count:] for tokens, count in zip(final, counts, strict=True)])


def _singles(batches: list[Tensor]) -> list[Tensor]:
    """The samples of all batches, each a batch of 1."""
    return [sample for batch in batches for sample in batch.chunk(len(batch))]


def on_grid(tokens: Tensor, kept: Tensor | None, config: ViTConfig) -> Tensor:
    """Puts search tokens `1×K×C` at their places `1×K`, `nan` at the others: `1×C×S×S`."""
    side = config.search_side
    if kept is not None:
        places = tokens.new_full((1, side**2, tokens.shape[2]), torch.nan)
        tokens = places.scatter(1, kept[..., None].expand_as(tokens), tokens)
    return tokens.transpose(1, 2).reshape(1, -1, side, side)


def observe(system: System, evidence: Evidence, target: Tensor) -> Observation:
    """Makes arrays of what was noted while a system looked for one target.

    Args:
        system: which was watched.
        evidence: what was noted.
        target: the target in the template crop, `1×4` as `x, y, w, h` in fractions of the crop's side.

    Raises:
        ValueError: if the system was not called.
    """
    if evidence.maps is None or evidence.template is None:
        raise ValueError("Nothing was noted: let the system look at a frame while it is watched.")
    senses = [sense for sense in Modality if sense in evidence.search]
    views = {sense: picture(evidence.search[sense][0]) for sense in senses}
    score = _array(evidence.maps.score[0, 0])
    if evidence.vit is not None and evidence.passes:
        return _of_transformers(system, evidence, evidence.vit, target, views, score)
    features = _array(torch.cat(evidence.gated)) if evidence.gated else np.zeros((0, 0, *score.shape), np.float32)
    streams = tuple(senses) if len(features) == len(senses) else ()
    empty = np.zeros((0, len(streams), *score.shape), np.float32)
    layers = np.zeros((0, *features.shape), np.float32)
    missing = ["There is no attention and no elimination: the system has no transformer."]
    missing += _one_stream(streams, senses) if streams else ["There are no features: nothing tells where to find them."]
    return Observation(streams, views, score, empty, empty.astype(bool), (), layers, features, tuple(missing))


def _of_transformers(
    system: System, evidence: Evidence, config: ViTConfig, target: Tensor, views: dict[Modality, Image], score: Array
) -> Observation:
    senses = tuple(views)
    beginning = sum(len(each.tokens) for each in evidence.passes if each.block == 0)
    streams = senses if beginning >= len(senses) else (" + ".join(senses),)
    judges = next((each for name, each in (evidence.template or {}).items() if name.endswith("weights")), None)
    together = isinstance(system, CKD) and system.config.judged_together
    course = Course(config, judges, together, [None] * len(streams))
    weights = box_weights(target, config.template_side)
    for index in range(config.depth):
        course.advance(index, [each for each in evidence.passes if each.block == index], weights)
    side = config.search_side
    kept = torch.stack(course.masks) if course.masks else torch.zeros(0, len(streams), side, side, dtype=torch.bool)
    after = tuple(sorted(config.eliminate_at)) if course.masks else ()
    missing = [] if course.masks else ["There is no elimination: the system keeps all candidates."]
    return Observation(
        streams=streams,
        views=views,
        score=score,
        attention=_array(torch.stack(course.attention)),
        kept=kept.cpu().numpy(),
        eliminated_after=after,
        layers=_array(torch.stack(course.layers)),
        features=_array(course.last(evidence)),
        left_out=(*missing, *_one_stream(streams, senses)),
    )


def _one_stream(streams: tuple[str, ...], senses: tuple[str, ...] | list[Modality]) -> list[str]:
    """What there cannot be where senses have no streams of their own."""
    if len(streams) > 1:
        return []
    if len(senses) > 1:
        return ["Nothing compares the senses: the system makes one stream of them before its first block."]
    return ["Nothing compares senses: the system sees only one."]


def picture(view: Tensor) -> Image:
    """The crop `S×S×3`, 8 bit, that a view `3×S×S` was made of."""
    colours = view.cpu() * DEVIATION[:, None, None] + MEAN[:, None, None]
    return (255 * colours).round().clamp(0, 255).byte().permute(1, 2, 0).numpy()


def _array(tensor: Tensor) -> Array:
    return tensor.float().cpu().numpy()
