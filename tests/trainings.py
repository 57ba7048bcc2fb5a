"""Small trainings on procedural pairs, that tests run in a second or two."""

from __future__ import annotations

import atexit
import copy
import os
import socket
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

import torch
from lightning_fabric.strategies.model_parallel import ModelParallelStrategy

from tectum.networks.vit import ViTConfig
from tectum.systems.base import System
from tectum.systems.catalogue import build
from tectum.systems.ostrack import OSTrack, OSTrackConfig
from tectum.training.fabric import start_fabric
from tectum.training.loop import Hooks, Objective, Training
from tectum.training.parallel import local, share_out, whole
from tectum.training.recipe import Recipe
from tectum.training.recipe_file import read_recipe
from tectum.weights import save

ROOT = Path(__file__).resolve().parents[1]

WORLD = [
    "data.clips.share=0",
    "data.stills.share=0",
    *(f"data.world.{setting}" for setting in ("pictures=[]", "cutouts=[]", "plates=4", "things=8")),
]
"""Settings that leave of `nano` what needs no real data."""

SMALL = [
    *WORLD,
    *("schedule.epochs=2", "schedule.samples=4", "schedule.warmup=0", "crops.search_size=128"),
    *("batch.size=2", "workers=0", "precision=fp32", "validation.every=2", "validation.pairs=2"),
]
"""Settings that make of it four batches of two pairs."""

TINY = ViTConfig(template_size=32, search_size=64, patch=16, width=16, depth=2, heads=2, eliminate_at=(1,))


def procedural(*changes: str) -> Recipe:
    return read_recipe("nano", [*SMALL, *changes])


def tiny(recipe: Recipe, drop_path: float = 0.1) -> System:
    """A transformer of a few thousand weights."""
    torch.manual_seed(recipe.seed)
    return OSTrack(OSTrackConfig(replace(TINY, drop_path=drop_path), search_factor=4.0, head=16))


def transformed(*changes: str) -> Recipe:
    """A recipe for `tiny`, with statistics fixed throughout: whole batches and parts of them are then the same."""
    recipe = procedural(
        *("batch.size=16", "batch.group=4", "schedule.samples=48", "schedule.epochs=1", "optim.settle=1"),
        *("data.world.ranges.absent=0", "data.world.ranges.wide=0", "optim.ema=0", *changes),
    )
    return replace(recipe, crops=type(recipe.crops)(), system="ostrack-b256")


STEADY = Hooks(build=partial(tiny, drop_path=0.0))
"""Builds `tiny` without anything drawn at random in it."""


def finished(training: Training) -> Training:
    """Trains to the recipe's end."""
    for _ in training.run():
        pass
    return training


def transform(folder: Path, *changes: str) -> dict[str, torch.Tensor]:
    """Trains `tiny`, without anything drawn at random in the network, and returns its weights."""
    return finished(Training(transformed(*changes), folder, hooks=STEADY)).system.state_dict()


def headstrong(recipe: Recipe) -> System:
    """`tiny` with all but its head frozen."""
    system = tiny(recipe, drop_path=0.0)
    assert isinstance(system, OSTrack)
    system.trainable = lambda: OSTrack.trainable(system)[:1]  # type: ignore[method-assign]
    return system


def mixed(folder: Path, strategy: str) -> Training:
    """Trains `nano` with all that a run can have; which senses are shown changes from batch to batch."""
    recipe = procedural(
        *("batch.size=4", "batch.group=1", "batch.micro=1", "schedule.samples=16", "schedule.epochs=1"),
        *("crops.template_size=32", "crops.search_size=64", "validation.every=1", f"strategy={strategy}"),
        *("senses={rgb: 0.5, rgb+depth: 0.5}", "optim.ema=0.5", "optim.settle=0.5", "optim.clip=0.1"),
    )
    return finished(Training(recipe, folder, hooks=Hooks(keep=partial(save, preset="nano", half=False))))


OPENED = ("ckd-tiny", "sdstrack-tiny", "patrack-tiny")
"""Systems that run parts of their blocks by themselves."""


def opened(system: str) -> None:
    """Makes sure that one of `OPENED` has the same loss and gradients where two processes share out its weights."""
    torch.manual_seed(0)
    network = build(system).train()
    network.equip()
    plain = copy.deepcopy(network)
    mesh = cast(ModelParallelStrategy, start_fabric("cpu", "fp32", "fsdp", uneven=False).strategy).device_mesh
    shared = share_out(Objective(network), mesh["data_parallel"])
    template, search = ({sense: torch.rand(2, 3, side, side) for sense in sorted(network.senses)} for side in (64, 128))
    boxes = torch.tensor([[0.3, 0.4, 0.2, 0.3]] * 2)
    given = (template, search, boxes, boxes, None, 0.5, None)
    losses = []
    for objective in (Objective(plain), shared):
        torch.manual_seed(1)
        losses.append(torch.stack(list(objective(*given).values())))
        losses[-1].sum().backward()
    torch.testing.assert_close(*losses)
    for parameter, other in zip(plain.parameters(), network.parameters(), strict=True):
        if parameter.grad is not None and other.requires_grad:
            torch.testing.assert_close(whole(other.grad), parameter.grad, atol=1e-5, rtol=1e-3)


def tell_threads(file: Path) -> None:
    """Writes the names of the threads that are left, one a line."""
    file.write_text("".join(sorted((task / "comm").read_text() for task in Path("/proc/self/task").iterdir())))


def in_two_processes(code: str, patience: float) -> None:
    """Runs Python that may name `Path` in each of two processes, started as `torchrun` would.

    Args:
        code: what both run.
        patience: seconds that each may take.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    settings |= {"TORCHELASTIC_RUN_ID": "test", "OMP_NUM_THREADS": "1", "GROUP_RANK": "0"}
    command = [sys.executable, "-c", f"from pathlib import Path; {code}"]
    workers = [
        subprocess.Popen(command, cwd=ROOT, env={**os.environ, **settings, "RANK": rank, "LOCAL_RANK": rank})
        for rank in ("0", "1")
    ]
    try:
        assert [worker.wait(patience) for worker in workers] == [0, 0]
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()


def divided(folder: Path) -> None:
    """What each of two processes that train together does, in folders of the same names."""
    atexit.register(tell_threads, folder / f"threads-{os.environ['RANK']}.txt")
    for strategy in ("ddp", "fsdp"):
        transform(folder / strategy, f"strategy={strategy}")
        training = mixed(folder / f"nano-{strategy}", strategy)
        weights = list(training.system.parameters())
        kept = sum(local(weight).numel() for weight in weights) / sum(weight.numel() for weight in weights)
        assert abs(kept - (1 if strategy == "ddp" else 0.5)) < 0.02
        for single in (weight for weight in weights if weight.dim() == 0):
            assert training.fabric.all_gather(single.detach()).unique().numel() == 1
        steps = Training(transformed(f"strategy={strategy}"), folder / "changing", hooks=STEADY).run()
        next(steps)
        steps.close()
    for system in OPENED:
        opened(system)
    finished(Training(transformed("strategy=fsdp"), folder / "frozen", hooks=Hooks(build=headstrong)))


def moved(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> set[str]:
    """The parts of a system whose weights differ."""
    return {name.partition(".")[0] for name in one if not torch.equal(one[name], other[name])}


def assert_alike(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    """Weights that moved, and differ by nothing but the order of sums."""
    start = tiny(procedural()).state_dict()
    assert sum(float((one[name] - start[name]).abs().sum()) for name in one) > 1
    for name, tensor in one.items():
        torch.testing.assert_close(tensor, other[name], atol=1e-6, rtol=0)
