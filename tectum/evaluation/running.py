"""Running a tracker over a benchmark: jobs are claimed, handed to workers, and written when they are done."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import ceil

from filelock import FileLock

from tectum.evaluation.board import Problem
from tectum.evaluation.engines import Crew, Death
from tectum.evaluation.jobs import Job
from tectum.evaluation.passes import Advanced, Event, Failed, Finished, Opened
from tectum.evaluation.run_folder import RunFolder

PAUSE = 0.5
"""Seconds between looks at what other processes have done, when all the rest is theirs."""

TRIES = 2
"""How often a sequence is begun whose worker dies."""


@dataclass(frozen=True)
class Standing:
    """How far a run is.

    Attributes:
        complete: jobs whose files are there.
        jobs: all jobs.
        tracked: images that this process has tracked, for its speed.
        frames: images done by anyone, this process's unfinished sequences included.
        total: images of all jobs that were not given up, as far as known.
    """

    complete: int
    jobs: int
    tracked: int
    frames: int
    total: int


@dataclass
class Evaluation:
    """A run over the jobs of a benchmark.

    Args:
        folder: where it writes.
        jobs: what there is to do; those that are complete are not done again.
        crew: who does it; it is closed at the end.
        batch: how many sequences each worker tracks in lockstep.
        watch: is told how far it is, several times a second.
        say: is told at once when a worker has died.

    Attributes:
        problems: what could not be tracked.
        warnings: what the user should know of what was tracked.
        machines: names of the processors that took part.
    """

    folder: RunFolder
    jobs: Sequence[Job]
    crew: Crew
    batch: int = 1
    watch: Callable[[Standing], None] = lambda standing: None
    say: Callable[[str], None] = lambda sentence: None
    problems: list[Problem] = field(default_factory=list, init=False)
    warnings: list[str] = field(default_factory=list, init=False)
    machines: set[str] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        self._jobs = {job.key: job for job in self.jobs}
        self._open = {key: job for key, job in self._jobs.items() if not self.folder.is_complete(job)}
        if self.crew.size * self.batch > 1:
            # The longest first, so that workers finish together.
            self._open = dict(sorted(self._open.items(), key=lambda item: -item[1].frames))
        self._lengths = {job.key: job.frames for job in self.jobs}
        self._ahead: dict[str, int] = {}
        self._claims: dict[str, FileLock] = {}
        self._held: list[set[str]] = [set() for _ in range(self.crew.size)]
        self._asked: set[int] = set()
        self._deaths: dict[str, int] = {}
        self._failed: set[str] = set()
        self._tracked = 0
        self._stopping = False

    def go(self) -> None:
        """Tracks until every job is complete, by this process or another one, or has failed here.

        Raises:
            TectumError: if the tracker cannot be made or files cannot be written.
            KeyboardInterrupt: after `stop`.
        """
        try:
            while self._open:
                if self._stopping:
                    raise KeyboardInterrupt
                self._hand_out()
                if self._asked:
                    self._heed(*self.crew.wait())
                else:
                    time.sleep(PAUSE)
                    self._drop_complete()
                self.watch(self.standing())
        finally:
            self.crew.close()
            for key in list(self._claims):
                self._give_back(key)

    def stop(self) -> None:
        """Ends the run at its next step, where nothing is half done; a signal handler may call it."""
        self._stopping = True

    def standing(self) -> Standing:
        """How far the run is."""
        complete = self._jobs.keys() - self._open.keys() - self._failed
        return Standing(
            complete=len(complete),
            jobs=len(self.jobs),
            tracked=self._tracked,
            frames=sum(self._lengths[key] for key in complete) + sum(self._ahead.values()),
            total=sum(length for key, length in self._lengths.items() if key not in self._failed),
        )

    def _hand_out(self) -> None:
        """Lets every worker that owes no answer go on, with new jobs where it has room."""
        for member, held in enumerate(self._held):
            if member in self._asked:
                continue
            jobs = self._claim_for(held)
            held.update(job.key for job in jobs)
            if held:
                self._asked.add(member)
                self.crew.hand(member, jobs)

    def _claim_for(self, held: set[str]) -> list[Job]:
        """Jobs for a worker; one whose worker died before is tried all alone."""
        if any(key in self._deaths for key in held):
            return []
        free = [job for key, job in self._open.items() if key not in self._claims]
        suspects = [job for job in free if job.key in self._deaths]
        if suspects and not held:
            return self._claim(suspects, 1)
        share = ceil(len(free) / self.crew.size)
        return self._claim([job for job in free if job not in suspects], min(self.batch - len(held), share))

    def _claim(self, jobs: Sequence[Job], count: int) -> list[Job]:
        """Claims up to so many of the jobs; those that turn out to be complete are dropped."""
        claimed: list[Job] = []
        for job in jobs:
            if len(claimed) >= count:
                break
            lock = self.folder.claim(job)
            if lock is not None:
                self._claims[job.key] = lock
                claimed.append(job)
            elif self.folder.is_complete(job):
                del self._open[job.key]
        return claimed

    def _drop_complete(self) -> None:
        """Notices what other processes have done."""
        for key, job in list(self._open.items()):
            if self.folder.is_complete(job):
                del self._open[key]

    def _heed(self, member: int, answer: list[Event] | Death) -> None:
        self._asked.discard(member)
        if isinstance(answer, Death):
            self._mourn(member, answer)
            return
        for event in answer:
            match event:
                case Opened(key, frames):
                    self._lengths[key] = self._lengths[key] if frames is None else frames
                    self._ahead[key] = 0
                case Advanced(key, frames):
                    self._ahead[key] += frames
                    self._tracked += frames
                case Finished(key, result):
                    self.folder.write(self._open[key], result)
                    self._tracked += len(result.boxes) - self._ahead[key]
                    self._lengths[key] = len(result.boxes)
                    self.warnings.extend(result.warnings)
                    self.machines.add(result.machine)
                    self._settle(member, key)
                case Failed(key, sentence):
                    self._fail(key, sentence)
                    self._settle(member, key)

    def _mourn(self, member: int, death: Death) -> None:
        """What a dead worker had in hand goes back to the pile, unless it has cost a worker before."""
        for key in list(self._held[member]):
            self._deaths[key] = self._deaths.get(key, 0) + 1
            if self._deaths[key] < TRIES:
                self.say(f"A worker died on sequence {key} ({death.cause}): it is begun again by another.")
                self._held[member].discard(key)
                self._ahead.pop(key, None)
                self._give_back(key)
            else:
                self._fail(key, f"Sequence {key} is left out, for {TRIES} workers died on it ({death.cause}).")
                self._settle(member, key)

    def _fail(self, key: str, sentence: str) -> None:
        self._failed.add(key)
        self.problems.append(Problem(sentence, sequence=self._jobs[key].sequence))

    def _settle(self, member: int, key: str) -> None:
        """Nothing more is to be done for a job."""
        self._held[member].discard(key)
        self._ahead.pop(key, None)
        self._give_back(key)
        del self._open[key]

    def _give_back(self, key: str) -> None:
        self.folder.release(self._jobs[key], self._claims.pop(key))
