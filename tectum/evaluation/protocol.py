"""What passes between results, protocols and tables: runs of a tracker, tallies over sequences, scores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from tectum.benchmarks.base import Truth
from tectum.choice import Choice

Array = npt.NDArray[np.float64]


class Form(Choice):
    """How a results file writes a box."""

    XYWH = "xywh"
    """Left, top, width, height: 4 columns."""
    XYXY = "xyxy"
    """Left, top, right, bottom: 4 columns."""
    CENTER = "center"
    """Centre, width, height: 4 columns."""
    CORNERS = "corners"
    """Four corner points, clockwise from the top left: 8 columns."""


@dataclass(frozen=True)
class Run:
    """What a tracker said in one pass over one sequence, as its file has it.

    Attributes:
        values: `R×4` or `R×8` numbers; a convention turns them into boxes, for toolkits differ in that too.
        form: what the columns mean.
        scores: `R` confidences, where known; `nan` where one is missing.
        anchor: where an anchored run started, in the truth's terms.
        path: the file.
    """

    values: Array
    form: Form = Form.XYWH
    scores: Array | None = None
    anchor: int | None = None
    path: Path | None = None


@dataclass(frozen=True)
class Curve:
    """One line of a plot.

    Attributes:
        key: such as `success`, the same for every tracker.
        title: what stands above the plot.
        x_label: what the x axis shows, with its unit.
        y_label: what the y axis shows.
        x: `T` places.
        y: `T` values in [0, 1].
        score: the key of the score that sums it up, such as `SR`.
    """

    key: str
    title: str
    x_label: str
    y_label: str
    x: Array
    y: Array
    score: str


@dataclass(frozen=True)
class Tally:
    """All that a protocol keeps of a tracker: a few numbers per sequence, never its boxes.

    Attributes:
        names: the `S` sequences.
        parts: arrays whose first axis is `S`; what they mean, their protocol knows.
    """

    names: tuple[str, ...]
    parts: Mapping[str, Array]

    def of(self, names: Sequence[str]) -> Tally:
        """The same for some of the sequences, in the order given."""
        place = {name: row for row, name in enumerate(self.names)}
        rows = [place[name] for name in names]
        return Tally(tuple(names), {key: part[rows] for key, part in self.parts.items()})


class Protocol(ABC):
    """How boxes become scores: one object holds all that toolkits differ in.

    Attributes:
        name: by which `--convention` knows it.
        says: one or two sentences that stand under every table: whose convention, and what is peculiar to it.
        keys: the scores that it gives, in the order of tables; the first one ranks trackers.
        abstains: whether a tracker may say that the target is absent: a row of `nan` is then an answer, not a fault.
    """

    name: str
    says: str
    keys: tuple[str, ...]
    abstains: ClassVar[bool] = False

    @abstractmethod
    def tally(self, truths: Sequence[Truth], runs: Sequence[Sequence[Run]]) -> Tally:
        """Measures a tracker on sequences.

        Args:
            truths: `S` sequences.
            runs: for each, one run or more.

        Raises:
            ResultError: if a run cannot be scored under this protocol at all, such as one without a needed anchor.
        """

    @abstractmethod
    def scores(self, tally: Tally, weights: Array | None = None) -> dict[str, Array]:
        """The scores in [0, 1] over all sequences.

        Args:
            tally: of this protocol.
            weights: `B×S` how often each sequence counts in each of `B` draws; once each by default.

        Returns:
            For each of `keys` an array of shape `B`, or of shape `()` without weights; `nan` where nothing counts.
        """

    @abstractmethod
    def by_sequence(self, tally: Tally) -> dict[str, Array]:
        """For each of `keys` that a single sequence can have, `S` values."""

    @abstractmethod
    def curves(self, tally: Tally) -> tuple[Curve, ...]:
        """The lines to plot."""
