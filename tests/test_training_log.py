"""The log of a run: its table, and Weights & Biases where asked."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tectum.errors import RecipeError
from tectum.training.log import Table, WeightsAndBiases, rows_until
from tectum.training.recipe import Recipe
from tectum.training.run import run_training
from tests.trainings import procedural


class Service(ModuleType):
    """Stands in for the package `wandb`: it remembers what it is told."""

    class Error(Exception):
        pass

    def __init__(self) -> None:
        super().__init__("wandb")
        self.begun: list[dict[str, Any]] = []
        self.told: list[tuple[int, dict[str, float]]] = []
        self.finished = 0

    def init(self, **settings: Any) -> SimpleNamespace:
        self.begun.append(settings)
        return SimpleNamespace(log=lambda values, step: self.told.append((step, values)), finish=self.finish)

    def finish(self) -> None:
        self.finished += 1


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    service = Service()
    monkeypatch.setitem(sys.modules, "wandb", service)
    return service


def test_a_log_forgets_what_came_after_the_checkpoint_and_takes_new_columns(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("batch,loss\n20,3\n40,2\n60,1\n")
    assert rows_until(path, 0) == []
    table = Table(path, 40)
    table.log(60, {"loss": 1.5})
    table.log(80, {"loss": 1.0, "overlap": 0.25})
    table.log(100, {"loss": 0.5})
    assert path.read_text() == "batch,loss,overlap\n20,3,\n40,2,\n60,1.5,\n80,1,0.25\n100,0.5,\n"


def test_a_run_is_told_to_weights_and_biases(tmp_path: Path, service: Service) -> None:
    recipe = procedural("wandb=tracking", "schedule.epochs=1", "validation.every=1")
    assert run_training(recipe, tmp_path / "nano", quiet=True) == 0
    (step, values), (begun,) = *service.told, service.begun
    assert step == 2
    assert values.keys() >= {"focal", "giou", "rate", "speed", "overlap"}
    assert begun["project"] == "tracking"
    assert begun["name"] == f"{tmp_path.name}/nano"
    assert "wandb: tracking" in begun["config"]["recipe"]
    assert service.finished == 1


def test_a_stopped_run_goes_on_there_and_another_of_the_same_name_is_another(tmp_path: Path, service: Service) -> None:
    for folder, done in (("a/1", 0), ("a/1", 20), ("b/1", 0), ("a/1", 0)):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            WeightsAndBiases(tmp_path / folder, Recipe(wandb="tracking"), done, stack)
    first, resumed, other, anew = (begun["id"] for begun in service.begun)
    assert first == resumed
    assert len({first, other, anew}) == 3


def test_what_is_wrong_with_weights_and_biases_is_one_sentence(
    tmp_path: Path, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**settings: Any) -> SimpleNamespace:
        raise service.Error("No API key configured.\nMore.")

    recipe = procedural("wandb=tracking")
    service.init = refuse  # type: ignore[method-assign]
    with pytest.raises(RecipeError, match=r"does not begin a run \(No API key configured\): set WANDB_MODE=offline"):
        run_training(recipe, tmp_path, quiet=True)
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(RecipeError, match="pip install wandb"):
        run_training(recipe, tmp_path, quiet=True)


def test_the_package_itself_takes_what_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="pip install wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    recipe = procedural("wandb=tracking", "schedule.epochs=1", "validation.every=1")
    assert run_training(recipe, tmp_path, quiet=True) == 0
    (kept,) = (tmp_path / "wandb").glob("offline-run-*/*.wandb")
    # Its own process writes the file and may end after `finish` has returned.
    deadline = time.monotonic() + 20
    while b"overlap" not in kept.read_bytes() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert b"overlap" in kept.read_bytes()
