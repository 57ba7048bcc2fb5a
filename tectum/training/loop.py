"""The training loop: resumable at every checkpoint, the same for the same recipe."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Subset

from tectum.errors import RecipeError
from tectum.geometry import from_centered, iou
from tectum.systems.base import Batch, System
from tectum.systems.catalogue import build
from tectum.systems.objectives import boxes_at
from tectum.training.batches import PairBatches, RawBatch
from tectum.training.pairs import PairMaker
from tectum.training.recipe import Optimiser, Recipe, written

CHECKPOINT = "checkpoint.pt"
HELD_OUT = 6
"""Batches of the validation."""


@dataclass(frozen=True)
class Step:
    """What one batch brought.

    Attributes:
        batch: batches done.
        losses: weighted parts of the loss.
        overlap: mean overlap of the averaged weights' boxes on held-out pairs, at checkpoints only.
        rate: learning rate.
        speed: pairs in a second since the last batch.
    """

    batch: int
    losses: dict[str, float]
    overlap: float | None
    rate: float
    speed: float


class Training:
    """One run in one folder.

    Args:
        recipe: what to do.
        folder: where checkpoints and the log go; a checkpoint of the same recipe there is taken up.
        device: where the network is.

    Raises:
        RecipeError: if the folder cannot be made or holds a checkpoint that is damaged or of another recipe, or
            the recipe does not suit the system.
    """

    def __init__(self, recipe: Recipe, folder: Path, device: str = "cpu") -> None:
        self.recipe, self.folder, self.device = recipe, folder, torch.device(device)
        _make(folder)
        torch.manual_seed(recipe.seed)
        self.system = build(recipe.system, recipe.second)
        check_crops(self.system, recipe)
        self.system.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        groups = [
            {"params": list(group.parameters), "lr": recipe.optimiser.rate * group.rate}
            for group in self.system.trainable()
        ]
        self.optimiser = torch.optim.AdamW(groups, weight_decay=recipe.optimiser.weight_decay)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimiser, lambda step: rate_at(step, recipe.batches, recipe.optimiser)
        )
        average = get_ema_multi_avg_fn(recipe.optimiser.averaging)  # type: ignore[no-untyped-call]
        self.averaged = AveragedModel(self.system, multi_avg_fn=average, use_buffers=True)
        self.maker = PairMaker(recipe.read_footage(), recipe.mixture, recipe.crops)
        self.done = 0
        self._take_up()

    @property
    def result(self) -> System:
        """The system with the averaged weights."""
        system = self.averaged.module
        assert isinstance(system, System)
        return system.eval()

    def run(self) -> Iterator[Step]:
        """Trains to the recipe's end, telling of every batch; checkpoints as it goes and when it is closed."""
        try:
            started = time.perf_counter()
            for raw in self._batches():
                losses = self._step(raw.batch(self.device, self.done / self.recipe.batches))
                self.done += 1
                overlap = None
                if self.done % self.recipe.checkpoint_every == 0 or self.done == self.recipe.batches:
                    self.save()
                    overlap = self.validate()
                now = time.perf_counter()
                speed, started = self.recipe.batch_size / (now - started), now
                yield Step(self.done, losses, overlap, float(self.schedule.get_last_lr()[0]), speed)
        finally:
            self.save()

    def save(self) -> None:
        """Writes the checkpoint; an interruption while writing leaves the previous one whole."""
        state = {
            "recipe": _comparable(self.recipe),
            "done": self.done,
            "system": self.system.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
        }
        partial = self.folder / (CHECKPOINT + ".part")
        torch.save(state, partial)
        partial.replace(self.folder / CHECKPOINT)

    def _take_up(self) -> None:
        path = self.folder / CHECKPOINT
        if not path.is_file():
            (self.folder / "recipe.yaml").write_text(written(self.recipe))
            return
        state = _checkpoint(path, self.device)
        if state["recipe"] != _comparable(self.recipe):
            raise RecipeError(
                f"{path} was made by another recipe (see {self.folder / 'recipe.yaml'}): "
                "train into another folder with --out, or delete this one."
            )
        self.done = state["done"]
        self.system.load_state_dict(state["system"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])

    def _pairs(self, count: int, seed: int) -> PairBatches:
        recipe = self.recipe
        required = self.system.required
        return PairBatches(self.maker, recipe.strengths, recipe.batch_size, count, seed, recipe.lone, required)

    def _batches(self) -> DataLoader[RawBatch]:
        workers = self.recipe.workers
        rest = Subset(self._pairs(self.recipe.batches, self.recipe.seed), range(self.done, self.recipe.batches))
        return DataLoader(rest, batch_size=None, num_workers=workers, prefetch_factor=4 if workers else None)

    @cached_property
    def held_out(self) -> tuple[RawBatch, ...]:
        """Batches that training never shows, made once."""
        pairs = self._pairs(HELD_OUT, self.recipe.seed + 1_000_000)
        return tuple(pairs[index] for index in range(HELD_OUT))

    @torch.inference_mode()
    def validate(self) -> float:
        """Mean overlap of the averaged weights' boxes with the truth, over pairs that training never shows."""
        overlaps = []
        for raw in self.held_out:
            batch = raw.batch(self.device, 1.0)
            maps = self.result(self.result.embed(batch.template, batch.prompt), batch.search)
            boxes = from_centered(boxes_at(maps, maps.score.flatten(1).argmax(dim=1)))
            overlaps.append(iou(boxes, batch.boxes))
        return float(torch.cat(overlaps).nanmean())

    def _settle(self) -> None:
        """From the recipe's point on, fixes the statistics of batch normalisation at their running average."""
        start = round(self.recipe.batches * (1 - self.recipe.settle))
        if self.done < start:
            return
        if self.done == start:
            averages = dict(self.averaged.module.named_buffers())
            for name, buffer in self.system.named_buffers():
                buffer.copy_(averages[name])
        for module in self.system.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()

    def _step(self, batch: Batch) -> dict[str, float]:
        self.system.train()
        self._settle()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.precision == "bf16"):
            losses = self.system.objective(batch)
        self.optimiser.zero_grad()
        losses.total.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.system.parameters(), self.recipe.optimiser.clip)
        self.optimiser.step()
        self.schedule.step()
        self.averaged.update_parameters(self.system)
        return {name: float(part.detach()) for name, part in losses.parts.items()}


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = "it is a file" if folder.is_file() else error.strerror
        raise RecipeError(f"The folder {folder} cannot be made ({reason}): give another with --out.") from None


def check_crops(system: System, recipe: Recipe) -> None:
    """Makes sure that the recipe's crops are of a size that the system takes.

    Raises:
        RecipeError: if they are not.
    """
    wanted, given = system.crops, recipe.crops
    sizes = (given.template_size, given.search_size)
    if not system.any_size and sizes != (wanted.template_size, wanted.search_size):
        raise RecipeError(
            f"The recipe makes crops of {sizes[0]} and {sizes[1]} pixels, but {recipe.system} takes only "
            f"{wanted.template_size} and {wanted.search_size}: set template_size and search_size to these."
        )


def _comparable(recipe: Recipe) -> str:
    """The recipe as it must be to take up a checkpoint: where its footage lies does not matter."""
    return written(replace(recipe, footage=replace(recipe.footage, root=None)))


def _checkpoint(path: Path, device: torch.device) -> dict[str, Any]:
    try:
        state = torch.load(path, map_location=device, weights_only=True)
        complete = {"recipe", "done", "system", "averaged", "optimiser", "schedule"} <= state.keys()
    except Exception:  # a damaged file makes the reader fail in any way at all
        complete = False
    if not complete:
        raise RecipeError(f"{path} is damaged: delete it to begin anew, or train into another folder with --out.")
    return state  # type: ignore[no-any-return]


def rate_at(step: int, steps: int, optimiser: Optimiser) -> float:
    """Share of the highest learning rate at a step: linear warm-up, then a cosine down to the floor."""
    if step < optimiser.warmup:
        return (step + 1) / optimiser.warmup
    done = (step - optimiser.warmup) / max(1, steps - optimiser.warmup)
    return optimiser.floor + (1 - optimiser.floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
