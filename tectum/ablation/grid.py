"""The grid of a table: every variant with every seed is a run with a recipe and a folder of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from tectum.ablation.table import Table, Variant
from tectum.errors import RecipeError, TectumError
from tectum.training.folder import comparable
from tectum.training.recipe import Initial, Recipe
from tectum.training.recipe_file import read_recipe
from tectum.weights import bundled


@dataclass(frozen=True)
class Run:
    """One variant with one seed.

    Attributes:
        variant: which.
        seed: of weights and pairs.
        recipe: complete, with the budget; where bundled weights are tried, only the system and its senses.
        full: pairs that the recipe would see without the budget; 0 where bundled weights are tried.
        folder: where it is kept.
        source: the folder of the run whose weights it tries; its own if they are of no other run.
    """

    variant: Variant
    seed: int
    recipe: Recipe
    full: int
    folder: Path
    source: Path

    @property
    def name(self) -> str:
        """For messages and tables of results."""
        return f"{self.variant.name}, seed {self.seed}"

    @property
    def trains(self) -> bool:
        """Whether it trains weights of its own."""
        return self.variant.borrowed is None

    @property
    def samples(self) -> int:
        """Pairs that it sees, or that the weights have seen in this study which it tries."""
        return self.recipe.batches * self.recipe.batch.size if self.full else 0

    @cached_property
    def digest(self) -> str:
        """SHA-256 over all that decides its weights, and how they are tried."""
        return hashlib.sha256(f"{comparable(self.recipe)}{self.variant.trial}".encode()).hexdigest()


def lay_out(table: Table, out: Path) -> tuple[Run, ...]:
    """All runs, seed by seed, so that what is done first can be compared.

    Args:
        table: variants and seeds.
        out: the folder of the study; that of a run is `OUT/VARIANT/SEED`.

    Raises:
        RecipeError: if the recipe, or that of a variant, cannot be read, or the budget is too small for it, or there
            are no bundled weights where a variant asks for them.
    """
    read_recipe(table.recipe, list(table.given))
    full = {each.name: _resolved(table, each) for each in table.variants if each.weights_of is None}
    return tuple(
        _run(table, variant, full[variant.weights_of or variant.name], seed, out)
        for seed in table.seeds
        for variant in table.variants
    )


def budget_label(runs: Iterable[Run]) -> str:
    """How much each run sees, and whether that is less than its recipe asks for."""
    lengths = list(dict.fromkeys((run.samples, run.full) for run in runs if run.full))
    if not lengths:
        return "Nothing is trained."
    shortened = any(samples < full for samples, full in lengths)
    said = " or ".join(_length(samples, full) for samples, full in lengths)
    return f"Reduced budget: {said} samples per run." if shortened else f"{said} samples per run."


def grouped(number: int) -> str:
    """A number with spaces between its thousands."""
    return f"{number:,}".replace(",", " ")


def counted(number: int, noun: str) -> str:
    """Such as `1 seed` or `2 batches`."""
    several = f"{noun}es" if noun.endswith("ch") else f"{noun}s"
    return f"{number} {noun if number == 1 else several}"


def _length(samples: int, full: int) -> str:
    return grouped(samples) if samples == full else f"{grouped(samples)} of {grouped(full)}"


def _run(table: Table, variant: Variant, full: Recipe, seed: int, out: Path) -> Run:
    owner = variant if variant.weights_of is None else table.variant(variant.weights_of)
    length = full.batches * full.batch.size if owner.weights is None else 0
    recipe = _within(full, table, owner) if length else full
    folders = (out / each.folder / str(seed) for each in (variant, owner))
    return Run(variant, seed, replace(recipe, seed=seed), length, *folders)


def _resolved(table: Table, variant: Variant) -> Recipe:
    """A variant's recipe; what it validates on by the way would cost time and decide nothing."""
    changes = [*table.changes, *variant.changes, *table.given]
    try:
        recipe = read_recipe(variant.recipe or table.recipe, changes)
        if variant.weights is not None:
            bundled(variant.weights, recipe.second)
            return Recipe(variant.weights, recipe.second, initial=Initial(variant.weights))
    except TectumError as error:
        # The settings of a table are the command line of its recipes.
        said = str(error).replace(" on the command line", "")
        raise RecipeError(f"{variant.origin}, variant '{variant.name}': {said}") from None
    watched = replace(recipe.validation, benchmark=None, best=None, every=recipe.schedule.epochs)
    return replace(recipe, validation=watched, expect={})


def _within(recipe: Recipe, table: Table, variant: Variant) -> Recipe:
    """The same recipe with shorter epochs: warm-ups and drops of the learning rate stay where they are among them.

    Raises:
        RecipeError: if there is not a batch for each epoch.
    """
    if table.budget is None:
        return recipe
    epochs, size = recipe.schedule.epochs, recipe.batch.size
    if table.budget < epochs * size:
        raise RecipeError(
            f"{table.budget_origin or table.origin}: a budget of {grouped(table.budget)} is less than a batch of "
            f"{size} in each epoch, of which variant '{variant.name}' has {epochs}: give {grouped(epochs * size)} "
            "samples or more, or change schedule.epochs or batch.size."
        )
    return replace(recipe, schedule=replace(recipe.schedule, samples=table.budget // epochs))
