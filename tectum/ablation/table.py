"""Ablation tables, as values: what varies, over which seeds, and what is measured."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import PurePath


@dataclass(frozen=True)
class Trial:
    """How trained weights are tried, apart from where.

    Attributes:
        missing: what stands in for a sense that a frame lacks: `copy`, `zero` or `stop`.
        preset: another preset of the same weights to track with, such as one that eliminates candidates; the one that
            was trained if not said.
        decoding: settings of the decoder that replace the system's, such as `window: 0.5`.
    """

    missing: str = "copy"
    preset: str | None = None
    decoding: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Variant:
    """One row of a table.

    Attributes:
        name: as its author wrote it.
        changes: settings of the recipe that make it, such as `optim.lr=1e-4`.
        recipe: the name or file of a recipe of its own; the table's if not said.
        weights_of: the variant whose weights it tries, instead of training its own.
        weights: the preset whose bundled weights it tries, as that preset, instead of training any.
        trial: how its weights are tried.
        origin: file and line, for messages.
    """

    name: str
    changes: tuple[str, ...] = ()
    recipe: str | None = None
    weights_of: str | None = None
    weights: str | None = None
    trial: Trial = field(default_factory=Trial)
    origin: str = ""

    @property
    def folder(self) -> str:
        """The name of its folder."""
        return _as_folder(self.name)

    @property
    def borrowed(self) -> str | None:
        """The variant or the preset whose weights it tries; `None` if it trains its own."""
        return self.weights_of or self.weights


@dataclass(frozen=True)
class Measure:
    """One score on one set of sequences.

    Attributes:
        benchmark: its name, such as `lasher`, or `world-bench`, which is rendered on demand.
        key: the score, such as `SR`.
        split: which sequences; those usually scored if not said.
        root: folder of its download, relative to the data folder.
        drop: what is hidden of every sequence, such as `thermal=0.5`.
        origin: file and line, for messages.
    """

    benchmark: str
    key: str
    split: str | None = None
    root: str | None = None
    drop: tuple[str, ...] = ()
    origin: str = ""

    @property
    def place(self) -> str:
        """What is tracked, in words: the benchmark with its split, or with its folder where that says more."""
        said = self.split or (PurePath(self.root).as_posix() if self.root and self.benchmark == "plain" else None)
        dropped = f"without {' '.join(self.drop)}" if self.drop else None
        return " ".join(filter(None, (self.benchmark, said, dropped)))

    @property
    def title(self) -> str:
        """Such as `SR on world-bench rgbt`."""
        return f"{self.key} on {self.place}"

    @property
    def folder(self) -> str:
        """The name of the folder of its results in that of a run; measures of the same sequences share it."""
        return "on-" + _as_folder(self.place)


@dataclass(frozen=True)
class Table:
    """Variants of one recipe or of several, and how they are compared.

    Attributes:
        title: what it shows.
        recipe: name or file of the recipe of all variants that have none of their own.
        variants: the rows, in order.
        measures: what is scored, in order.
        baseline: the variant that differences are to.
        seeds: with each of which every variant is trained.
        budget: pairs that each run sees, its epochs shortened to fit; the recipe's own length if not said.
        budget_origin: file and line of it, or the option, for messages.
        changes: settings of all recipes.
        given: the same, from the command line.
        origin: the file, for messages.
    """

    title: str
    recipe: str
    variants: tuple[Variant, ...]
    measures: tuple[Measure, ...]
    baseline: str
    seeds: tuple[int, ...]
    budget: int | None = None
    budget_origin: str = ""
    changes: tuple[str, ...] = ()
    given: tuple[str, ...] = ()
    origin: str = ""

    def variant(self, name: str) -> Variant:
        """The variant of a name."""
        return next(variant for variant in self.variants if variant.name == name)


def _as_folder(name: str) -> str:
    return re.sub(r"[^\w.%=]+", "-", name).strip("-.") or "variant"
