"""Scores of any trackers' results on a benchmark, from files or from arrays in memory."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tectum import benchmarks
from tectum.benchmarks.base import Benchmark, Truth
from tectum.errors import BenchmarkError, ResultError
from tectum.evaluation.board import Board, Card, Problem
from tectum.evaluation.conventions import convention as find_convention
from tectum.evaluation.protocol import Form, Protocol, Run, Tally
from tectum.evaluation.results import SHOWN, read_results
from tectum.evaluation.run_folder import recorded


def score(
    benchmark: str | Benchmark,
    root: str | Path,
    trackers: Mapping[str, str | Path],
    *,
    split: str | None = None,
    convention: str | None = None,
    form: Form | None = None,
) -> Board:
    """Scores trackers' results files on a benchmark.

    What cannot be read or scored is left out and listed among the board's problems; the rest is scored.

        board = score("lasher", "data/LasHeR", {"APFNet": "results/APFNet"})
        board.cards[0].scores["SR"]

    Args:
        benchmark: its name, such as `lasher`, or the object.
        root: the folder of the download, or one with its annotations only.
        trackers: by name, the folder with each one's results.
        split: by default the one that the benchmark is usually scored on.
        convention: by default the benchmark's own; see `conventions.py`.
        form: how the files write boxes; by default it is found out.

    Raises:
        UnknownNameError: if there is no such benchmark, split or convention.
        BenchmarkError: if no sequence of the split has a usable truth.
        ResultError: if no tracker has any result that can be scored.
    """
    held = benchmarks.find(benchmark) if isinstance(benchmark, str) else benchmark
    root, protocol = Path(root), find_convention(convention or held.convention)
    wanted = split or held.split
    truths, problems = read_truths(held, root, split)
    scorer = _Scorer(held, protocol, truths, form, held.version(root))
    cards = [card for name, folder in trackers.items() if (card := scorer.card(name, Path(folder))) is not None]
    if not cards:
        raise ResultError(_nothing([problem.sentence for problem in scorer.problems]))
    names = tuple(truth.name for truth in truths)
    notices = _foreign(held, protocol) + scorer.notices
    return Board(
        benchmark=held.title,
        split=wanted,
        protocol=protocol,
        cards=tuple(sorted(cards, key=lambda card: _rank(card, protocol))),
        names=names,
        attributes=_attributes(held, root, names),
        problems=(*problems, *scorer.problems),
        notices=tuple(notices),
    )


def score_boxes(
    boxes: Mapping[str, npt.ArrayLike], truths: Iterable[Truth], protocol: Protocol | str = "plain"
) -> dict[str, float]:
    """Scores boxes in memory.

        score_boxes({"bus": boxes}, [Truth("bus", truth)])["SR"]

    Args:
        boxes: by sequence, a tracker's boxes `N×4` as `x, y, w, h` in pixels.
        truths: what is annotated; sequences without boxes are left out.
        protocol: a convention or its name.

    Returns:
        Scores in [0, 1] by key.

    Raises:
        UnknownNameError: if there is no such convention.
        ResultError: if boxes are not `N×4`, or no sequence has both boxes and truth.
    """
    rule = find_convention(protocol) if isinstance(protocol, str) else protocol
    scored = [truth for truth in truths if truth.name in boxes]
    if not scored:
        raise ResultError("There is nothing to score: no sequence has both boxes and truth of the same name.")
    runs = [(_run_of(truth.name, boxes[truth.name]),) for truth in scored]
    return {key: float(value) for key, value in rule.scores(rule.tally(scored, runs)).items()}


def read_truths(
    benchmark: Benchmark, root: Path, split: str | None = None
) -> tuple[tuple[Truth, ...], tuple[Problem, ...]]:
    """Reads what is annotated of a split, and lists the sequences that are missing, damaged or never in sight.

    Raises:
        UnknownNameError: if there is no such split.
        BenchmarkError: if there is no usable sequence.
    """
    truths, problems = [], []
    names = benchmark.names(root, split)
    for name in names:
        try:
            truth = benchmark.truth(root, name)
            _ = truth.start
            _refuse_lone(benchmark, truth)
        except BenchmarkError as error:
            problems.append(Problem(str(error), sequence=name))
        else:
            truths.append(truth)
    if not truths:
        why = f" {problems[0].sentence}" if problems else ""
        raise BenchmarkError(
            f"None of the {len(names)} sequences of {benchmark.title} ({split or benchmark.split}) can be scored with "
            f"what is in {root}: name the folder of the download or of its annotations.{why}"
        )
    return tuple(truths), tuple(problems)


def _refuse_lone(benchmark: Benchmark, truth: Truth) -> None:
    """Raises if a sequence has the box only that trackers are given."""
    if len(truth.boxes) == 1:
        raise BenchmarkError(
            f"Sequence {truth.name} of {benchmark.title} has no box but the given one: there is nothing to score."
        )


@dataclass
class _Scorer:
    """Scores one tracker after another, keeps their tallies and lets go of their boxes."""

    benchmark: Benchmark
    protocol: Protocol
    truths: Sequence[Truth]
    form: Form | None
    version: str
    problems: list[Problem] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    def card(self, tracker: str, folder: Path) -> Card | None:
        """A tracker's scores; `None` if there is nothing to score, which becomes a problem."""
        try:
            results = read_results(
                folder,
                self.truths,
                tracker=tracker,
                aliases=(self.benchmark.name, self.benchmark.title),
                form=self.form,
                abstains=self.protocol.abstains,
            )
            _refuse_other_version(results.folder, self.version, self.benchmark)
        except ResultError as error:
            self.problems.append(Problem(str(error), tracker))
            return None
        self.problems += results.problems
        self.notices += results.notices
        tally = self._tally(tracker, results.runs)
        if tally is None:
            self.problems.append(Problem(f"None of the results of {tracker} in {folder} can be scored.", tracker))
            return None
        scores = {key: float(value) for key, value in self.protocol.scores(tally).items()}
        return Card(tracker, folder, tally, scores, results.fps)

    def _tally(self, tracker: str, runs: Mapping[str, Sequence[Run]]) -> Tally | None:
        """Measures all sequences at once; if the protocol refuses some, those without them."""
        truths = [truth for truth in self.truths if truth.name in runs]
        try:
            return self.protocol.tally(truths, [runs[truth.name] for truth in truths]) if truths else None
        except ResultError:
            truths = [truth for truth in truths if self._accepts(tracker, truth, runs[truth.name])]
        return self.protocol.tally(truths, [runs[truth.name] for truth in truths]) if truths else None

    def _accepts(self, tracker: str, truth: Truth, runs: Sequence[Run]) -> bool:
        """Whether the protocol can score a sequence; why not becomes a problem."""
        try:
            self.protocol.tally([truth], [runs])
        except ResultError as error:
            self.problems.append(Problem(f"{error} {truth.name} is left out.", tracker, truth.name))
            return False
        return True


def _refuse_other_version(folder: Path, version: str, benchmark: Benchmark) -> None:
    """Raises if results are known to be of other images than the truth."""
    other = recorded(folder, "version") if version else ""
    if other not in ("", version):
        raise ResultError(
            f"The results in {folder} are of version {other} of {benchmark.title}, but they would be scored on version "
            f"{version}: run the tracker again, or name the folder of version {other} with --root."
        )


def _foreign(benchmark: Benchmark, protocol: Protocol) -> list[str]:
    """What to know where a benchmark is scored by rules that are not its own."""
    if protocol.name == benchmark.convention:
        return []
    return [
        f"{benchmark.title} is published under the convention {benchmark.convention}: scores under {protocol.name} are "
        "not those of its papers."
    ]


def _nothing(sentences: Sequence[str]) -> str:
    """Why there is no score at all, in a few sentences."""
    more = [f"… and {len(sentences) - SHOWN} more of this kind."] if len(sentences) > SHOWN else []
    return " ".join([*sentences[:SHOWN], *more]) or "There are no results to score."


def _run_of(name: str, boxes: npt.ArrayLike) -> Run:
    values = np.asarray(boxes, np.float64)
    if values.ndim != 2 or values.shape[1] != 4:
        raise ResultError(f"Boxes of {name} have the shape {values.shape}: give N×4 as x, y, w, h.")
    return Run(values)


def _rank(card: Card, protocol: Protocol) -> float:
    """Sorts the best first and what has no score last."""
    value = card.scores[protocol.keys[0]]
    return math.inf if math.isnan(value) else -value


def _attributes(benchmark: Benchmark, root: Path, names: Sequence[str]) -> dict[str, frozenset[str]]:
    """The sequences of each attribute among those that are scored; attributes without any are left out."""
    scored = frozenset(names)
    found = {attribute: members & scored for attribute, members in benchmark.attributes(root).items()}
    return {attribute: members for attribute, members in found.items() if members}
