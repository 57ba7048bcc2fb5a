"""Processes that train together make what one alone does, whatever they share."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tectum.systems.catalogue import build
from tectum.training.loop import Training
from tests.trainings import (
    STEADY,
    assert_alike,
    finished,
    in_two_processes,
    moved,
    procedural,
    tiny,
    transform,
    transformed,
)


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all that two processes did together, started as `torchrun` would."""
    folder = tmp_path_factory.mktemp("together")
    in_two_processes(f"from tests.trainings import divided; divided(Path({str(folder)!r}))", patience=240)
    return folder


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    """The weights that one process makes."""
    return transform(tmp_path_factory.mktemp("alone"))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    held: dict[str, torch.Tensor] = torch.load(folder / "checkpoint.pt", weights_only=True)["system"]
    return held


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_two_processes_equal_one(strategy: str, together: Path, alone: dict[str, torch.Tensor]) -> None:
    assert_alike(alone, weights(together / strategy))


def test_a_run_may_change_its_processes_and_what_they_share(together: Path, alone: dict[str, torch.Tensor]) -> None:
    last = Training(transformed(), together / "changing", hooks=STEADY)
    assert last.done == 2
    assert_alike(alone, finished(last).system.state_dict())


def test_no_thread_of_the_exchange_outlives_training(together: Path) -> None:
    for rank in (0, 1):
        left = (together / f"threads-{rank}.txt").read_text().split()
        assert left
        assert not [name for name in left if "gloo" in name or "tcpstore" in name]


@pytest.mark.parametrize("name", ["last", "best"])
def test_averaged_weights_and_statistics_are_those_of_shared_batches(name: str, together: Path) -> None:
    one, other = (load_file(together / f"nano-{strategy}" / f"{name}.safetensors") for strategy in ("ddp", "fsdp"))
    torch.manual_seed(procedural().seed)
    start = build("nano").state_dict()
    assert {"sharpness", "head.enter.1.running_mean"} <= {key for key in one if not torch.equal(one[key], start[key])}
    # Of the gate's bias, which adds the same to all senses, nothing depends: it is moved by rounding alone.
    for key in one.keys() - {"gate.weight.bias"}:
        way, distance = ((one[key] - each[key]).float().norm() for each in (start, other))
        assert distance <= 0.02 * way, key


def test_only_what_a_system_trains_moves_in_shared_weights(together: Path) -> None:
    assert moved(tiny(transformed()).state_dict(), weights(together / "frozen")) == {"head"}
