"""Weights of which each process keeps a part: fully sharded data parallelism, and the way back to whole weights.

The parts are PyTorch's `DTensor`s. Everything that leaves a run is whole, so that files do not tell how many processes
made them; what is here leaves other tensors as they are, so that the loop need not tell either.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, distributed, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from tectum.systems.base import System

Held = TypeVar("Held")
Network = TypeVar("Network", bound=nn.Module)


def share_out(network: Network, processes: DeviceMesh) -> Network:
    """Leaves each process a part of every weight and of its gradient and moments (Zhao et al., VLDB 2023).

    Weights are put together where a forward or backward pass needs them: those of one member of a `ModuleList`, such
    as a transformer's block, at a time, and all others, and those of systems that open their blocks, for the whole
    pass. A weight without dimensions has no parts:
    every process keeps it and takes the mean of its gradients.

    Args:
        network: the same in all processes; it is changed in place.
        processes: a mesh of one dimension.
    """
    single = {parameter for parameter in network.parameters() if parameter.dim() == 0}
    with torch.no_grad():
        for parameter in set(network.parameters()) - single:
            parameter.data = parameter.contiguous()
    for parameter in single:
        parameter.data = parameter.to(processes.device_type)
        if parameter.requires_grad:
            parameter.register_post_accumulate_grad_hook(_average_gradient)  # type: ignore[no-untyped-call]
    opened = any(isinstance(module, System) and module.opens_blocks for module in network.modules())
    blocks: list[nn.Module] = [
        block for module in network.modules() if isinstance(module, nn.ModuleList) and not opened for block in module
    ]
    parts: tuple[nn.Module, ...] = (*reversed(blocks), network)
    for part in parts:
        fully_shard(part, mesh=processes, ignored_params=single)
    return network


def whole(held: Held, keep: bool = True) -> Held:
    """Puts parts together, in ordinary memory; all processes must call it.

    Args:
        held: tensors, in dictionaries and lists however deep.
        keep: whether this process wants them; else it gets its parts back.
    """
    if isinstance(held, DTensor):
        tensor: Tensor = cast(DTensor, held.detach()).full_tensor()
        return tensor.cpu() if keep else held  # type: ignore[return-value]
    if isinstance(held, dict):
        return {name: whole(each, keep) for name, each in held.items()}  # type: ignore[return-value]
    if isinstance(held, list):
        return [whole(each, keep) for each in held]  # type: ignore[return-value]
    return held


def parted(tensor: Tensor, like: Tensor) -> Tensor:
    """This process's part of a whole tensor where it keeps only a part of `like`; all processes must call it."""
    return distribute_tensor(tensor, like.device_mesh, like.placements) if isinstance(like, DTensor) else tensor


def local(tensor: Tensor) -> Tensor:
    """The numbers that this process keeps of a tensor."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def load_weights(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Loads whole weights and buffers into a network of which processes may keep parts."""
    held = network.state_dict()
    network.load_state_dict({name: parted(tensor, held[name]) for name, tensor in state.items()})


def load_moments(optimiser: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Loads whole moments into an optimiser of weights of which processes may keep parts."""
    weights = [weight for group in optimiser.param_groups for weight in group["params"]]
    moments = {
        number: {
            name: parted(value, weights[number]) if value.shape == weights[number].shape else value
            for name, value in values.items()
        }
        for number, values in state["state"].items()
    }
    optimiser.load_state_dict({**state, "state": moments})


def _average_gradient(weight: Tensor) -> None:
    # What earlier passes of the batch added is equal everywhere already, so that its mean is itself.
    if weight.grad is not None:
        distributed.all_reduce(weight.grad)
        weight.grad /= distributed.get_world_size()
