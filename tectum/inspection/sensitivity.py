"""Where a system is sensitive: the squared gradient of its training loss by each parameter, before and after tuning.

Source: "Learning Effective Multi-Modal Trackers via Modality-Sensitive Tuning" (MST), section 3.2 and Figure 6. There a
well-tuned network is one whose sensitivity is spread evenly, as if it leant on no parameter more than on others.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tectum.errors import RecipeError
from tectum.inspection.balance import SHARES, Balance, Spread
from tectum.inspection.features import Array
from tectum.systems.base import Batch, System

GRID = 32
"""Cells along each side of a matrix's map."""

KINDS = ("mean", "top", "gini", "held")
"""The numbers of a balance that are stored."""


@dataclass(frozen=True)
class Block:
    """Parameters that belong together.

    Attributes:
        stack: the stack of blocks that it is of, such as `rgb.blocks`; empty for a part of the system without blocks.
        place: its number in the stack from 0, or the name of the part.
        parameters: full names by names within the block.
    """

    stack: str
    place: str
    parameters: Mapping[str, str]

    @property
    def name(self) -> str:
        """How it is called where all are listed."""
        return f"{self.stack}.{self.place}" if self.stack else self.place


def blocks_of(system: nn.Module) -> tuple[Block, ...]:
    """All parameters of a system by the blocks of its outermost stacks; the others by the parts that they are in."""
    modules = dict(system.named_modules())
    stacks = {name for name, module in modules.items() if isinstance(module, nn.ModuleList | nn.ModuleDict)}
    stacks = {name for name in stacks if all(key.isdigit() for key, _ in modules[name].named_children())}
    found: dict[tuple[str, str], dict[str, str]] = {}
    for name, _ in system.named_parameters():
        home, rest = _home(name, stacks)
        found.setdefault(home, {})[rest] = name
    ordered = sorted(found.items(), key=lambda item: not item[0][0])
    return tuple(Block(stack, place, parameters) for (stack, place), parameters in ordered)


def _home(name: str, stacks: Collection[str]) -> tuple[tuple[str, str], str]:
    """The stack and the place of a parameter, and its name there."""
    words = name.split(".")
    for count in range(1, len(words) - 1):
        stack = ".".join(words[:count])
        if stack in stacks:
            return (stack, words[count]), ".".join(words[count + 1 :])
    return ("", words[0]), ".".join(words[1:]) or name


def sensitivities(
    system: System, names: Collection[str], batches: Iterable[Batch], watch: Callable[[], None] | None = None
) -> dict[str, Array]:
    """The mean over batches of the squared gradient of the loss by each parameter.

    The system runs as in training, with the same random numbers each time. It is left as it was.

    Args:
        system: equipped, on the device of the batches.
        names: of the parameters; those that do not train have a sensitivity too.
        batches: at least one.
        watch: called after every batch.

    Returns:
        By name, in the shapes of the parameters; 0 for what the loss does not depend on.

    Raises:
        RecipeError: if the loss is no number.
    """
    chosen = {name: parameter for name, parameter in system.named_parameters() if name in names}
    totals = [torch.zeros_like(parameter) for parameter in chosen.values()]
    count = 0
    with _training(system, chosen.values()):
        for count, batch in enumerate(batches, start=1):
            torch.manual_seed(count)
            loss = system.objective(batch).total
            if not loss.isfinite():
                raise RecipeError(f"The loss of batch {count} is no number: these weights do not suit these pairs.")
            for total, gradient in zip(totals, _gradients(loss, list(chosen.values())), strict=True):
                if gradient is not None:
                    total.addcmul_(gradient, gradient)
            if watch is not None:
                watch()
    means = [(total / max(count, 1)).float().cpu().numpy() for total in totals]
    return dict(zip(chosen, means, strict=True))


def _gradients(loss: Tensor, parameters: list[nn.Parameter]) -> tuple[Tensor | None, ...]:
    return torch.autograd.grad(loss, parameters, allow_unused=True)


@contextmanager
def _training(system: System, parameters: Iterable[nn.Parameter]) -> Iterator[None]:
    """Runs a system as in training with gradients for all of the parameters, and puts everything back."""
    parameters, mode = list(parameters), system.training
    trained = [parameter.requires_grad for parameter in parameters]
    buffers = [(buffer, buffer.clone()) for buffer in system.buffers()]
    devices = {parameter.device for parameter in parameters if parameter.device.type == "cuda"}
    try:
        with torch.random.fork_rng(devices):
            for parameter in parameters:
                parameter.requires_grad_(True)
            system.train()
            yield
    finally:
        system.train(mode)
        for parameter, trains in zip(parameters, trained, strict=True):
            parameter.requires_grad_(trains)
        for buffer, kept in buffers:
            buffer.copy_(kept)


def reduced(matrix: Array) -> Array:
    """A matrix, or a kernel with its inputs and places in one row, as a map `GRID×GRID` of means."""
    rows = torch.from_numpy(matrix).flatten(1)[None]
    result: Array = F.adaptive_avg_pool2d(rows, GRID)[0].numpy()
    return result


@dataclass(frozen=True)
class Reading:
    """The sensitivity of one set of weights.

    Attributes:
        name: such as `before`.
        weights: what weights they are, for captions.
        values: sensitivities by the name of the parameter.
    """

    name: str
    weights: str
    values: Mapping[str, Array]

    @cached_property
    def spreads(self) -> dict[str, Spread]:
        """By the name of the parameter."""
        return {name: Spread.of(values) for name, values in self.values.items()}

    def balance(self, names: Iterable[str]) -> Balance:
        """How evenly it is spread over some parameters."""
        return Balance.of(Spread.all(self.spreads[name] for name in names))


@dataclass(frozen=True)
class Sensitivity:
    """The sensitivity of a system to the pairs of a recipe, before and after tuning.

    Attributes:
        system: what it is, for captions.
        blocks: all parameters.
        trained: names of those that the recipe trains.
        readings: one or more, on the same pairs.
        pairs: how many.
        batches: how many batches they came in.
    """

    system: str
    blocks: tuple[Block, ...]
    trained: frozenset[str]
    readings: tuple[Reading, ...]
    pairs: int
    batches: int

    @property
    def stacks(self) -> dict[str, list[Block]]:
        """Blocks by their stack, in order; parts without blocks under an empty name, last."""
        found: dict[str, list[Block]] = {}
        for block in self.blocks:
            found.setdefault(block.stack, []).append(block)
        return found

    @cached_property
    def balances(self) -> dict[str, list[Balance]]:
        """Of every block by its name, in the order of the readings."""
        return {
            block.name: [reading.balance(block.parameters.values()) for reading in self.readings]
            for block in self.blocks
        }

    @property
    def scopes(self) -> dict[str, list[str]]:
        """Names of the trained parameters of all blocks of stacks, if there are any, and of all that trains."""
        own = [name for block in self.blocks if block.stack for name in block.parameters.values()]
        within = sorted(self.trained.intersection(own))
        return {**({"blocks that train": within} if within else {}), "all that trains": sorted(self.trained)}

    @cached_property
    def overall(self) -> dict[str, list[Balance]]:
        """Of each scope, in the order of the readings."""
        return {scope: [reading.balance(names) for reading in self.readings] for scope, names in self.scopes.items()}

    @property
    def scope(self) -> str:
        """The first scope: its mean is the unit of what is drawn."""
        return next(iter(self.scopes))

    @property
    def units(self) -> list[float]:
        """Mean sensitivity of the first scope, in the order of the readings; 1 where there is none."""
        return [each.mean or 1.0 for each in self.overall[self.scope]]

    @cached_property
    def by_chance(self) -> Balance:
        """What so many batches make of equally sensitive parameters."""
        return Balance.by_chance(self.batches)

    @cached_property
    def maps(self) -> list[dict[str, Array]]:
        """Of every matrix of a block of a stack, in units, in the order of the readings."""
        blocks = [block for block in self.blocks if block.stack]
        names = [name for block in blocks for name in block.parameters.values() if self._is_matrix(name)]
        return [
            {name: reduced(reading.values[name]) / unit for name in names}
            for reading, unit in zip(self.readings, self.units, strict=True)
        ]

    def _is_matrix(self, name: str) -> bool:
        return self.readings[0].values[name].ndim > 1

    def trains(self, block: Block) -> bool:
        """Whether the recipe trains any parameter of a block."""
        return not self.trained.isdisjoint(block.parameters.values())

    @property
    def spans(self) -> list[float]:
        """How many times as sensitive as the least the most sensitive block that trains is, on average.

        In the order of the readings; empty with fewer than two such blocks.
        """
        names = [block.name for block in self.blocks if block.stack and self.trains(block)]
        means = [[self.balances[name][place].mean for name in names] for place in range(len(self.readings))]
        return [max(each) / min(each) if min(each) else np.inf for each in means] if len(names) > 1 else []

    def arrays(self) -> bytes:
        """All numbers as the contents of an `.npz` file."""
        named = self.balances.values()
        held: dict[str, npt.NDArray[Any]] = {
            "blocks": np.array(list(self.balances)),
            "parameters": np.array([each[0].count for each in named]),
            "trained": np.array([self.trains(block) for block in self.blocks]),
            "shares": SHARES,
            "by_chance_held": self.by_chance.held,
            "pairs": np.array(self.pairs),
            "batches": np.array(self.batches),
        }
        for place, reading in enumerate(self.readings):
            name, unit = reading.name, self.units[place]
            for kind in KINDS[:3]:
                held[f"{name}_{kind}"] = np.array([getattr(each[place], kind) for each in named])
            for scope, balances in self.overall.items():
                key = f"{name}_{scope.replace(' ', '_')}"
                held.update({f"{key}_{kind}": np.array(getattr(balances[place], kind)) for kind in KINDS})
            held.update({f"{name}_map_{key}": values * unit for key, values in self.maps[place].items()})
        contents = BytesIO()
        np.savez_compressed(contents, allow_pickle=False, **held)
        return contents.getvalue()


@dataclass(frozen=True)
class Tuned:
    """Weights that a training left.

    Attributes:
        name: what they are, for captions.
        tensors: the state dict of a system that is not equipped.
    """

    name: str
    tensors: Mapping[str, Tensor]


def compare(
    system: System,
    names: tuple[str, str],
    batches: Iterable[Batch],
    tuned: Tuned | None = None,
    watch: Callable[[], None] | None = None,
) -> Sensitivity:
    """Measures a system's sensitivity, and that with tuned weights by the same loss and the same teachers.

    Args:
        system: with its initial weights, not yet equipped; it ends equipped, with the tuned weights.
        names: of the system and of its initial weights, for captions.
        batches: on its device; gone through once for each reading.
        tuned: weights to compare with.
        watch: called after every batch of either.

    Raises:
        RecipeError: if a loss is no number.
    """
    blocks, own = blocks_of(system), dict(system.named_parameters())
    trains = {id(parameter) for group in system.trainable() for parameter in group.parameters}
    trained = frozenset(name for name, parameter in own.items() if id(parameter) in trains)
    system.equip()
    sizes: list[int] = []

    def sized() -> Iterator[Batch]:
        for batch in batches:
            sizes.append(len(batch.boxes))
            yield batch

    readings = [Reading("before", names[1], sensitivities(system, own, sized(), watch))]
    if tuned is not None:
        system.load_state_dict({**system.state_dict(), **tuned.tensors})
        readings.append(Reading("after", tuned.name, sensitivities(system, own, batches, watch)))
    return Sensitivity(names[0], blocks, trained, tuple(readings), sum(sizes), len(sizes))
