"""Several sequences tracked side by side by one tracker, one image of each in every forward pass.

The size of a batch and the number of threads may decide the order in which a processor adds, and so the last digits.
With `nano` on a CPU, 17 recordings gave the same bytes in batches of 1 and 4; a second thread changed the last digits
of confidences, but no box in its three decimals. A run therefore keeps the threads that it began with.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from tectum import frames as nouns
from tectum.benchmarks.base import Benchmark
from tectum.errors import SourceError, TectumError
from tectum.evaluation.drops import ASKED_FOR, Drop, Dropped
from tectum.evaluation.jobs import Job
from tectum.evaluation.passes import Advanced, Event, Failed, Finished, Opened, Pass
from tectum.frames import Estimate, Frame
from tectum.tracking.runner import Gaps, Moment, reading
from tectum.tracking.session import Session, Tracker
from tectum.tracking.views import lacking

SLICE = 0.25
"""Seconds after which a worker tells how far it is."""


@dataclass(frozen=True)
class Setup:
    """What a worker needs to know before its first job; it can be sent to another process or machine.

    Attributes:
        tracker: makes the tracker ready.
        benchmark: whose sequences.
        root: the folder of the download, as the worker's machine knows it.
        threads: how many threads PyTorch may use.
        drops: what is hidden of every sequence, of its frames in the order played.
    """

    tracker: Callable[[], Tracker]
    benchmark: Benchmark
    root: Path
    threads: int
    drops: tuple[Drop, ...] = ()


class Worker:
    """Tracks the jobs that it is given, all at once, until they are done.

    The tracker is made with the first job.

    Args:
        setup: what to work with.
    """

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._tracker: Tracker | None = None
        self._lanes: list[_Lane] = []

    def work(self, jobs: Sequence[Job]) -> list[Event]:
        """Takes more jobs and goes on with all of them, until one is done or a quarter of a second has passed.

        Args:
            jobs: new ones; none to go on with those at hand.

        Returns:
            What happened, in order.

        Raises:
            TectumError: if the tracker cannot be made.
        """
        tracker = self._ready()
        events: list[Event] = []
        for job in jobs:
            self._open(tracker, job, events)
        until = time.perf_counter() + SLICE
        running = len(self._lanes)
        while self._lanes and len(self._lanes) == running and time.perf_counter() < until:
            self._step(tracker, events)
        events.extend(Advanced(lane.job.key, lane.news()) for lane in self._lanes)
        return events

    def close(self) -> None:
        """Lets go of all jobs that are not done."""
        for lane in self._lanes:
            lane.closing.close()
        self._lanes.clear()

    def _ready(self) -> Tracker:
        if self._tracker is None:
            torch.set_num_threads(self._setup.threads)
            self._tracker = self._setup.tracker()
        return self._tracker

    def _open(self, tracker: Tracker, job: Job, events: list[Event]) -> None:
        with ExitStack() as closing:
            try:
                sequence = self._setup.benchmark.sequence(self._setup.root, job.sequence, job.order)
                sequence = replace(sequence, recording=Dropped(sequence.recording, self._setup.drops, job.start))
                frames = closing.enter_context(reading(sequence.recording))
                lane = _Lane.begin(tracker, job, sequence, frames)
            except TectumError as error:
                events.append(Failed(job.key, str(error)))
                return
            events.append(Opened(job.key, sequence.recording.length))
            lane.closing = closing.pop_all()
            self._lanes.append(lane)

    def _step(self, tracker: Tracker, events: list[Event]) -> None:
        """Tracks one more image of every sequence in one forward pass."""
        moving: list[tuple[_Lane, Frame]] = []
        for lane in list(self._lanes):
            try:
                frame = next(lane.frames, None)
                if frame is not None:
                    tracker.check(lane.session, frame)
                    moving.append((lane, frame))
                    continue
                event: Event = Finished(lane.job.key, lane.result(machine_of(tracker.device)))
            except TectumError as error:
                event = Failed(lane.job.key, str(error))
            events.append(event)
            self._lanes.remove(lane)
            lane.closing.close()
        if not moving:
            return
        begin = time.perf_counter()
        estimates = tracker.update([lane.session for lane, _ in moving], [frame for _, frame in moving])
        share = (time.perf_counter() - begin) / len(moving)
        for (lane, frame), estimate in zip(moving, estimates, strict=True):
            lane.note(frame, estimate, share)


@dataclass
class _Lane:
    """One job that is under way."""

    job: Job
    session: Session
    frames: Iterator[Frame]
    warnings: tuple[str, ...]
    rows: list[tuple[Estimate, float]] = field(default_factory=list)
    gaps: Gaps = field(default_factory=Gaps)
    closing: ExitStack = field(default_factory=ExitStack)
    told: int = 0

    @classmethod
    def begin(cls, tracker: Tracker, job: Job, sequence: nouns.Sequence, frames: Iterator[Frame]) -> _Lane:
        """Starts the tracker; images before the start are passed over, for a row of each with the given box."""
        first = next(islice(frames, job.start, None), None)
        if first is None:
            raise SourceError(
                f"Sequence {job.sequence} ends before image {job.start}, where its target is first annotated: "
                "complete its images."
            )
        begin = time.perf_counter()
        session = tracker.start(first, job.box, sequence.text)
        seconds = time.perf_counter() - begin
        lane = cls(job, session, frames, getattr(sequence.recording, "warnings", ()))
        given = Estimate(job.box, 1.0, missing=lacking(first, session.senses))
        lane.rows.extend([(given, 0.0)] * job.start)
        lane.note(first, given, seconds)
        return lane

    def note(self, frame: Frame, estimate: Estimate, seconds: float) -> None:
        self.rows.append((estimate, seconds))
        surprising = frozenset(sense for sense in estimate.missing if frame.reasons.get(sense) != ASKED_FOR)
        self.gaps.note(Moment(frame, (replace(estimate, missing=surprising),)))

    def news(self) -> int:
        """Images since this was last asked."""
        fresh, self.told = len(self.rows) - self.told, len(self.rows)
        return fresh

    def result(self, machine: str) -> Pass:
        warnings = [*self.warnings, *self.gaps.sentences()]
        return Pass(
            boxes=np.array([estimate.box for estimate, _ in self.rows], np.float64),
            confidences=np.array([estimate.score for estimate, _ in self.rows], np.float64),
            seconds=np.array([seconds for _, seconds in self.rows], np.float64),
            warnings=tuple(f"{self.job.key}: {warning}" for warning in warnings),
            machine=machine,
        )


def machine_of(device: torch.device) -> str:
    """The name of the processor behind a device, as far as the system tells."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
