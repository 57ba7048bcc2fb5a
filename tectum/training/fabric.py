"""The processes and devices that train together, by Lightning Fabric."""

from __future__ import annotations

import atexit
import gc
import logging
import os
import warnings
from datetime import timedelta
from typing import Literal

import torch

from tectum.errors import RecipeError
from tectum.training.parallel import share_out
from tectum.training.recipe import Precision, Sharing

try:
    from lightning_fabric import Fabric
    from lightning_fabric.strategies.ddp import DDPStrategy
    from lightning_fabric.strategies.model_parallel import ModelParallelStrategy
    from lightning_fabric.strategies.strategy import Strategy
except ImportError:
    raise RecipeError("Training needs Lightning Fabric: install it with pip install 'tectum[train]'.") from None

PRECISIONS: dict[str, Literal["32-true", "bf16-mixed"]] = {"fp32": "32-true", "bf16": "bf16-mixed"}
"""Fabric's names of ours."""

PATIENCE = timedelta(days=1)
"""How long processes wait for one another: the first one validates alone, on a benchmark that may be large."""


def start_fabric(device: str, precision: Precision, strategy: Sharing, uneven: bool) -> Fabric:
    """Joins the processes that `torchrun` started, or stands alone.

    Args:
        device: such as `cpu`, `cuda` or `cuda:1`; with several processes each takes the device of its own number.
        precision: of forward passes.
        strategy: what several processes share.
        uneven: whether a batch may leave some trainable weights without a gradient.
    """
    logging.getLogger("lightning_fabric").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning_fabric")
    kind, _, number = device.partition(":")
    processes, here = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    alone = [int(number or 0)] if kind != "cpu" else 1
    fabric = Fabric(
        accelerator=kind,
        devices=alone if processes == 1 else here,
        num_nodes=max(1, processes // here),
        strategy=_sharing(strategy, processes, uneven) if processes > 1 else "auto",
        precision=PRECISIONS[precision],
    )
    fabric.launch()
    if processes > 1:
        atexit.register(_part, fabric.strategy)
    return fabric


def _part(strategy: Strategy) -> None:
    """Ends all exchange with other processes while the interpreter stands.

    A thread of the exchange may still hold a tensor of ours, and aborts the process if it lets go of it later. Threads
    end with the last reference to their group; caches of sharded tensors keep the mesh, which keeps its groups.
    """
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    if isinstance(strategy, ModelParallelStrategy):
        getattr(strategy.device_mesh, "_pg_registry", {}).clear()
    gc.collect()


def _sharing(strategy: Sharing, processes: int, uneven: bool) -> Strategy:
    if strategy == "ddp":
        return DDPStrategy(find_unused_parameters=uneven, timeout=PATIENCE)
    return ModelParallelStrategy(
        lambda network, mesh: share_out(network, mesh["data_parallel"]),
        data_parallel_size=processes,
        tensor_parallel_size=1,
        timeout=PATIENCE,
    )


def agreed(fabric: Fabric, wish: bool) -> bool:
    """Whether any of the processes has a wish."""
    if fabric.world_size == 1:
        return wish
    votes = torch.tensor(float(wish), device=fabric.device)
    return bool(fabric.all_reduce(votes, reduce_op="sum").item() > 0)  # type: ignore[union-attr]


def follow_first(fabric: Fabric, tensor: torch.Tensor) -> None:
    """Overwrites a tensor by that of the first process."""
    if fabric.world_size > 1:
        torch.distributed.broadcast(tensor, src=0)
