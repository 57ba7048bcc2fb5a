"""A run's folder: its recipe and surroundings, checkpoint, weights, log and scores."""

from __future__ import annotations

import json
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from tectum.errors import RecipeError
from tectum.training.checkpoint import read_checkpoint, write_checkpoint
from tectum.training.recipe import Recipe, Validation, written

PACKAGES = ("torch", "numpy", "opencv-python-headless", "lightning-fabric", "tectum")
"""Whose versions are stored with a run."""


@dataclass(frozen=True)
class RunFolder:
    """Where a run keeps what it makes.

    Attributes:
        path: the folder.
    """

    path: Path

    @property
    def checkpoint(self) -> Path:
        """From which the run goes on."""
        return self.path / "checkpoint.pt"

    @property
    def last(self) -> Path:
        """The weights of the last checkpoint."""
        return self.path / "last.safetensors"

    @property
    def best(self) -> Path:
        """The weights with the best score."""
        return self.path / "best.safetensors"

    @property
    def log(self) -> Path:
        """A line for every twentieth batch."""
        return self.path / "log.csv"

    def make(self) -> None:
        """Makes the folder.

        Raises:
            RecipeError: if that is not possible.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = "it is a file" if self.path.is_file() else error.strerror
            raise RecipeError(f"The folder {self.path} cannot be made ({reason}): give another with --out.") from None

    def begin(self, recipe: Recipe, surroundings: Mapping[str, Any]) -> None:
        """Stores what a new run is of."""
        (self.path / "recipe.yaml").write_text(written(recipe))
        self._write("environment.json", surroundings)
        (self.path / "scores.json").unlink(missing_ok=True)

    def save(self, recipe: Recipe, data: str, state: Mapping[str, Any]) -> None:
        """Writes the checkpoint.

        Args:
            recipe: of the run.
            data: hash of its data.
            state: everything else.
        """
        write_checkpoint(self.checkpoint, {"recipe": comparable(recipe), "data": data, **state})

    def load(self, recipe: Recipe, data: str) -> dict[str, Any] | None:
        """Reads the checkpoint; `None` where there is none yet.

        Raises:
            RecipeError: if it is damaged, or of another recipe or other data.
        """
        if not self.checkpoint.is_file():
            return None
        state = read_checkpoint(self.checkpoint)
        if state["recipe"] != comparable(recipe):
            raise RecipeError(
                f"{self.checkpoint} was made by another recipe (see {self.path / 'recipe.yaml'}): "
                "train into another folder with --out, or delete this one."
            )
        if state["data"] != data:
            raise RecipeError(
                f"{self.checkpoint} was made with other data than is there now: put the files back as they were, "
                "or train into another folder with --out."
            )
        return state

    def write_scores(self, batch: int, scores: Mapping[str, float]) -> None:
        """Stores the scores of the weights after a batch."""
        self._write("scores.json", {"batch": batch, "scores": dict(scores)})

    def scores(self) -> tuple[int, dict[str, float]]:
        """The batch and the scores of the last validation.

        Raises:
            RecipeError: if there are none.
        """
        path = self.path / "scores.json"
        try:
            held = json.loads(path.read_text())
            return int(held["batch"]), {str(name): float(value) for name, value in held["scores"].items()}
        except FileNotFoundError:
            raise RecipeError(f"{self.path} holds no scores of a run: train first, or name its folder.") from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise RecipeError(f"{path} is damaged: run the training again, or restore the file.") from None

    def _write(self, name: str, content: Mapping[str, Any]) -> None:
        partial = self.path / f".{name}.part"
        partial.write_text(json.dumps(content, indent=1) + "\n")
        partial.replace(self.path / name)


def comparable(recipe: Recipe) -> str:
    """What of a recipe must be equal to take a run up: all that changes its weights."""
    alike = replace(recipe, workers=0, checkpoint=1, validation=Validation(), wandb=None, expect={})
    return written(alike, without=("strategy",))


def surroundings(device: torch.device, processes: int) -> dict[str, Any]:
    """What a run depends on beside its recipe: revision, versions, machine."""
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return {
        "revision": _revision(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in PACKAGES},
        "device": gpu or platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "processes": processes,
    }


def _revision() -> str | None:
    """The git revision of this code, with `+` if it was changed since; `None` outside of a checkout."""
    here = Path(__file__).parent
    try:
        _git(here, "ls-files", "--error-unmatch", "loop.py")  # or it is somebody else's repository
        head = _git(here, "rev-parse", "HEAD")
        return head + ("+" if _git(here, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except ImportError:
        return None
