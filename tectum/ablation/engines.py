"""Who works on the runs: processes of this machine, or tasks of a Ray cluster. Both do it by `carry_out`."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing import connection
from typing import TYPE_CHECKING, Any

from tectum.ablation.work import OUTPUT, End, Order, Outcome, carry_out
from tectum.errors import TectumError
from tectum.evaluation.engines import deaf_to_interrupts

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import ForkServerContext, SpawnContext
    from multiprocessing.process import BaseProcess

PATIENCE = 120.0
"""Seconds that a training gets to end its batch and write its checkpoint."""


class Engine(ABC):
    """Something that works on several runs at once.

    Attributes:
        devices: of each of its slots; as many runs as there are slots are worked on at once.
    """

    devices: tuple[str, ...]

    @abstractmethod
    def start(self, slot: int, order: Order) -> None:
        """Begins the work on a run in a slot that is free."""

    @abstractmethod
    def wait(self, seconds: float) -> list[tuple[int, Outcome]]:
        """Waits for slots to become free, at most so long; returns what came of the work in them."""

    @abstractmethod
    def close(self) -> None:
        """Stops what is under way, where it can go on later."""


class Processes(Engine):
    """A process for each run, that ends with this one; where the system can, it is forked off one with all imports.

    Args:
        devices: of each slot.
    """

    def __init__(self, devices: Sequence[str]) -> None:
        self.devices = tuple(devices)
        self._held: dict[int, tuple[BaseProcess, Connection]] = {}
        forks = "forkserver" in multiprocessing.get_all_start_methods()
        self._context: ForkServerContext | SpawnContext
        self._context = multiprocessing.get_context("forkserver") if forks else multiprocessing.get_context("spawn")
        self._context.set_forkserver_preload(["tectum.ablation.work", "torch.utils.tensorboard"])

    def start(self, slot: int, order: Order) -> None:
        """Starts a process."""
        ours, theirs = self._context.Pipe(duplex=False)
        process = self._context.Process(target=_serve, args=(theirs, order), name=f"tectum-ablate-{slot}")
        with deaf_to_interrupts():
            process.start()
        theirs.close()
        self._held[slot] = process, ours

    def wait(self, seconds: float) -> list[tuple[int, Outcome]]:
        """Waits for a process that answers or dies."""
        pipes = {pipe: slot for slot, (_, pipe) in self._held.items()}
        if not pipes:
            time.sleep(seconds)
        ready = connection.wait(list(pipes), seconds) if pipes else []
        return [(slot, self._ended(slot)) for pipe, slot in pipes.items() if pipe in ready]

    def _ended(self, slot: int) -> Outcome:
        process, pipe = self._held.pop(slot)
        try:
            outcome = pipe.recv()
        except (EOFError, ConnectionResetError):
            outcome = None
        pipe.close()
        process.join()
        if isinstance(outcome, Outcome):
            return outcome
        code = process.exitcode or 0
        cause = f"killed by signal {-code}" if code < 0 else f"it ended with exit code {code}"
        return Outcome(End.FAILED, f"Its process is gone ({cause}): run the same command again to go on.")

    def close(self) -> None:
        """Lets trainings write their checkpoints; an interrupt meanwhile kills them."""
        held, self._held = list(self._held.values()), {}
        try:
            for process, _ in held:
                process.terminate()
            until = time.monotonic() + PATIENCE
            for process, _ in held:
                process.join(max(0.0, until - time.monotonic()))
        finally:
            for process, pipe in held:
                process.kill()
                process.join()
                pipe.close()


def _serve(pipe: Connection, order: Order) -> None:
    """The life of a run's process."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_with_parent() -> None:
        parent.join()
        while True:
            # A training in its last batch goes on to the scores, where the next signal ends it.
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(PATIENCE)

    threading.Thread(target=end_with_parent, daemon=True).start()
    order.run.folder.mkdir(parents=True, exist_ok=True)
    with (order.run.folder / OUTPUT).open("a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    outcome = carry_out(order)
    with suppress(BrokenPipeError):
        pipe.send(outcome)


class RayTasks(Engine):
    """A task of a Ray cluster for each run; all its machines see the same folders under the same names.

    Args:
        devices: of each slot; a task on `cuda` has a GPU, or an equal part of those that there are.
        address: of the cluster; one on this machine is started, and ended afterwards, if `None`.

    Raises:
        TectumError: if Ray is not installed or there is no cluster at the address.
    """

    def __init__(self, devices: Sequence[str], address: str | None = None) -> None:
        self.devices = tuple(device.partition(":")[0] for device in devices)
        self._answers: dict[Any, int] = {}
        self._ray = _import_ray()
        self._started = not self._ray.is_initialized()
        if self._started:
            self._connect(address)
        held, count = self._ray.cluster_resources(), len(self.devices)
        # More than the cluster has, Ray would wait for without end.
        share = {"num_cpus": min(1.0, held.get("CPU", 0) / count)}
        share["num_gpus"] = min(1.0, held.get("GPU", 0) / count) if "cuda" in self.devices else 0
        self._task = self._ray.remote(max_retries=0, **share)(carry_out)

    def _connect(self, address: str | None) -> None:
        # Ray would otherwise report its use over the network.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        options: dict[str, Any] = {"address": address or "local"}
        if address is None:
            options |= {"num_cpus": len(self.devices), "include_dashboard": False}
        try:
            self._ray.init(log_to_driver=False, logging_level="error", **options)
        except (ConnectionError, ValueError, RuntimeError) as error:
            reason = str(error).strip().splitlines()[0]
            raise TectumError(
                f"No Ray cluster answers at '{address}' ({reason}): give the --address that ray start printed."
            ) from None

    def start(self, slot: int, order: Order) -> None:
        """Submits a task."""
        order.run.folder.mkdir(parents=True, exist_ok=True)
        self._answers[self._task.remote(order)] = slot

    def wait(self, seconds: float) -> list[tuple[int, Outcome]]:
        """Waits for a task that answers or dies."""
        if not self._answers:
            time.sleep(seconds)
            return []
        ready, _ = self._ray.wait(list(self._answers), num_returns=1, timeout=seconds)
        return [(self._answers.pop(answer), self._outcome(answer)) for answer in ready]

    def _outcome(self, answer: Any) -> Outcome:
        try:
            outcome = self._ray.get(answer)
        except self._ray.exceptions.RayError as error:
            sys.stderr.write(f"{error}\n")
            first = str(error).strip().splitlines()[0]
            return Outcome(End.FAILED, f"Its task is gone ({first}): run the same command again to go on.")
        assert isinstance(outcome, Outcome)
        return outcome

    def close(self) -> None:
        """Interrupts tasks, which lets trainings write their checkpoints, and ends the cluster if it is ours."""
        answers, self._answers = list(self._answers), {}
        for answer in answers:
            self._ray.cancel(answer)
        if answers:
            self._ray.wait(answers, num_returns=len(answers), timeout=PATIENCE)
        if self._started:
            self._ray.shutdown()


def _import_ray() -> Any:
    try:
        import ray
    except ImportError:
        raise TectumError("The engine 'ray' needs Ray: install it with pip install 'tectum[cluster]'.") from None
    return ray
