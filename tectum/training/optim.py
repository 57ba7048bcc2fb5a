"""How weights move: the optimiser, its learning rate over time, and the running average of the weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MethodType

import torch
from torch import Tensor, nn

from tectum.errors import RecipeError
from tectum.systems.base import Group, System
from tectum.training.parallel import local, parted
from tectum.training.recipe import Optim, Recipe, Schedule
from tectum.training.sensitivity import tune, tune_sparsely


def choose_rates(system: System, rates: Mapping[str, float]) -> None:
    """Trains parts of a system with other multiples of the learning rate than its own.

    Args:
        system: what it says of itself as trainable is changed.
        rates: by the name of a part, such as `backbone` or `backbone.blocks`; 0 freezes it, and of two names that both
            hold a parameter the longer one counts.

    Raises:
        RecipeError: if the system has no such part.
    """
    if not rates:
        return
    names = [name for name, _ in system.named_parameters()]
    for part in rates:
        if not any(_holds(part, name) for name in names):
            known = ", ".join(dict.fromkeys(name.partition(".")[0] for name in names))
            raise RecipeError(f"The system has no part '{part}' to train: name in optim.rates one of {known}.")
    # Bound to the system, the choice goes along with its copies.
    system.trainable = MethodType(_chosen(rates), system)  # type: ignore[method-assign]


def _chosen(rates: Mapping[str, float]) -> Callable[[System], tuple[Group, ...]]:
    """What a system trains with other rates than its own."""

    def trainable(system: System) -> tuple[Group, ...]:
        own = {id(each): group.rate for group in type(system).trainable(system) for each in group.parameters}
        by_rate: dict[float, list[nn.Parameter]] = {}
        for name, parameter in system.named_parameters():
            parts = [part for part in rates if _holds(part, name)]
            rate = rates[max(parts, key=len)] if parts else own.get(id(parameter), 0.0)
            by_rate.setdefault(rate, []).append(parameter)
        return tuple(Group(tuple(parameters), rate) for rate, parameters in by_rate.items() if rate)

    return trainable


def _holds(part: str, name: str) -> bool:
    """Whether a parameter is a part, or of it."""
    return f"{name}.".startswith(f"{part}.")


def freeze(system: System) -> None:
    """Freezes all parameters but those that a system trains."""
    trained = {id(parameter) for group in system.trainable() for parameter in group.parameters}
    for parameter in system.parameters():
        parameter.requires_grad_(id(parameter) in trained)


def build_optimiser(system: System, optim: Optim) -> torch.optim.AdamW:
    """AdamW over what a system trains, with sensitive or sparse steps if they are wished for.

    Args:
        system: its groups keep their multiple of the learning rate as `rate`.
        optim: settings.

    Raises:
        RecipeError: if nothing trains.
    """
    groups = [{"params": list(group.parameters), "rate": group.rate} for group in system.trainable()]
    if not any(group["params"] for group in groups):
        raise RecipeError("Nothing of this system trains: choose another preset, or give a part a rate in optim.rates.")
    optimiser = torch.optim.AdamW(groups, lr=optim.lr, weight_decay=optim.weight_decay)
    tuning = optim.tuning
    if tuning.kind == "sparse":
        tune_sparsely(optimiser, tuning.share)
    elif tuning.kind != "none":
        tune(optimiser, tuning.low, tuning.high, tuning.kind)
    return optimiser


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Sets the learning rate of every group to its multiple of `rate`."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group["rate"]


def rate_at(batch: int, recipe: Recipe) -> float:
    """The learning rate with which batch number `batch`, from 0, moves the weights."""
    schedule, epoch = recipe.schedule, recipe.epoch
    warmup = round(schedule.warmup * epoch)
    if batch < warmup:
        return recipe.optim.lr * (batch + 1) / warmup
    return recipe.optim.lr * _share(schedule, batch // epoch, (batch - warmup) / max(1, recipe.batches - warmup))


def _share(schedule: Schedule, epochs: int, done: float) -> float:
    """Share of the highest rate, once warmed up.

    Args:
        schedule: how the rate goes.
        epochs: that are done.
        done: share of the batches after the warm-up that are done.
    """
    if schedule.kind == "step":
        return float(schedule.drop ** sum(epochs >= at for at in schedule.drop_at))
    if schedule.kind == "cosine":
        return schedule.floor + (1 - schedule.floor) * (1 + math.cos(math.pi * min(1.0, done))) / 2
    return 1.0


def elimination_at(batch: int, recipe: Recipe) -> float | None:
    """How far the elimination of candidates is warmed up at batch number `batch`; `None` where the recipe is silent."""
    start, warm = recipe.elimination.start, recipe.elimination.warm
    if start is None or warm is None:
        return None
    epochs = batch / recipe.epoch - start
    return min(1.0, max(0.0, epochs / warm)) if warm else float(epochs >= 0)


class Average:
    """An exponential running average of a system's weights and buffers.

    A short run would end with little but its first weights, so the average keeps less of its past at the beginning:
    after `t` updates at most `(1 + t) / (10 + t)`, of the latest tenth of the way.

    Args:
        system: whose.
        keep: share of the average that stays at each update, at most; with 0 it is the weights themselves.
    """

    def __init__(self, system: nn.Module, keep: float) -> None:
        self.system, self.keep, self.updates = system, keep, 0
        self.values: dict[str, Tensor] = {}
        if keep:
            self.values = {name: tensor.detach().clone() for name, tensor in system.state_dict().items()}

    @torch.no_grad()
    def update(self) -> None:
        """Takes in the weights as they are; the first time it becomes them."""
        if not self.keep:
            return
        averaged, fresh = [], []
        for name, tensor in self.system.state_dict().items():
            if self.updates and tensor.is_floating_point():
                averaged.append(local(self.values[name]))
                fresh.append(local(tensor.detach()))
            else:
                self.values[name].copy_(tensor)
        if averaged:
            torch._foreach_lerp_(averaged, fresh, 1 - min(self.keep, (1 + self.updates) / (10 + self.updates)))
        self.updates += 1

    def load(self, values: dict[str, Tensor], updates: int) -> None:
        """Goes on from a stored average, which is whole."""
        self.updates = updates
        for name, tensor in values.items():
            self.values[name].copy_(parted(tensor, self.values[name]))
