"""Working through a grid: runs are handed to slots that are free, those of other invocations are waited for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from tectum.ablation.engines import Engine
from tectum.ablation.grid import Run
from tectum.ablation.places import Place
from tectum.ablation.record import is_taken, lock_of, read_record, standing
from tectum.ablation.work import End, Order, Outcome

PAUSE = 0.5
"""Seconds between two looks at the runs."""


class State(StrEnum):
    """What is going on with a run."""

    WAITING = "waiting"
    RUNNING = "running"
    ELSEWHERE = "elsewhere"
    DONE = "done"
    FAILED = "failed"


@dataclass
class Study:
    """All runs of a table, worked through.

    Args:
        runs: in the order in which they are begun.
        places: where they are scored.
        out: the folder of the study.
        engine: who does the work; it is closed at the end.
        order: what a slot's device needs to work on a run.
        watch: is called twice a second.

    Attributes:
        states: of the runs, by folder.
        faults: why runs have failed, by folder.
        problems: sequences that could not be tracked, by folder of their run.
    """

    runs: Sequence[Run]
    places: Sequence[Place]
    out: Path
    engine: Engine
    order: Callable[[Run, str], Order]
    watch: Callable[[Study], None] = lambda study: None
    states: dict[Path, State] = field(default_factory=dict, init=False)
    faults: dict[Path, str] = field(default_factory=dict, init=False)
    problems: dict[Path, tuple[str, ...]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._slots: dict[int, Run] = {}
        self._stopping = False
        for run in self.runs:
            done = standing(run, self.places).done
            self.states[run.folder] = State.DONE if done else State.WAITING

    def go(self) -> None:
        """Works until every run is done, by this process or another one, or has failed here.

        Raises:
            KeyboardInterrupt: after `stop`.
        """
        try:
            while self._open:
                if self._stopping:
                    raise KeyboardInterrupt
                self._hand_out()
                for slot, outcome in self.engine.wait(PAUSE):
                    self._heed(self._slots.pop(slot), outcome)
                self.watch(self)
        finally:
            self.engine.close()

    def stop(self) -> None:
        """Ends the study at its next look; a signal handler may call it."""
        self._stopping = True

    @property
    def _open(self) -> list[Run]:
        return [run for run in self.runs if self.states[run.folder] not in (State.DONE, State.FAILED)]

    def _hand_out(self) -> None:
        """Begins runs in the slots that are free."""
        free = [slot for slot in range(len(self.engine.devices)) if slot not in self._slots]
        for run in self._open:
            if not free:
                return
            if self.states[run.folder] is not State.RUNNING and self._can_begin(run):
                slot = free.pop(0)
                self._slots[slot] = run
                self.states[run.folder] = State.RUNNING
                self.engine.start(slot, self.order(run, self.engine.devices[slot]))

    def _can_begin(self, run: Run) -> bool:
        """Whether a run is left to do, nobody is at it, and the weights are there that it may try."""
        if is_taken(lock_of(run, self.out)):
            self.states[run.folder] = State.ELSEWHERE
            return False
        if standing(run, self.places).done:
            self.states[run.folder] = State.DONE
            return False
        self.states[run.folder] = State.WAITING
        if run.source == run.folder or _is_trained(run):
            return True
        if self.states.get(run.source) is State.FAILED:
            self._fail(run, f"The weights of {run.variant.weights_of} that it tries could not be trained.")
        return False

    def _heed(self, run: Run, outcome: Outcome) -> None:
        match outcome.end:
            case End.DONE:
                self.states[run.folder] = State.DONE
                self.problems[run.folder] = outcome.problems
            case End.FAILED:
                self._fail(run, outcome.sentence)
            case End.STOPPED:
                self._fail(run, "It was stopped by a signal: run the same command again to go on.")
            case End.ELSEWHERE:
                self.states[run.folder] = State.ELSEWHERE

    def _fail(self, run: Run, sentence: str) -> None:
        self.states[run.folder] = State.FAILED
        self.faults[run.folder] = sentence


def _is_trained(run: Run) -> bool:
    record = read_record(run.source)
    return record is not None and record.weights is not None
