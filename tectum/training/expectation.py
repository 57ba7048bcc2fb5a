"""Whether a finished run reached the scores that its recipe promises."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from tectum.errors import RecipeError
from tectum.training.recipe import Recipe


@dataclass(frozen=True)
class Finding:
    """One score against what was expected.

    Attributes:
        name: of the score.
        expected: its value.
        tolerance: by how much it may differ.
        found: what the run reached, `nan` where it was not scored, such as on images of a sense it does not take.
    """

    name: str
    expected: float
    tolerance: float
    found: float

    @property
    def holds(self) -> bool:
        """Whether the run is within the tolerance; a much better score too says that something differs."""
        return abs(self.found - self.expected) <= self.tolerance

    @property
    def verdict(self) -> str:
        """`holds`, `missed`, or `not scored`."""
        if math.isnan(self.found):
            return "not scored"
        return "holds" if self.holds else "missed"


def findings(recipe: Recipe, batch: int, scores: Mapping[str, float]) -> list[Finding]:
    """Compares a run with its recipe.

    Args:
        recipe: what it promises.
        batch: after which the scores were taken.
        scores: of the run.

    Raises:
        RecipeError: if the recipe promises nothing, the run is not finished, or it has none of the scores.
    """
    if not recipe.expect:
        raise RecipeError("The recipe expects no scores: write them under expect, each with its tolerance.")
    if batch < recipe.batches:
        raise RecipeError(f"The run is at batch {batch} of {recipe.batches}: finish it before it is checked.")
    if not recipe.expect.keys() & scores.keys():
        raise RecipeError(
            f"The run has none of the scores that its recipe expects ({', '.join(recipe.expect)}): name those that its "
            f"validation gives ({', '.join(scores)})."
        )
    return [
        Finding(name, expected, tolerance, scores.get(name, math.nan))
        for name, (expected, tolerance) in recipe.expect.items()
    ]
