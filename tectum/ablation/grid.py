"""The grid of a table: every variant with every seed is a run with a recipe and a folder of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from tectum.ablation.table import Table, Variant
from tectum.errors import RecipeError
from tectum.training.folder import comparable
from tectum.training.recipe import Recipe
from tectum.training.recipe_file import read_recipe


@dataclass(frozen=True)
class Run:
    """One variant with one seed.

    Attributes:
        variant: which.
        seed: of weights and pairs.
        recipe: complete, with the budget.
        full: pairs that the recipe would see without the budget.
        folder: where it is kept.
        source: the folder of the run whose weights it tries; its own if it trains.
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
        return self.folder == self.source

    @property
    def samples(self) -> int:
        """Pairs that it sees, or that the weights have seen which it tries."""
        return self.recipe.batches * self.recipe.batch.size

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
        RecipeError: if the recipe, or that of a variant, cannot be read, or the budget is too small for it.
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
    lengths = list(dict.fromkeys((run.samples, run.full) for run in runs))
    shortened = any(samples < full for samples, full in lengths)
    said = " or ".join(_length(samples, full) for samples, full in lengths)
    return f"Reduced budget: {said} samples per run." if shortened else f"{said} samples per run."


def grouped(number: int) -> str:
    """A number with spaces between its thousands."""
    return f"{number:,}".replace(",", " ")


def _length(samples: int, full: int) -> str:
    return grouped(samples) if samples == full else f"{grouped(samples)} of {grouped(full)}"


def _run(table: Table, variant: Variant, full: Recipe, seed: int, out: Path) -> Run:
    trained = variant if variant.weights_of is None else table.variant(variant.weights_of)
    recipe = full if table.budget is None else _within(full, table.budget, trained.origin)
    folders = (out / each.folder / str(seed) for each in (variant, trained))
    return Run(variant, seed, replace(recipe, seed=seed), full.batches * full.batch.size, *folders)


def _resolved(table: Table, variant: Variant) -> Recipe:
    """A variant's recipe; what it validates on by the way would cost time and decide nothing."""
    changes = [*table.changes, *variant.changes, *table.given]
    try:
        recipe = read_recipe(table.recipe, changes)
    except RecipeError as error:
        # The settings of a table are the command line of its recipes.
        said = str(error).replace(" on the command line", "")
        raise RecipeError(f"{variant.origin}, variant '{variant.name}': {said}") from None
    watched = replace(recipe.validation, benchmark=None, best=None, every=recipe.schedule.epochs)
    return replace(recipe, validation=watched, expect={})


def _within(recipe: Recipe, budget: int, origin: str) -> Recipe:
    """The same recipe with shorter epochs: warm-ups and drops of the learning rate stay where they are among them.

    Raises:
        RecipeError: if there is not a batch for each epoch.
    """
    epochs, size = recipe.schedule.epochs, recipe.batch.size
    if budget < epochs * size:
        raise RecipeError(
            f"{origin}: a budget of {grouped(budget)} samples is less than one batch of {size} in each of {epochs} "
            f"epochs: give {grouped(epochs * size)} or more, or change schedule.epochs or batch.size."
        )
    return replace(recipe, schedule=replace(recipe.schedule, samples=budget // epochs))
