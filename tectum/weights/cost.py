"""What a system costs: its parameters, and the multiply-accumulates of its passes, counted by shapes alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import partial
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from tectum.frames import Modality, Prompt
from tectum.networks.vit import Beside, Block, Elimination, ViTConfig
from tectum.systems.base import System, Views
from tectum.systems.catalogue import build

Value = TypeVar("Value")

WEIGHTED = (F.linear, F.conv1d, F.conv2d, F.conv3d)
"""Functions that multiply by a weight."""

MATRIX_PRODUCTS = (torch.matmul, torch.bmm, torch.mm, Tensor.matmul, Tensor.bmm, Tensor.mm, Tensor.__matmul__)
"""Functions that multiply two matrices, or batches of them."""

LAYERS = (nn.Linear, nn.modules.conv._ConvNd, nn.modules.batchnorm._BatchNorm)
"""Modules that the counters behind published figures know."""


@dataclass(frozen=True)
class Macs:
    """Multiply-accumulates of a pass with one target.

    Attributes:
        layers: of linear layers and convolutions.
        attention: of features with features: attention's two products, the judging of candidates, correlation.
    """

    layers: int
    attention: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.layers + self.attention

    def __add__(self, other: Macs) -> Macs:
        return Macs(self.layers + other.layers, self.attention + other.attention)


@dataclass(frozen=True)
class Cost:
    """What a system costs.

    Attributes:
        senses: that it takes, RGB first.
        parameters: numbers in all.
        in_layers: those of linear layers, convolutions and batch norms. Papers print these: their counters overlook
            learned positions and layer norms.
        trainable: those of all that training changes.
        target: taking up a target, once.
        frame: finding it, in each frame.
        joint: both in one pass, as published codes run: the template goes through all blocks, though nothing reads it
            after the last.
        unpruned: the same without any elimination of candidates.
    """

    senses: tuple[Modality, ...]
    parameters: int
    in_layers: int
    trainable: int
    target: Macs
    frame: Macs
    joint: Macs
    unpruned: Macs

    @property
    def frozen(self) -> int:
        """Numbers that training leaves alone."""
        return self.parameters - self.trainable

    @property
    def eliminates(self) -> bool:
        """Whether candidates are eliminated."""
        return self.joint != self.unpruned


def cost(preset: str, second: Modality | str = Modality.THERMAL) -> Cost:
    """Counts what a preset costs; no memory is taken for its weights.

    Args:
        preset: a name such as `bat-b256`.
        second: the sense beside RGB, for systems that take one.

    Raises:
        UnknownNameError: if there is no such preset or modality, or the second sense is RGB.
    """
    with torch.device("meta"):
        system = build(preset, second).eval()
    target, frame = count_passes(system)
    _carry_template(system)
    joint = count_passes(system)
    _keep_candidates(system)
    unpruned = count_passes(system)
    return Cost(
        senses=tuple(sense for sense in Modality if sense in system.senses),
        parameters=sum(parameter.numel() for parameter in system.parameters()),
        in_layers=_in_layers(system),
        trainable=sum(parameter.numel() for group in system.trainable() for parameter in group.parameters),
        target=target,
        frame=frame,
        joint=joint[0] + joint[1],
        unpruned=unpruned[0] + unpruned[1],
    )


def count_passes(system: System) -> tuple[Macs, Macs]:
    """Counts taking up a target, and finding it in a frame, for a system of shapes alone (on the device `meta`)."""
    crops = system.crops
    template, target = _counted(lambda: system.embed(_views(system, crops.template_size), Prompt()))
    _, frame = _counted(lambda: system(template, _views(system, crops.search_size)))
    return target, frame


def _views(system: System, size: int) -> Views:
    return {sense: torch.empty(1, 3, size, size, device="meta") for sense in system.senses}


def _counted(run: Callable[[], Value]) -> tuple[Value, Macs]:
    """What a function answers, and its cost."""
    with torch.no_grad(), Tally() as tally:
        answer = run()
    return answer, Macs(tally.layers, tally.attention)


class Tally(TorchFunctionMode):
    """Counts the multiply-accumulates of every product that is called while it is entered.

    PyTorch's own counter does as much, but looks at every elementary operation and takes ten times as long.

    Attributes:
        layers: as in `Macs`.
        attention: as in `Macs`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.layers = 0
        self.attention = 0

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Runs a function of PyTorch and counts its products."""
        answer = function(*args, **(kwargs or {}))
        if function in WEIGHTED:
            weight = args[1]
            macs = answer.numel() * weight[0].numel()
            if isinstance(weight, nn.Parameter):
                self.layers += macs
            else:
                self.attention += macs
        elif function in MATRIX_PRODUCTS:
            self.attention += answer.numel() * args[0].shape[-1]
        elif function is F.scaled_dot_product_attention:
            query, key = args[:2]
            self.attention += (query.numel() + answer.numel()) * key.shape[-2]
        return answer


def _in_layers(system: System) -> int:
    layers = [module for module in system.modules() if isinstance(module, LAYERS)]
    own = {parameter for layer in layers for parameter in layer.parameters(recurse=False)}
    return sum(parameter.numel() for parameter in own)


def _carry_template(system: System) -> None:
    """Makes the blocks that are asked for the search tokens alone work on the template's too."""
    for module in system.modules():
        if isinstance(module, Block):
            module.forward = partial(_whole, module.forward)  # type: ignore[method-assign]


def _whole(
    forward: Callable[..., tuple[Tensor, Tensor | None]],
    tokens: Tensor,
    elimination: Elimination | None = None,
    first: int = 0,
    beside: Beside | None = None,
) -> tuple[Tensor, Tensor | None]:
    """A block's `forward` that drops what is not wanted back only at its end."""
    tokens, survivors = forward(tokens, elimination, 0, beside)
    return tokens[:, first:], survivors


def _keep_candidates(system: System) -> None:
    """Turns elimination off in all configs."""
    for module in system.modules():
        if hasattr(module, "config"):
            module.config = _keeping(module.config)


def _keeping(config: Any) -> Any:
    """A config with all candidates kept in it and in the configs that it holds."""
    if isinstance(config, ViTConfig):
        return replace(config, keep=1.0)
    if not is_dataclass(config) or isinstance(config, type):
        return config
    return replace(config, **{each.name: _keeping(getattr(config, each.name)) for each in fields(config)})
