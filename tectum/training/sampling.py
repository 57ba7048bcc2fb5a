"""Which two moments of a sequence make a pair."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tectum.errors import RecipeError

Moments = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Sampling:
    """How sequences and their moments are drawn.

    Attributes:
        gap: most frames between template and search (200 in the OSTrack family).
        causal: whether the search is always later than the template.
        by_length: whether a sequence is drawn as often as it has frames; else all as often.
        absent: share of pairs whose search crop shows another sequence, without the target.
    """

    gap: int = 200
    causal: bool = True
    by_length: bool = False
    absent: float = 0.0

    def __post_init__(self) -> None:
        if self.gap < 1:
            raise RecipeError(f"The gap between template and search must be 1 frame or more, not {self.gap}.")

    def moments(self, rng: np.random.Generator, visible: Moments) -> tuple[int, int]:
        """A template and a search moment.

        A moment that has no other one within the gap serves as a still image if there are none but such.

        Args:
            rng: source of randomness.
            visible: the moments that show the target, rising, at least one.
        """
        later = np.searchsorted(visible, visible + self.gap, side="right")
        places = np.arange(len(visible))
        first = places if self.causal else np.searchsorted(visible, visible - self.gap)
        partners = later - first - 1
        able = np.flatnonzero(partners)
        if not len(able):
            alone = int(visible[rng.integers(len(visible))])
            return alone, alone
        template = int(able[rng.integers(len(able))])
        search = int(first[template] + rng.integers(partners[template]))
        # The template's own place is left out.
        search += search >= template
        return int(visible[template]), int(visible[search])
