"""The training loop: the same for the same recipe, however often it is stopped and however it is divided."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset

from tectum.errors import RecipeError
from tectum.frames import Modality, Prompt
from tectum.systems.base import Batch, Crops, System
from tectum.systems.catalogue import build
from tectum.training.batches import Batches, Division, Purpose, SenseDraw, divide, prepare_worker
from tectum.training.fabric import agreed, follow_first, start_fabric
from tectum.training.folder import RunFolder, surroundings
from tectum.training.held_out import mean_overlap
from tectum.training.material import RawBatch, joined
from tectum.training.materials import data_hash, made_on_cpu, made_on_gpu, open_mixture
from tectum.training.optim import Average, build_optimiser, choose_rates, elimination_at, freeze, rate_at, set_rate
from tectum.training.parallel import load_moments, load_weights, whole
from tectum.training.recipe import Recipe, sense_shares


@dataclass(frozen=True)
class Step:
    """What one batch brought.

    Attributes:
        batch: batches done.
        losses: weighted parts of the loss, on the training device; those of the first process.
        rate: learning rate.
        speed: pairs in a second since the last batch, of all processes.
        scores: of the weights so far, after a validation only.
    """

    batch: int
    losses: Mapping[str, Tensor]
    rate: float
    speed: float
    scores: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Hooks:
    """What a run is given from outside.

    Attributes:
        build: makes the system with its initial weights; random ones by default.
        keep: writes a system's weights to a `.safetensors` file.
        validate: scores a system, by names such as `world-bench/rgb/SR`.
        stop: tells whether the run is to end after this batch.
        facts: more to store of what the run depends on.
    """

    build: Callable[[Recipe], System] = lambda recipe: build(recipe.system, recipe.second, recipe.options)
    keep: Callable[[System, Path], object] = lambda system, path: None
    validate: Callable[[System], Mapping[str, float]] = lambda system: {}
    stop: Callable[[], bool] = lambda: False
    facts: Mapping[str, Any] = field(default_factory=dict)


class Objective(nn.Module):
    """A system as training runs it: tensors in, parts of the loss out.

    Args:
        system: what trains.
    """

    def __init__(self, system: System) -> None:
        super().__init__()
        self.system = system

    def forward(
        self,
        template: dict[Modality, Tensor],
        search: dict[Modality, Tensor],
        boxes: Tensor,
        template_boxes: Tensor,
        text: tuple[str, ...] | None,
        progress: float,
        elimination: float | None,
    ) -> dict[str, Tensor]:
        """The weighted parts of the loss; arguments are those of `Batch`."""
        batch = Batch(template, search, boxes, Prompt(text=text, box=template_boxes), progress, elimination)
        return dict(self.system.objective(batch).parts)


class Training:
    """One run in one folder.

    Args:
        recipe: what to do.
        folder: where checkpoints and the log go; a checkpoint of the same recipe there is taken up.
        data: the folder that the recipe's real data lie in.
        device: where the network is.
        hooks: what the run is given from outside.

    Raises:
        RecipeError: if the folder cannot be made or holds a checkpoint that is damaged or of another recipe, or
            the recipe does not suit the system.
    """

    def __init__(
        self,
        recipe: Recipe,
        folder: Path,
        data: Path | None = None,
        device: str = "cpu",
        hooks: Hooks | None = None,
    ) -> None:
        self.recipe, self.folder, self.hooks = recipe, RunFolder(folder), hooks or Hooks()
        torch.manual_seed(recipe.seed)
        self.system = self.hooks.build(recipe)
        self.crops = usable_crops(self.system, recipe)
        self.senses = sense_draw(self.system, recipe)
        self.fabric = start_fabric(device, recipe.precision, recipe.strategy, uneven=len(self.senses.shares) > 1)
        self.device, processes = self.fabric.device, self.fabric.world_size
        batch = recipe.batch
        self.division = divide(batch.size, batch.group, batch.micro, processes, self.fabric.global_rank)
        self.mould = copy.deepcopy(self.system)
        self.system.equip()
        self.system.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        choose_rates(self.system, recipe.optim.rates)
        freeze(self.system)
        self.objective = self.fabric.setup_module(Objective(self.system))
        optimiser = self.fabric.setup_optimizers(build_optimiser(self.system, recipe.optim))
        self.optimiser = cast(torch.optim.Optimizer, optimiser)
        self.average = Average(self.system, recipe.optim.ema)
        self.mixture = open_mixture(recipe, data, self.device)
        self.data = data_hash(recipe, data)
        self.done, self.validated, self.saved, self.best = 0, 0, -1, float("-inf")
        self._take_up()

    @property
    def result(self) -> System:
        """The system with the averaged weights, in evaluation mode; all processes must ask for it."""
        return self._filled(whole(self._weights))

    @property
    def _weights(self) -> dict[str, Tensor]:
        return self.average.values or dict(self.system.state_dict())

    def _filled(self, weights: dict[str, Tensor]) -> System:
        system = copy.deepcopy(self.mould)
        system.load_state_dict({name: weights[name] for name in system.state_dict()})
        return system.eval()

    def run(self) -> Iterator[Step]:
        """Trains to the recipe's end or until it is to stop, and tells of every batch.

        A checkpoint is written at times, before a validation, at the end, and when this is closed.

        Raises:
            RecipeError: if the loss is no longer a number.
        """
        if self._due() and self.validated < self.done:
            self._validate()
        try:
            for step in self._steps():
                yield step
                if agreed(self.fabric, self.hooks.stop()):
                    break
        except GeneratorExit:
            self.save()
            raise
        self.save()

    def _steps(self) -> Iterator[Step]:
        passes = self._passes()
        while self.done < self.recipe.batches:
            started, rate = time.perf_counter(), rate_at(self.done, self.recipe)
            losses = self._step(passes)
            self.done += 1
            speed = self.recipe.batch.size / (time.perf_counter() - started)
            if self.done % self.recipe.checkpoint == 0 or self._due():
                _check(losses, self.done)
                self.save()
            yield Step(self.done, losses, rate, speed, self._validate() if self._due() else {})

    def save(self) -> None:
        """Writes the checkpoint and the weights so far."""
        if self.saved == self.done:
            return
        self.saved = self.done
        held: dict[str, Any] = {
            "done": self.done,
            "validated": self.validated,
            "best": self.best,
            "system": dict(self.system.state_dict()),
            "average": self.average.values,
            "updates": self.average.updates,
            "optimiser": self.optimiser.state_dict(),
        }
        state = whole(held, keep=self.fabric.is_global_zero)
        if self.fabric.is_global_zero:
            self.folder.save(self.recipe, self.data, state)
            self.hooks.keep(self._filled(state["average"] or state["system"]), self.folder.last)
        self.fabric.barrier()

    def _take_up(self) -> None:
        self.folder.make()
        state = self.folder.load(self.recipe, self.data)
        if state is None:
            if self.fabric.is_global_zero:
                machine = surroundings(self.device, self.fabric.world_size)
                self.folder.begin(self.recipe, {**machine, "data": self.data, **self.hooks.facts})
            return
        self.done, self.validated, self.best = state["done"], state["validated"], state["best"]
        load_weights(self.system, state["system"])
        self.average.load(state["average"], state["updates"])
        load_moments(self.optimiser, state["optimiser"])

    def _passes(self) -> Iterator[RawBatch]:
        """The forward passes that are left, on the training device or on their way there."""
        batches = Batches(
            *(self.mixture, self.division, self.senses, self.crops, self.recipe.seed, self.recipe.batches),
            chosen=made_on_cpu,
        )
        left = range(self.done * self.division.passes, len(batches))
        elsewhere = any(made_on_cpu(part.material) for part in self.mixture.parts)
        workers = self.recipe.workers if elsewhere else 0
        loader = DataLoader(
            Subset(batches, left),
            batch_size=None,
            num_workers=workers,
            prefetch_factor=4 if workers else None,
            worker_init_fn=prepare_worker,
        )
        here = replace(batches, chosen=made_on_gpu)
        for index, raw in zip(left, loader, strict=True):
            made = [each.on(self.device) for each in (raw, here[index]) if each is not None]
            yield joined(made)

    def _due(self) -> bool:
        """Whether a validation follows this batch."""
        epochs, rest = divmod(self.done, self.recipe.epoch)
        last = self.done == self.recipe.batches
        return rest == 0 and epochs > 0 and (last or epochs % self.recipe.validation.every == 0)

    def _validate(self) -> dict[str, float]:
        """Scores the weights so far, which are saved, and keeps the best ones."""
        scores: dict[str, float] = {}
        weights = whole(self._weights, keep=self.fabric.is_global_zero)
        if self.fabric.is_global_zero:
            result = self._filled(weights).to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
            told = self.hooks.validate(result)
            scores = {"overlap": mean_overlap(result, self.held_out, self.device), **told}
            self.folder.write_scores(self.done, scores)
            value = _merit(scores, self.recipe.validation.best)
            if value > self.best:
                self.best = value
                self.hooks.keep(result, self.folder.best)
        self.validated, self.saved = self.done, -1
        self.save()
        return scores

    @cached_property
    def held_out(self) -> tuple[RawBatch, ...]:
        """Pairs that training never shows, made once."""
        batch = self.recipe.batch
        count = -(-self.recipe.validation.pairs // batch.size)
        pairs = Batches(
            *(self.mixture, Division(batch.size, batch.group), self.senses, self.crops, self.recipe.seed, count),
            purpose=Purpose.HELD_OUT,
        )
        return tuple(raw for index in range(len(pairs)) if (raw := pairs[index]) is not None)

    def _step(self, passes: Iterator[RawBatch]) -> dict[str, Tensor]:
        """Moves the weights by one batch."""
        self.objective.train()
        self._settle()
        set_rate(self.optimiser, rate_at(self.done, self.recipe))
        count = self.division.passes
        told: list[dict[str, Tensor]] = []
        for number in range(count):
            raw = next(passes)
            # What the network draws at random depends on the batch alone, so that a run resumes exactly.
            torch.manual_seed(self._network_seed(number))
            with self.fabric.no_backward_sync(self.objective, enabled=number < count - 1):
                parts = self._losses(raw)
                self.fabric.backward(torch.stack(list(parts.values())).sum() / count)
            told.append({name: part.detach() / count for name, part in parts.items()})
        if self.recipe.optim.clip:
            largest = self.recipe.optim.clip
            self.fabric.clip_gradients(self.objective, self.optimiser, max_norm=largest, error_if_nonfinite=False)
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.average.update()
        return {name: torch.stack([parts[name] for parts in told]).sum() for name in told[0]}

    def _losses(self, raw: RawBatch) -> dict[str, Tensor]:
        batch = raw.batch(self.device, self.done / self.recipe.batches)
        prompt, warmth = batch.prompt, elimination_at(self.done, self.recipe)
        parts: dict[str, Tensor] = self.objective(
            dict(batch.template), dict(batch.search), batch.boxes, prompt.box, prompt.text, batch.progress, warmth
        )
        return parts

    def _network_seed(self, number: int) -> int:
        place = self.division.process * self.division.passes + number
        rng = np.random.default_rng((self.recipe.seed, Purpose.NETWORK, self.done, place))
        return int(rng.integers(2**63))

    def _settle(self) -> None:
        """From the recipe's point on, fixes the statistics of batch normalisation at their running average."""
        start = round(self.recipe.batches * (1 - self.recipe.optim.settle))
        if self.done < start or not self.recipe.optim.settle:
            return
        if self.done == start:
            for name, buffer in self.system.named_buffers():
                if self.average.updates and name in self.average.values:
                    buffer.copy_(self.average.values[name])
                follow_first(self.fabric, buffer)
        for module in self.system.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()


def _check(losses: Mapping[str, Tensor], batch: int) -> None:
    """Makes sure that a loss is a number.

    Raises:
        RecipeError: if it is not.
    """
    if not torch.stack(list(losses.values())).isfinite().all():
        raise RecipeError(f"The loss is no number any more at batch {batch}: lower optim.lr or optim.clip.")


def usable_crops(system: System, recipe: Recipe) -> Crops:
    """The windows that the recipe's pairs are cut with.

    Raises:
        RecipeError: if they are not of a size that the system takes.
    """
    wanted, given = system.crops, recipe.crops.over(system.crops)
    sizes = (given.template_size, given.search_size)
    if not system.any_size and sizes != (wanted.template_size, wanted.search_size):
        raise RecipeError(
            f"The recipe makes crops of {sizes[0]} and {sizes[1]} pixels, but {recipe.system} takes only "
            f"{wanted.template_size} and {wanted.search_size}: leave crops.template_size and crops.search_size out."
        )
    return given


def sense_draw(system: System, recipe: Recipe) -> SenseDraw:
    """What batches show: all that a system needs, or what the recipe says where the system leaves a choice.

    Raises:
        RecipeError: if the recipe shows senses that the system does not take.
    """
    needed = tuple(sense for sense in Modality if sense in system.required)
    if needed:
        return SenseDraw({needed: 1.0}, recipe.seed)
    shares = sense_shares(recipe.senses)
    foreign = sorted({sense for senses in shares for sense in senses} - system.senses)
    if foreign:
        raise RecipeError(f"The recipe shows {', '.join(foreign)}, which {recipe.system} does not take: mend senses.")
    return SenseDraw(shares, recipe.seed)


def _merit(scores: Mapping[str, float], best: str | None) -> float:
    """The number by which weights are better or worse.

    Raises:
        RecipeError: if the score that the recipe names is not among those told.
    """
    if best is not None and best not in scores:
        raise RecipeError(f"The recipe chooses by {best}, which is not scored: use one of {', '.join(scores)}.")
    if best is not None:
        return scores[best]
    told = [value for name, value in scores.items() if name != "overlap"]
    return sum(told) / len(told) if told else scores["overlap"]
