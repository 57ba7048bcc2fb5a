"""The folder of a run: complete files or none, one claimant for each, and a record of how they came about."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from tectum.benchmarks.numbers import NumbersError, read_rows
from tectum.errors import ResultError, TectumError
from tectum.evaluation.jobs import TIMES, Job
from tectum.evaluation.passes import Pass

RECORD = "run.json"
"""The record of a run, in its folder."""

LOCKS = ".locks"
"""Where the locks of sequences in work lie; a lock dies with its process."""

PACKAGES = ("tectum", "torch", "numpy", "opencv-python-headless")
"""Whose versions are recorded."""


@dataclass(frozen=True)
class Config:
    """All that decides the boxes of a run: how many processes share the work does not.

    Attributes:
        preset: which tracker.
        weights: SHA-256 of the weights file.
        second: the sense beside RGB.
        missing: the policy for missing senses.
        device: the kind of processor, such as `cpu` or `cuda`.
        batch: how many sequences are tracked in lockstep.
        benchmark: its name.
        split: which sequences.
        repetitions: how often each is tracked.
        version: of a benchmark that is rendered; empty for others.
        drop: which senses are hidden where, as `Drop` writes it; empty for none.
        drop_seed: of the frames that are drawn for it; `None` where none are.
    """

    preset: str
    weights: str
    second: str
    missing: str
    device: str
    batch: int
    benchmark: str
    split: str
    repetitions: int
    version: str = ""
    drop: str = ""
    drop_seed: int | None = None


class RunFolder:
    """Where a run writes.

    Args:
        path: the folder; it is made where needed.
        config: of the run.
        sources: where weights and data lie, for the record only.
    """

    def __init__(self, path: Path, config: Config, sources: Mapping[str, str]) -> None:
        self.path = path
        self.config = config
        self._sources = dict(sources)
        self._started = _now()

    def enter(self, jobs: Sequence[Job]) -> None:
        """Begins the record of a new run, or makes sure that this is the same run as the one begun before.

        Args:
            jobs: all that the run has to do.

        Raises:
            TectumError: if the folder belongs to another run or cannot be written.
        """
        with _writing(self.path), self._record() as record:
            if not record and (foreign := _foreign(self.path)):
                raise TectumError(
                    f"{self.path} holds {foreign}, but no {RECORD} says of which run: give another folder by --out."
                )
            self._compare(record)
            record.setdefault("config", asdict(self.config))
            record.setdefault("started", self._started)
            record.update({"ended": None, **self._sources})

    def threads(self, wanted: int) -> int:
        """How many threads each worker takes: as many as at the first start, since they decide last digits.

        Args:
            wanted: how many it would take at a first start.

        Raises:
            TectumError: if the record cannot be read or written.
        """
        with _writing(self.path), self._record() as record:
            return int(record.setdefault("threads", wanted))

    def _compare(self, record: Mapping[str, Any]) -> None:
        if "config" not in record:
            return
        # Nothing was dropped before a record could say so.
        known, ours = {"drop": "", "drop_seed": None, **record["config"]}, asdict(self.config)
        other = [
            f"{key.replace('_', ' ')} {_shown(known[key])} instead of {_shown(ours[key])}"
            for key in ours
            if key in known and known[key] != ours[key]
        ]
        if other:
            raise TectumError(
                f"{self.path} belongs to a run with {', '.join(other)}: give another folder by --out, or the same "
                "settings to continue that run."
            )

    def is_complete(self, job: Job) -> bool:
        """Whether the files of a job are there."""
        return self._file(job, ".txt").is_file()

    def claim(self, job: Job) -> FileLock | None:
        """Takes a job for this process; `None` where another process has it or it has become complete.

        The lock is given back by `release`, or by the system when the process ends, however it ends.
        """
        path = self.path / LOCKS / f"{job.key.replace('/', ' ')}.lock"
        with _writing(path):
            path.parent.mkdir(exist_ok=True)
            lock = FileLock(path)
            try:
                lock.acquire(blocking=False)
            except Timeout:
                return None
        if self.is_complete(job):
            self.release(job, lock)
            return None
        return lock

    def release(self, job: Job, lock: FileLock) -> None:
        """Gives a claim back."""
        # Only when complete: whoever has opened the file before it is removed then finds nothing left to do.
        if self.is_complete(job):
            with suppress(OSError):
                Path(lock.lock_file).unlink()
        lock.release()

    def write(self, job: Job, result: Pass) -> None:
        """Writes the files of a job that this process has claimed; the boxes come last and mark it as complete.

        Raises:
            TectumError: if they cannot be written.
        """
        coded = job.start if job.coded else None
        texts = {
            f"{TIMES}.txt": result.seconds_text(),
            "_confidence.value": result.confidences_text(coded),
            ".txt": result.boxes_text(coded),
        }
        for ending, text in texts.items():
            write_whole(self._file(job, ending), text)

    def leave(self, jobs: Sequence[Job], machines: Sequence[str]) -> None:
        """Completes the record: when it ended, where it ran, how fast.

        Args:
            jobs: all that the run had to do.
            machines: names of the processors that took part.

        Raises:
            TectumError: if it cannot be written.
        """
        speeds = {job.key: self._speed(job) for job in jobs if self.is_complete(job)}
        known = [speed for speed in speeds.values() if speed is not None]
        with _writing(self.path), self._record() as record:
            starts = record.setdefault("starts", [])
            starts.append({"started": self._started, "ended": _now(), "machines": sorted(machines), **_versions()})
            record["ended"] = starts[-1]["ended"] if len(speeds) == len(jobs) else None
            record["complete"] = f"{len(speeds)} of {len(jobs)}"
            record["frames_per_second"] = {
                "mean": round(float(np.mean(known)), 2) if known else None,
                "by_sequence": speeds,
            }

    def _speed(self, job: Job) -> float | None:
        """Frames per second over the images that were tracked."""
        try:
            seconds = read_rows(self._file(job, f"{TIMES}.txt"))[job.start :]
        except NumbersError:
            return None
        return round(len(seconds) / float(seconds.sum()), 2) if seconds.sum() > 0 else None

    def _file(self, job: Job, ending: str) -> Path:
        return self.path / f"{job.key}{ending}"

    @contextmanager
    def _record(self) -> Iterator[dict[str, Any]]:
        """The record, to be changed; several processes take turns."""
        (self.path / LOCKS).mkdir(parents=True, exist_ok=True)
        path = self.path / RECORD
        with FileLock(self.path / LOCKS / f"{RECORD}.lock"):
            record = _read_record(path)
            yield record
            write_whole(path, json.dumps(record, indent=2) + "\n")


def write_whole(path: Path, text: str) -> None:
    """Writes a file that is never seen half written, not even after the process is killed or the power fails.

    Args:
        path: the file, which only one process writes at a time; folders are made where needed.
        text: what it shall hold.

    Raises:
        TectumError: if it cannot be written.
    """
    unfinished = path.with_name(f".{path.name}.part")
    with _writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with unfinished.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise TectumError(f"{path} cannot be written ({reason}): give another folder or free some space.") from None


def _foreign(folder: Path) -> str:
    """The first file or folder in a folder, the record and hidden ones aside; empty if there is none."""
    found = (path.name for path in folder.iterdir() if path.name != RECORD and not path.name.startswith("."))
    return min(found, default="")


def _read_record(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        record = json.loads(path.read_text("utf-8"))
    except ValueError:
        record = None
    if not isinstance(record, dict) or not isinstance(record.get("config", {}), dict):
        raise TectumError(f"{path} is damaged: remove it with the rest of the folder, or give another folder by --out.")
    return record


def _shown(setting: object) -> object:
    return "none" if setting in ("", None) else setting


def recorded(folder: Path, setting: str) -> str:
    """What a folder's record says of a setting, such as the version of its benchmark; empty where no record says."""
    with suppress(TectumError, OSError):
        return str(_read_record(folder / RECORD).get("config", {}).get(setting, ""))
    return ""


def recorded_run(folder: Path) -> tuple[Config, Path]:
    """The settings of the run that a folder is of, and the folder of its data.

    Raises:
        ResultError: if no record says.
    """
    record = _read_record(folder / RECORD)
    try:
        settings = {each.name: record["config"][each.name] for each in fields(Config) if each.name in record["config"]}
        return Config(**settings), Path(record["root"])
    except (KeyError, TypeError):
        raise ResultError(
            f"{folder} has no {RECORD} that says of which run it is: name a folder that `tectum evaluate` made."
        ) from None


def _versions() -> dict[str, str]:
    """Versions of Python and of the packages that matter, as far as they are installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name.removesuffix("-python-headless")] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
