"""What a run has left on disk: whose it is, how far it has come, and who works on it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from tectum.ablation.grid import Run
from tectum.ablation.places import Place
from tectum.errors import RecipeError, TectumError
from tectum.evaluation.run_folder import Config, RunFolder, write_whole
from tectum.training.folder import RunFolder as TrainingFolder
from tectum.training.log import rows_until

RECORD = "run.json"
"""The record of a run, in its folder."""

LOCKS = ".locks"
"""Where locks lie, in the folder of the study; a lock dies with its process."""

SPEEDS = 5
"""Lines of the log whose mean speed foretells the end."""


@dataclass(frozen=True)
class Record:
    """What is stored of a run.

    Attributes:
        digest: over all that decides it.
        weights: SHA-256 of its weights, or of those that it tries; `None` until they are trained.
        trained: how many parameters trained.
        parameters: how many there are.
        samples: pairs that the weights have seen.
    """

    digest: str
    weights: str | None = None
    trained: int = 0
    parameters: int = 0
    samples: int = 0

    def write(self, folder: Path) -> None:
        """Stores it."""
        write_whole(folder / RECORD, json.dumps(asdict(self), indent=1) + "\n")


@dataclass(frozen=True)
class Standing:
    """How far a run is.

    Attributes:
        trained: share of its training that is logged, in [0, 1].
        scored: sequences that are tracked.
        sequences: all sequences.
        left: seconds to the end of its training; `None` where nothing tells.
    """

    trained: float
    scored: int
    sequences: int
    left: float | None = None

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""
        return self.trained == 1 and self.scored == self.sequences


def read_record(folder: Path) -> Record | None:
    """The record of a run; `None` where there is none.

    Raises:
        RecipeError: if it is damaged.
    """
    path = folder / RECORD
    if not path.is_file():
        return None
    try:
        return Record(**json.loads(path.read_text("utf-8")))
    except (ValueError, TypeError):
        raise RecipeError(f"{path} is damaged: delete the folder, and the run is done again.") from None


def standing(run: Run, places: Iterable[Place]) -> Standing:
    """How far a run is, as its files tell."""
    places = tuple(places)
    total = sum(len(place.jobs) for place in places)
    source = read_record(run.source)
    if source is None or source.weights is None:
        return _in_training(run, total)
    record = read_record(run.folder)
    if record is None or record.weights != source.weights:
        return Standing(1.0, 0, total)
    return Standing(1.0, sum(tracked(run, place) for place in places), total)


def _in_training(run: Run, total: int) -> Standing:
    rows = rows_until(TrainingFolder(run.source).log, run.recipe.batches)
    done = int(rows[-1]["batch"]) if rows else 0
    speeds = [float(row["speed"]) for row in rows[-SPEEDS:] if "speed" in row]
    left = (run.recipe.batches - done) * run.recipe.batch.size
    seconds = left * len(speeds) / sum(speeds) if speeds else None
    # The last batch is logged before the weights are written.
    return Standing(min(done / run.recipe.batches, 0.999), 0, total, seconds)


def tracked(run: Run, place: Place) -> int:
    """How many sequences of a place are tracked."""
    folder = RunFolder(run.folder / place.folder, _NOBODY, {})
    return sum(folder.is_complete(job) for job in place.jobs)


def check_folders(runs: Sequence[Run]) -> None:
    """Makes sure that what is in the folders of runs is theirs.

    Raises:
        RecipeError: if a folder holds a run of another recipe, or of weights that have been replaced.
    """
    for run in runs:
        record, source = read_record(run.folder), read_record(run.source)
        if record is None:
            continue
        if record.digest != run.digest:
            raise RecipeError(
                f"{run.folder} holds a run of another recipe, budget or way to evaluate than {run.name} has now: "
                "give another folder with --out, or delete this one."
            )
        if record.weights is not None and (source is None or source.weights != record.weights):
            raise RecipeError(f"{run.folder} was scored with weights that are gone: delete it to score it again.")


def lock_of(run: Run, out: Path) -> Path:
    """The file whose lock is held by whoever works on a run."""
    return out / LOCKS / f"{run.folder.relative_to(out).as_posix().replace('/', ' ')}.lock"


def is_taken(path: Path) -> bool:
    """Whether another process holds a lock.

    Raises:
        TectumError: if the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path, blocking=False):
            return False
    except Timeout:
        return True
    except OSError as error:
        raise TectumError(f"{path} cannot be written ({error.strerror}): give another folder with --out.") from None


_NOBODY = Config("", "", "", "", "", 1, "", "", 1)
"""Of a run that is only looked at."""
