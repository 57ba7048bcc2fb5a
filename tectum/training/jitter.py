"""Where the target lies in a search crop: the field's jitter, and mirrors."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np

from tectum.geometry import Box, Image

_SIDES = re.compile(r"\b(left|right)", re.IGNORECASE)


@dataclass(frozen=True)
class Jitter:
    """How far a search crop is from the one that tracking would cut around the target.

    The field's definition (pytracking, and OSTrack after it): width and height are multiplied by `exp(scale * n)`,
    with a normal `n` for each, and the middle moves by up to half of `center` times the root of the new area, across
    and down. With a search factor above `center` the target's middle stays in the crop.

    Attributes:
        center: of the middle, in sizes of the target.
        scale: standard deviation of the logarithm of width and height.
        flip: share of pairs that are mirrored, template and search alike.
    """

    center: float = 3.0
    scale: float = 0.25
    flip: float = 0.5

    def moved(self, rng: np.random.Generator, box: Box) -> Box:
        """The box around which the search crop is cut instead of the target's."""
        across, down = np.exp(self.scale * rng.standard_normal(2))
        w, h = box.w * float(across), box.h * float(down)
        reach = self.center * math.sqrt(w * h)
        x, y = (middle + reach * float(rng.random() - 0.5) for middle in box.center)
        return Box(x - w / 2, y - h / 2, w, h)

    def flips(self, rng: np.random.Generator, text: str) -> bool:
        """Whether a pair is mirrored; one whose sentence speaks of left or right never is."""
        drawn = rng.random() < self.flip
        return bool(drawn) and not _SIDES.search(text)


def mirrored(image: Image) -> Image:
    """The image `H×W×3` with left and right exchanged."""
    return np.ascontiguousarray(image[:, ::-1])


def mirrored_box(box: Box, side: float) -> Box:
    """A box in the mirrored image of width `side`."""
    return Box(side - box.x - box.w, box.y, box.w, box.h)
