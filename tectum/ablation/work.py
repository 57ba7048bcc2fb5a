"""The work of one run, in a process of its own: its training, then its scores; each goes on where it was stopped."""

from __future__ import annotations

import hashlib
import shutil
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from tectum.ablation.grid import Run
from tectum.ablation.places import Place
from tectum.ablation.record import Record, read_record
from tectum.errors import RecipeError, TectumError
from tectum.evaluation.drops import RandomShare
from tectum.evaluation.engines import Alone
from tectum.evaluation.lockstep import Setup
from tectum.evaluation.run_folder import Config, RunFolder
from tectum.evaluation.running import Evaluation
from tectum.systems.base import System
from tectum.systems.catalogue import build
from tectum.tracking.session import Tracker
from tectum.training.folder import RunFolder as TrainingFolder
from tectum.training.loop import Hooks
from tectum.training.parameters import parameter_table
from tectum.training.recipe import Recipe
from tectum.training.run import run_training
from tectum.weights import bundled, load

SIDE_BY_SIDE = 8
"""Sequences that a GPU tracks in lockstep."""

OUTPUT = "output.log"
"""What a run's process says, in its folder."""


class End(StrEnum):
    """How the work on a run ended."""

    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"
    ELSEWHERE = "elsewhere"


@dataclass(frozen=True)
class Outcome:
    """What came of the work on a run.

    Attributes:
        end: how it ended.
        sentence: why it failed.
        problems: sentences on sequences that could not be tracked.
    """

    end: End
    sentence: str = ""
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Order:
    """What a process needs to work on a run; it can be sent to another machine that has the same folders.

    Attributes:
        run: which.
        lock: the file to lock while at it.
        places: where to score it.
        data: the folder of real data.
        device: where to compute.
        threads: how many threads PyTorch may use.
        prepare: how a recipe's weights are made and kept.
    """

    run: Run
    lock: Path
    places: tuple[Place, ...]
    data: Path | None
    device: str
    threads: int
    prepare: Callable[[Recipe, Path | None], Hooks]


def carry_out(order: Order) -> Outcome:
    """Does all that is left of a run, unless another process is at it; what goes wrong is told, not raised."""
    lock = FileLock(order.lock)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return Outcome(End.ELSEWHERE)
    try:
        return _carry_out(order)
    except TectumError as error:
        return Outcome(End.FAILED, str(error))
    except KeyboardInterrupt:
        return Outcome(End.STOPPED)
    except Exception as error:
        # Such as a GPU without memory: the other runs may do better.
        traceback.print_exc(file=sys.stderr)
        first = (str(error).splitlines() or [""])[0]
        return Outcome(End.FAILED, f"{type(error).__name__}: {first} (see {order.run.folder / OUTPUT}).")
    finally:
        lock.release()


def _carry_out(order: Order) -> Outcome:
    torch.set_num_threads(order.threads)
    record = _own(order) if order.run.source == order.run.folder else _borrowed(order.run)
    if record is None:
        return Outcome(End.STOPPED)
    problems = [sentence for place in order.places for sentence in _track(order, place, record)]
    return Outcome(End.DONE, problems=tuple(problems))


def _own(order: Order) -> Record | None:
    """The record of a run with weights of its own, which are made if they are not there; `None` if a signal came."""
    run = order.run
    record = read_record(run.folder) or Record(run.digest)
    if record.weights is not None:
        return record
    record.write(run.folder)
    return _trained(order) if run.trains else _bundled(run)


def _bundled(run: Run) -> Record:
    """Keeps a copy of the weights that ship with Tectum, for they may be others in the next version."""
    preset, second = run.recipe.system, run.recipe.second
    shutil.copyfile(bundled(preset, second), _weights(run))
    parameters = sum(parameter.numel() for parameter in load(preset, _weights(run), second).parameters())
    record = Record(run.digest, _sha256(_weights(run)), parameters=parameters)
    record.write(run.folder)
    return record


def _trained(order: Order) -> Record | None:
    """Trains to the end; `None` if a signal stopped it."""
    run = order.run
    hooks = order.prepare(run.recipe, order.data)
    built: list[System] = []

    def building(recipe: Recipe) -> System:
        built.append(hooks.build(recipe))
        return built[-1]

    if run_training(run.recipe, run.folder, order.data, order.device, replace(hooks, build=building), quiet=True):
        return None
    rows = parameter_table(built[-1])
    trained, frozen = sum(row.trained for row in rows), sum(row.frozen for row in rows)
    record = Record(run.digest, _sha256(_weights(run)), trained, trained + frozen, run.samples)
    record.write(run.folder)
    return record


def _borrowed(run: Run) -> Record:
    """The record of a run that tries the weights of another one."""
    source = read_record(run.source)
    if source is None or source.weights is None:
        raise RecipeError(f"The weights of {run.variant.weights_of} that {run.name} tries are not trained.")
    record = replace(source, digest=run.digest)
    record.write(run.folder)
    return record


def _track(order: Order, place: Place, record: Record) -> list[str]:
    """Tracks what is left of a place; returns what could not be tracked."""
    run, trial = order.run, order.run.variant.trial
    batch = 1 if order.device == "cpu" else SIDE_BY_SIDE
    said = [f"{name}={value:g}" for name, value in sorted(trial.decoding.items())]
    config = Config(
        preset=" ".join([trial.preset or run.recipe.system, *said]),
        weights=str(record.weights),
        second=run.recipe.second,
        missing=trial.missing,
        device=order.device.partition(":")[0],
        batch=batch,
        benchmark=place.benchmark.name,
        split=place.split,
        repetitions=1,
        drop=" ".join(map(str, place.drops)),
        drop_seed=1 if any(isinstance(each.part, RandomShare) for each in place.drops) else None,
    )
    folder = RunFolder(run.folder / place.folder, config, {"weights": str(_weights(run)), "root": str(place.root)})
    folder.enter(place.jobs)
    threads = folder.threads(order.threads)
    setup = Setup(partial(_tracker, run, order.device), place.benchmark, place.root, threads, place.drops)
    evaluation = Evaluation(folder, place.jobs, Alone(setup), batch)
    try:
        evaluation.go()
    finally:
        folder.leave(place.jobs, sorted(evaluation.machines))
    return [problem.sentence for problem in evaluation.problems]


def _tracker(run: Run, device: str) -> Tracker:
    """The tracker of a run's weights, as its variant tries them.

    Raises:
        RecipeError: if the weights do not fit the preset that the variant names.
    """
    trial = run.variant.trial
    system = load(run.recipe.system, _weights(run), run.recipe.second)
    if trial.preset is not None:
        other = build(trial.preset, run.recipe.second, run.recipe.options)
        try:
            other.load_state_dict(system.state_dict())
        except RuntimeError:
            raise RecipeError(
                f"The weights of {run.recipe.system} do not fit {trial.preset}, with which {run.name} tries them: "
                "name a preset of the same shape."
            ) from None
        system = other
    system.decoding = replace(system.decoding, **trial.decoding)
    return Tracker(system, device, trial.missing)


def _weights(run: Run) -> Path:
    return TrainingFolder(run.source).last


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
