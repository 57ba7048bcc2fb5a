"""What trackers lose when a sense drops out: runs with and without drops, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tectum import benchmarks
from tectum.errors import ResultError
from tectum.evaluation.board import Board, Card
from tectum.evaluation.run_folder import Config, recorded_run
from tectum.evaluation.scoring import score
from tectum.evaluation.statistics import Difference, Interval, bootstrap, contrast

NOTHING = "nothing"
"""What is dropped in a run without drops."""

_TASK = ("benchmark", "split", "version")
"""Settings that all runs must share to be compared."""

_TRACKER = ("preset", "weights", "second", "missing", "repetitions")
"""Settings that all runs of one tracker must share."""


@dataclass(frozen=True)
class RunOfTracker:
    """A folder that `tectum evaluate` made.

    Attributes:
        tracker: what to call it.
        dropped: what was hidden from it, such as `thermal=0.5`, or `NOTHING`.
        folder: where the results lie.
        config: the settings of the run.
        root: the folder of its data, as recorded.
    """

    tracker: str
    dropped: str
    folder: Path
    config: Config
    root: Path

    @property
    def label(self) -> str:
        """What tells it from the other runs in a sentence."""
        return self.tracker if self.dropped == NOTHING else f"{self.tracker} without {self.dropped}"


@dataclass(frozen=True)
class Trial:
    """A tracker's scores under one drop.

    Attributes:
        tracker: its name.
        dropped: what was hidden from it, or `NOTHING`.
        card: its scores.
        scores: the same by key, with intervals.
        change: by key, what the drop changed, below 0 for a fall; empty for a tracker without an undisturbed run.
        lead: by key, what parts it from the first tracker under the same drop; empty for that one and without it.
        relief: by key, how much less it falls than the first tracker; empty where either change is.
    """

    tracker: str
    dropped: str
    card: Card
    scores: Mapping[str, Interval]
    change: Mapping[str, Difference] = field(default_factory=dict)
    lead: Mapping[str, Difference] = field(default_factory=dict)
    relief: Mapping[str, Difference] = field(default_factory=dict)


@dataclass(frozen=True)
class Robustness:
    """All trials on one split under one convention.

    Attributes:
        board: the runs as scored, each as if it were a tracker.
        trackers: in the order given; the first one is what others are compared with.
        drops: `NOTHING` first, then in the order given.
        trials: by drop and tracker, in these orders.
        draws: of the bootstrap.
        confidence: of its intervals, in (0, 1).
    """

    board: Board
    trackers: tuple[str, ...]
    drops: tuple[str, ...]
    trials: tuple[Trial, ...]
    draws: int
    confidence: float

    @property
    def key(self) -> str:
        """The score that comes first."""
        return self.board.protocol.keys[0]


def read_runs(folders: Sequence[tuple[str | None, Path]]) -> tuple[RunOfTracker, ...]:
    """Reads from their records what runs are of.

    Args:
        folders: each with the tracker's name, or `None` to call it after its preset.

    Raises:
        ResultError: if a folder is of no run, or runs cannot be compared: of other benchmarks, of different trackers
            of one name, or of the same tracker with the same drop.
    """
    records = [(name, folder, *recorded_run(folder)) for name, folder in folders]
    seeds = {config.drop_seed for _, _, config, _ in records if config.drop_seed is not None}
    runs = tuple(
        RunOfTracker(name or config.preset, _dropped(config, seeds), folder, config, root)
        for name, folder, config, root in records
    )
    seen: dict[tuple[str, str], Path] = {}
    for run in runs:
        first = next(each for each in runs if each.tracker == run.tracker)
        _refuse(runs[0], run, _TASK, "only runs on the same sequences can be compared")
        _refuse(first, run, _TRACKER, "tell trackers apart by NAME=FOLDER")
        other = seen.setdefault((run.tracker, run.dropped), run.folder)
        if other is not run.folder:
            raise ResultError(f"{other} and {run.folder} are both {run.label}: tell trackers apart by NAME=FOLDER.")
    return runs


def _dropped(config: Config, seeds: set[int]) -> str:
    """What a run hides; with the seed of its draw where runs have several."""
    seed = f" (seed {config.drop_seed})" if config.drop_seed is not None and len(seeds) > 1 else ""
    return config.drop + seed or NOTHING


def _refuse(first: RunOfTracker, run: RunOfTracker, settings: Sequence[str], mend: str) -> None:
    """Raises if two runs differ in any of some settings."""
    ours, theirs = asdict(first.config), asdict(run.config)
    for setting in settings:
        if ours[setting] != theirs[setting]:
            raise ResultError(
                f"{first.folder} has {setting} {ours[setting] or 'none'}, but {run.folder} has "
                f"{theirs[setting] or 'none'}: {mend}."
            )


def compare(
    runs: Sequence[RunOfTracker],
    root: Path,
    convention: str | None = None,
    draws: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Robustness:
    """Scores runs and what their drops change.

        runs = read_runs([(None, Path("runs/whole")), (None, Path("runs/half"))])
        compare(runs, runs[0].root).trials[1].change["SR"].gap

    Args:
        runs: what `read_runs` returned.
        root: the folder of the benchmark's download.
        convention: by default the benchmark's own.
        draws: how often sequences are drawn for intervals.
        seed: of these draws.
        confidence: share of such intervals that should hold the true value.

    Raises:
        TectumError: if nothing can be scored; see `score` and `bootstrap`.
    """
    config = runs[0].config
    folders = {run.label: run.folder for run in runs}
    board = score(benchmarks.find(config.benchmark), root, folders, split=config.split, convention=convention)
    trackers = tuple(dict.fromkeys(run.tracker for run in runs))
    drops = tuple(dict.fromkeys((NOTHING, *(run.dropped for run in runs))))
    judge = _Judge(board, {(run.tracker, run.dropped): run.label for run in runs}, trackers[0], draws, seed, confidence)
    trials = (judge.trial(tracker, dropped) for dropped in drops for tracker in trackers)
    return Robustness(board, trackers, drops, tuple(each for each in trials if each), draws, confidence)


class _Judge:
    """Compares cards of one board.

    Args:
        board: of all runs.
        labels: by tracker and drop, how the run is called on the board.
        first: the tracker that others are compared with.
        draws: of the bootstrap.
        seed: of the draws.
        confidence: of intervals.
    """

    def __init__(
        self, board: Board, labels: Mapping[tuple[str, str], str], first: str, draws: int, seed: int, confidence: float
    ) -> None:
        cards = {card.tracker: card for card in board.cards}
        self._cards = {pair: cards[label] for pair, label in labels.items() if label in cards}
        self._protocol, self._first = board.protocol, first
        self._how = (draws, seed, confidence)

    def trial(self, tracker: str, dropped: str) -> Trial | None:
        """One of the trials; `None` where there is no such run."""
        card = self._cards.get((tracker, dropped))
        if card is None:
            return None
        here, whole = (tracker, dropped), (tracker, NOTHING)
        rival, rival_whole = (self._first, dropped), (self._first, NOTHING)
        names, alone = (tracker, self._first), tracker == self._first
        return Trial(
            tracker=tracker,
            dropped=dropped,
            card=card,
            scores=bootstrap(self._protocol, {tracker: card.tally}, *self._how).scores[tracker],
            change={} if here == whole else self._contrast((dropped, NOTHING), [here], [whole]),
            lead={} if alone else self._contrast(names, [here], [rival]),
            relief={} if alone or here == whole else self._contrast(names, [here, rival_whole], [whole, rival]),
        )

    def _contrast(
        self, names: tuple[str, str], more: Sequence[tuple[str, str]], less: Sequence[tuple[str, str]]
    ) -> dict[str, Difference]:
        """Between trials by tracker and drop; empty where one of them is not there."""
        if not all(pair in self._cards for pair in (*more, *less)):
            return {}
        added, taken = ([self._cards[pair].tally for pair in side] for side in (more, less))
        return contrast(self._protocol, names, added, taken, *self._how)
