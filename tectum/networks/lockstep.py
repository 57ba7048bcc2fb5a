"""Transformers that advance block by block beside each other, so that one set of candidates can serve them all.

Source: CKD (Lu et al., "Breaking Modality Gap in RGBT Tracking: Coupled Knowledge Distillation", ACM MM 2024), whose
multi-modal candidate elimination judges by the element-wise maximum of several transformers' attention.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from tectum.networks.elimination import averaged, best_candidates, candidate_attention, narrow, restore, watching_rows
from tectum.networks.vit import Block, JointViT


@dataclass(frozen=True)
class Entrant:
    """A transformer, and what it begins with.

    Attributes:
        transformer: which; all have as many blocks, and eliminate after the same ones.
        template: tokens `B×Nz×C`.
        search: tokens `B×Nx×C`.
        jury: by their place, the entrants whose attention judges this one's candidates, joined by its maximum.
        weights: of the judging template tokens, `B×Nz`, equal if `None`.
    """

    transformer: JointViT
    template: Tensor
    search: Tensor
    jury: tuple[int, ...]
    weights: Tensor | None = None


@dataclass(frozen=True)
class Stage:
    """What the entrants hold after a block.

    Attributes:
        tokens: of each, `B×N×C`, template tokens first; after the last block the search tokens alone, unless the
            template's were asked for.
        kept: which search tokens each has left, `B×K`, ascending; `None` for all.
    """

    tokens: tuple[Tensor, ...]
    kept: tuple[Tensor | None, ...]


def advance(entrants: Sequence[Entrant], keep: float, whole: bool = False) -> Iterator[Stage]:
    """Runs transformers side by side.

    Args:
        entrants: the transformers.
        keep: share of the candidates that each elimination keeps.
        whole: whether to carry the template's tokens through the last block too.

    Yields:
        What they hold after each block.
    """
    config, length = entrants[0].transformer.config, entrants[0].template.shape[1]
    tokens = tuple(torch.cat([each.template, each.search], dim=1) for each in entrants)
    stage = Stage(tokens, (None,) * len(entrants))
    for index in range(config.depth):
        blocks: list[Block] = [each.transformer.blocks[index] for each in entrants]  # type: ignore[misc]
        if index in config.eliminate_at and keep < 1:
            stage = _eliminated(entrants, blocks, stage, keep)
        else:
            first = length if index == config.depth - 1 and not whole else 0
            passed = (block(each, first=first)[0] for block, each in zip(blocks, stage.tokens, strict=True))
            stage = Stage(tuple(passed), stage.kept)
        yield stage


def _eliminated(entrants: Sequence[Entrant], blocks: Sequence[Block], stage: Stage, keep: float) -> Stage:
    """A stage after blocks in which all entrants drop what their juries look at least."""
    config, length = entrants[0].transformer.config, entrants[0].template.shape[1]
    halves = [block.attend(each) for block, each in zip(blocks, stage.tokens, strict=True)]
    rows = watching_rows(config.watch, config.template_side)
    looks = {judge: candidate_attention(*halves[judge][1:], length, rows) for each in entrants for judge in each.jury}
    tokens, kept = [], []
    for entrant, block, (attended, _, _), before in zip(entrants, blocks, halves, stage.kept, strict=True):
        attention = reduce(torch.maximum, (looks[judge] for judge in entrant.jury))
        survivors = best_candidates(averaged(attention, entrant.weights).detach(), keep)
        tokens.append(block.perceive(narrow(attended, length, survivors)))
        kept.append(survivors if before is None else before.gather(1, survivors))
    return Stage(tuple(tokens), tuple(kept))


def final_maps(entrants: Sequence[Entrant], keep: float) -> list[Tensor]:
    """The search regions after all blocks, as `search_maps` has them; no other stage is kept."""
    return search_maps(entrants, deque(advance(entrants, keep), maxlen=1).pop())


def search_maps(entrants: Sequence[Entrant], last: Stage) -> list[Tensor]:
    """The search regions after the last block as maps `B×C×S×S`; eliminated places are zero."""
    maps = []
    for entrant, tokens, kept in zip(entrants, last.tokens, last.kept, strict=True):
        places = entrant.search.shape[1]
        count = places if kept is None else kept.shape[1]
        features: Tensor = entrant.transformer.norm(tokens[:, -count:])
        if kept is not None:
            features = restore(features, kept, places)
        side = entrant.transformer.config.search_side
        maps.append(features.transpose(1, 2).reshape(len(features), -1, side, side))
    return maps
