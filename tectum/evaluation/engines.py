"""Who does the work of a run: this process, several processes, or a Ray cluster. All do it by the same `Worker`."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import socket
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import connection, resource_tracker
from typing import TYPE_CHECKING, Any

from tectum.errors import TectumError
from tectum.evaluation.jobs import Job
from tectum.evaluation.passes import Event

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess

    from tectum.evaluation.lockstep import Setup

PATIENCE = 5.0
"""Seconds that a worker gets to end by itself."""


@dataclass(frozen=True)
class Death:
    """A worker ended before it answered.

    Attributes:
        cause: how it ended.
    """

    cause: str


class Crew(ABC):
    """Workers that are handed jobs and answer with what happened.

    Attributes:
        size: number of workers.
    """

    size: int

    @abstractmethod
    def hand(self, member: int, jobs: Sequence[Job]) -> None:
        """Lets a worker that owes no answer go on, with more jobs if there are any.

        Args:
            member: which one, from 0; one that died is replaced.
            jobs: new ones.
        """

    @abstractmethod
    def wait(self) -> tuple[int, list[Event] | Death]:
        """Waits for an answer: which worker, and what happened or how it died.

        Raises:
            TectumError: if the tracker cannot be made.
        """

    @abstractmethod
    def close(self) -> None:
        """Sends everyone home, whether done or not."""


class Alone(Crew):
    """One worker in this process."""

    size = 1

    def __init__(self, setup: Setup) -> None:
        from tectum.evaluation.lockstep import Worker

        self._worker = Worker(setup)
        self._jobs: Sequence[Job] = ()

    def hand(self, member: int, jobs: Sequence[Job]) -> None:
        """Keeps the jobs until `wait`."""
        self._jobs = jobs

    def wait(self) -> tuple[int, list[Event] | Death]:
        """Does the work."""
        return 0, self._worker.work(self._jobs)

    def close(self) -> None:
        """Closes what is open."""
        self._worker.close()


class Processes(Crew):
    """Workers in processes of their own, each with its own tracker, that end with this one.

    Args:
        setup: what each works with.
        size: how many; a process starts with its first job.
    """

    def __init__(self, setup: Setup, size: int) -> None:
        self.size = size
        self._setup = setup
        self._processes: dict[int, tuple[SpawnProcess, Connection]] = {}
        self._busy: set[int] = set()

    def hand(self, member: int, jobs: Sequence[Job]) -> None:
        """Sends the jobs to the process, which is started where needed."""
        if member not in self._processes:
            self._processes[member] = self._start()
        self._busy.add(member)
        # Of a process that is gone, `wait` tells.
        with suppress(BrokenPipeError, ConnectionResetError):
            self._processes[member][1].send(tuple(jobs))

    def _start(self) -> tuple[SpawnProcess, Connection]:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, self._setup), name="tectum-worker", daemon=True)
        with deaf_to_interrupts():
            process.start()
        theirs.close()
        return process, ours

    def wait(self) -> tuple[int, list[Event] | Death]:
        """Waits for the first process that answers or dies."""
        pipes = {self._processes[member][1]: member for member in self._busy}
        pipe = next(each for each in connection.wait(list(pipes)) if each in pipes)
        member = pipes[pipe]
        self._busy.discard(member)
        try:
            answer = self._processes[member][1].recv()
        except (EOFError, OSError):
            # The latter if it was killed in the middle of its answer.
            return member, self._bury(member)
        if isinstance(answer, str):
            raise TectumError(answer)
        return member, answer

    def _bury(self, member: int) -> Death:
        process, pipe = self._processes.pop(member)
        pipe.close()
        process.join(PATIENCE)
        code = process.exitcode
        if code is not None and code < 0:
            return Death(f"killed by signal {-code}")
        return Death(f"exit code {code}")

    def close(self) -> None:
        """Ends the processes: idle ones are told, busy ones are terminated."""
        for member, (process, pipe) in self._processes.items():
            if member in self._busy:
                process.terminate()
            pipe.close()
        for process, _ in self._processes.values():
            process.join(PATIENCE)
            if process.is_alive():
                process.kill()
                process.join()
        self._processes.clear()


def _serve(pipe: Connection, setup: Setup) -> None:
    """The life of a worker process: it ends when the other end of its pipe is closed, by whatever cause."""
    from tectum.evaluation.lockstep import Worker

    worker = Worker(setup)
    try:
        while True:
            try:
                pipe.send(worker.work(pipe.recv()))
            except TectumError as error:
                pipe.send(str(error))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass
    finally:
        worker.close()


@contextmanager
def deaf_to_interrupts() -> Iterator[None]:
    """A process started meanwhile does not heed Ctrl-C, which goes to all of a terminal's processes at once.

    The one that runs this heeds it afterwards, so nothing is lost.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # It would lift the mask again were it started later.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class RayActors(Crew):
    """Workers that are actors of a Ray cluster.

    Args:
        setup: what each works with; the paths in it hold on every machine of the cluster.
        size: how many.
        address: of the cluster; one on this machine is started, and ended afterwards, if `None`.
        gpu: whether the workers need GPUs; if there are fewer than workers, they share them.

    Raises:
        TectumError: if Ray is not installed or there is no cluster at the address.
    """

    def __init__(self, setup: Setup, size: int, address: str | None = None, gpu: bool = False) -> None:
        self.size = size
        self._setup = setup
        self._actors: dict[int, Any] = {}
        self._answers: dict[Any, int] = {}
        self._ray = _import_ray()
        self._started = not self._ray.is_initialized()
        if self._started:
            self._connect(address)
        held = self._ray.cluster_resources()
        # More than the cluster has, Ray would wait for without end.
        self._share = {"num_cpus": min(1.0, held.get("CPU", 0) / size)}
        self._share["num_gpus"] = min(1.0, held.get("GPU", 0) / size) if gpu else 0

    def _connect(self, address: str | None) -> None:
        # Ray would otherwise report its use over the network.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        options: dict[str, Any] = {"address": address} if address else {"address": "local", "num_cpus": self.size}
        if not address:
            options["include_dashboard"] = False
        _check_reachable(address)
        try:
            self._ray.init(log_to_driver=False, logging_level="error", **options)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise _no_cluster(address, str(error).strip().splitlines()[0]) from None

    def hand(self, member: int, jobs: Sequence[Job]) -> None:
        """Calls the actor, which is made where needed."""
        if member not in self._actors:
            from tectum.evaluation.lockstep import Worker

            kind = self._ray.remote(max_restarts=0, **self._share)(Worker)
            self._actors[member] = kind.remote(self._setup)
        self._answers[self._actors[member].work.remote(tuple(jobs))] = member

    def wait(self) -> tuple[int, list[Event] | Death]:
        """Waits for the first actor that answers or dies."""
        (answer, *_), _ = self._ray.wait(list(self._answers), num_returns=1)
        member = self._answers.pop(answer)
        try:
            return member, self._ray.get(answer)
        except self._ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, TectumError):
                raise TectumError(str(error.cause)) from None
            sys.stderr.write(f"{error}\n")
            self._ray.kill(self._actors.pop(member))
            return member, Death(f"{type(error.cause).__name__}: {error.cause}")
        except self._ray.exceptions.RayActorError as error:
            self._actors.pop(member)
            return member, Death(str(error).strip().splitlines()[0])

    def close(self) -> None:
        """Ends the actors, and the cluster if it was started here."""
        for actor in self._actors.values():
            self._ray.kill(actor)
        self._actors.clear()
        if self._started:
            self._ray.shutdown()


def _import_ray() -> Any:
    try:
        import ray
    except ImportError:
        raise TectumError("The engine 'ray' needs Ray: install it with pip install 'tectum[cluster]'.") from None
    return ray


def _check_reachable(address: str | None) -> None:
    """Tells at once that nothing listens at an address, which Ray would take minutes to find out."""
    found = re.fullmatch(r"(?:ray://)?\[?([^\[\]]+?)\]?:(\d+)", address or "")
    if found is None:
        return
    try:
        socket.create_connection((found[1], int(found[2])), timeout=PATIENCE).close()
    except OSError as error:
        raise _no_cluster(address, error.strerror or str(error)) from None


def _no_cluster(address: str | None, reason: str) -> TectumError:
    return TectumError(f"No Ray cluster answers at '{address}' ({reason}): give the --address that ray start printed.")
