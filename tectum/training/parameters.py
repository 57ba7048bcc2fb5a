"""What of a system trains, and how much memory that takes: known before a run begins."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tectum.frames import Modality, Prompt
from tectum.systems.base import Batch, Crops, System
from tectum.training.recipe import Recipe


@dataclass(frozen=True)
class Module:
    """One row of the parameter table.

    Attributes:
        name: of the part of the system.
        trained: numbers that training changes.
        frozen: numbers that it leaves alone.
        rates: multiples of the learning rate with which they train, in rising order.
    """

    name: str
    trained: int
    frozen: int
    rates: tuple[float, ...]


def parameter_table(system: System) -> list[Module]:
    """A row for each part of a system, in its order; its bare parameters, if any, under the name `(own)`."""
    rates = {id(parameter): group.rate for group in system.trainable() for parameter in group.parameters}
    parts = {name: list(part.parameters()) for name, part in system.named_children()}
    own = list(system.parameters(recurse=False))
    return [_row(name, parameters, rates) for name, parameters in (*parts.items(), ("(own)", own)) if parameters]


def _row(name: str, parameters: list[nn.Parameter], rates: dict[int, float]) -> Module:
    trained = [each for each in parameters if id(each) in rates]
    total = sum(each.numel() for each in parameters)
    count = sum(each.numel() for each in trained)
    return Module(name, count, total - count, tuple(sorted({rates[id(each)] for each in trained})))


@dataclass(frozen=True)
class Memory:
    """What a run is estimated to hold on its device, in bytes.

    Attributes:
        weights: parameters and buffers, and their running average where there is one.
        optimiser: gradients, AdamW's two moments of what trains, and its last movement where tuning keeps it.
        activations: what a forward pass keeps for the backward pass.
    """

    weights: int
    optimiser: int
    activations: int

    @property
    def total(self) -> int:
        """All together; kernels and the framework itself come on top."""
        return self.weights + self.optimiser + self.activations


def estimate_memory(system: System, recipe: Recipe, crops: Crops, senses: tuple[Modality, ...], pairs: int) -> Memory:
    """Measures a forward pass of two pairs, and scales it.

    Args:
        system: on the CPU.
        recipe: how it is to be trained.
        crops: windows of the pairs.
        senses: what a batch shows, at most.
        pairs: in one forward pass.
    """
    held = sum(tensor.numel() * tensor.element_size() for tensor in system.state_dict().values())
    trained = sum(module.trained for module in parameter_table(system)) * 4
    sample = 2
    kept = _kept(system, _sample(crops, senses, sample), recipe.precision == "bf16")
    copies = 4 if recipe.optim.tuning.kind in ("update", "sparse") else 3
    return Memory(held * (2 if recipe.optim.ema else 1), copies * trained, kept * pairs // sample)


def _kept(system: System, batch: Batch, halved: bool) -> int:
    """Bytes that a forward pass keeps, apart from the weights."""
    weights = {tensor.untyped_storage().data_ptr() for tensor in system.state_dict().values()}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    system.train()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        with torch.autocast("cpu", torch.bfloat16, enabled=halved):
            losses = system.objective(batch)
        del losses
    return sum(kept.values())


def _sample(crops: Crops, senses: tuple[Modality, ...], pairs: int) -> Batch:
    def views(side: int) -> dict[Modality, Tensor]:
        return {sense: torch.zeros(pairs, 3, side, side) for sense in senses}

    box = torch.tensor([[0.25, 0.25, 0.5, 0.5]]).expand(pairs, 4)
    return Batch(views(crops.template_size), views(crops.search_size), box, Prompt(box=box), elimination=0.0)


def lines(system: System) -> Iterator[str]:
    """The parameter table as text."""
    rows = parameter_table(system)
    yield f"{'module':<20}{'trained':>14}{'frozen':>14}  learning rate"
    for row in rows:
        rates = ", ".join(f"×{rate:g}" for rate in row.rates) or "–"
        yield f"{row.name:<20}{row.trained:>14,}{row.frozen:>14,}  {rates}"
    yield f"{'in all':<20}{sum(row.trained for row in rows):>14,}{sum(row.frozen for row in rows):>14,}"
