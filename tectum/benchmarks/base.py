"""What every benchmark gives: its splits, what is annotated of each sequence, and the sequences themselves."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from collections.abc import Sequence as Order
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import files
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from tectum.errors import BenchmarkError, UnknownNameError
from tectum.frames import Modality, Sequence

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Truth:
    """What is annotated of one sequence, as its files say it: no frame is mended, none is left out.

    Attributes:
        name: the sequence's official name.
        boxes: `N×4` as `x, y, w, h` in pixels; `nan` only where the files say so.
        second: the same `N×4` in the second sense, for benchmarks that annotate each sense by itself.
        absent: `N`, true where the benchmark's own labels say that the target is not to be seen; `None` where it
            has no labels (a box of no size is then all there is).
        images: `N` positions (from 0) in the sorted images to which the rows belong; `None` where each image has a
            row.
        size: width and height of the images in pixels, where known.
        anchors: `A` positions from which runs start, for anchored protocols; a negative one runs backwards.
        length: number of images, where it is known and differs from the rows.
    """

    name: str
    boxes: Array
    second: Array | None = None
    absent: npt.NDArray[np.bool_] | None = None
    images: npt.NDArray[np.int64] | None = None
    size: tuple[int, int] | None = None
    anchors: npt.NDArray[np.int64] | None = None
    length: int | None = None

    @cached_property
    def start(self) -> int:
        """The first row from which a tracker can start: a box with an area whose target is present.

        Raises:
            BenchmarkError: if there is none.
        """
        usable = np.isfinite(self.boxes).all(1) & (self.boxes[:, 2:] > 0).all(1)
        if self.absent is not None:
            usable &= ~self.absent
        if not usable.any():
            raise BenchmarkError(f"Sequence {self.name} has no box with an area: its target is absent throughout.")
        return int(np.argmax(usable))


@dataclass(frozen=True)
class Lists:
    """The official lists of a benchmark.

    Attributes:
        splits: names of sequences by split, in the official order.
        attributes: for each attribute, in the official order, the sequences that have it.
        facts: whatever else of the benchmark is a table, such as the first image's number.
    """

    splits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    attributes: Mapping[str, frozenset[str]] = field(default_factory=dict)
    facts: Mapping[str, Mapping[str, int | str]] = field(default_factory=dict)

    @classmethod
    def read(cls, name: str) -> Lists:
        """Reads `lists/NAME.json`, which ships with the package.

        Its form: `{"splits": {SPLIT: [NAME, …]}, "attributes": {"names": [A, …], "flags": {NAME: "0101…"}},
        "facts": {TABLE: {NAME: VALUE}}}`; attributes and facts may be missing. A split whose names are numbered is
        `{"name": "…{:06d}", "numbers": [[FIRST, LAST], …]}`.
        """
        held = json.loads((files("tectum.benchmarks") / "lists" / f"{name}.json").read_text("utf-8"))
        table = held.get("attributes", {"names": [], "flags": {}})
        return cls(
            splits={split: _names(each) for split, each in held["splits"].items()},
            attributes={
                attribute: frozenset(name for name, flags in table["flags"].items() if flags[place] == "1")
                for place, attribute in enumerate(table["names"])
            },
            facts=held.get("facts", {}),
        )


def _names(split: list[str] | dict[str, Any]) -> tuple[str, ...]:
    """The names of a split, listed or numbered."""
    if isinstance(split, list):
        return tuple(split)
    spans = (range(first, last + 1) for first, last in split["numbers"])
    return tuple(split["name"].format(number) for number in chain.from_iterable(spans))


class Benchmark(ABC):
    """One benchmark: where its files lie and what they mean.

    Attributes:
        name: for the command line, such as `rgbt234`.
        title: as papers write it, such as `RGBT234`.
        senses: what its recordings hold, RGB first.
        convention: the scoring convention that it is published with.
        split: the split that is scored unless another is asked for.
        source: paper and year.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    senses: ClassVar[tuple[Modality, ...]]
    convention: ClassVar[str]
    split: ClassVar[str] = "test"
    source: ClassVar[str]

    @cached_property
    def lists(self) -> Lists:
        """The official lists."""
        return Lists.read(self.name)

    def names(self, root: Path, split: str | None = None) -> tuple[str, ...]:
        """The sequences of a split in the official order, whether or not they are there.

        Args:
            root: the folder of the download; only layouts without official lists look into it.
            split: a split's name; the benchmark's own by default.

        Raises:
            UnknownNameError: if there is no such split.
        """
        wanted = split or self.split
        if wanted not in self.lists.splits:
            known = ", ".join(self.lists.splits)
            raise UnknownNameError(f"{self.title} has no split '{wanted}': use one of {known}.")
        return self.lists.splits[wanted]

    def version(self, root: Path) -> str:
        """What tells the images there from others of the same names; empty for all but a benchmark that is rendered.

        Raises:
            BenchmarkError: if a rendered benchmark is not there.
        """
        return ""

    def attributes(self, root: Path) -> Mapping[str, frozenset[str]]:
        """For each attribute, in the official order, the sequences that have it; empty where none are published."""
        return self.lists.attributes

    @abstractmethod
    def truth(self, root: Path, name: str) -> Truth:
        """Reads what is annotated of a sequence; no image is needed.

        Args:
            root: the folder of the download, or one that holds only annotations, in the data set's layout or in
                that of the official toolkit.
            name: one of `names`.

        Raises:
            BenchmarkError: if it is not there or is damaged.
        """

    @abstractmethod
    def sequence(self, root: Path, name: str, order: Order[int] | None = None) -> Sequence:
        """Opens a sequence for tracking: its recording, its boxes (one row per image), its sentence.

        Args:
            root: the folder of the download.
            name: one of `names`.
            order: positions of the images to play, in that order; all of them by default.

        Raises:
            BenchmarkError: if its images or annotations are not there or are damaged.
        """
