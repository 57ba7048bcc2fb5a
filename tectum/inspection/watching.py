"""Hooks on a system that note what goes through it, and stay only as long as somebody looks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from torch import Tensor, nn

from tectum.networks.vit import Attention, JointViT, ViTConfig
from tectum.systems.base import CenterMaps, System, Template, Views
from tectum.systems.nano import Gate


@dataclass(frozen=True)
class Pass:
    """One passage of tokens through the attention of a transformer's block.

    Attributes:
        block: number of the block, from 0.
        attention: of the block.
        tokens: what it reads, normalised, `B×N×C`, template tokens first.
    """

    block: int
    attention: Attention
    tokens: Tensor


@dataclass
class Evidence:
    """What was noted of one forward pass, in the order of the calls.

    Attributes:
        template: what the system was given of the target; `None` as long as it was not called.
        search: the views that it was given.
        maps: its answer.
        vit: sizes of its transformers; `None` if it has none.
        passes: through the transformers' blocks.
        final: tokens `B×N×C` that leave the transformers' last norms, search tokens at the end.
        gated: features of each sense `B×C×S×S` before they are joined, in a convolutional network.
    """

    template: Template | None = None
    search: Views = field(default_factory=dict)
    maps: CenterMaps | None = None
    vit: ViTConfig | None = None
    passes: list[Pass] = field(default_factory=list)
    final: list[Tensor] = field(default_factory=list)
    gated: list[Tensor] = field(default_factory=list)

    def note_answer(self, module: nn.Module, inputs: tuple[Any, ...], maps: CenterMaps) -> None:
        """Hears of the system's call."""
        (self.template, self.search), self.maps = inputs, maps

    def note_pass(self, block: int, attention: Attention, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        """Hears of a call of an attention's first projection."""
        self.passes.append(Pass(block, attention, inputs[0]))

    def note_final(self, module: nn.Module, inputs: tuple[Any, ...], tokens: Tensor) -> None:
        """Hears of a call of a transformer's last norm."""
        self.final.append(tokens)

    def note_gate(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        """Hears of a call of a gate."""
        self.gated.extend(inputs[0])


@contextmanager
def watching(system: System) -> Iterator[Evidence]:
    """Notes what goes through a system in its next forward pass.

    What a transformer's own blocks do is noted; blocks that others put between them, such as those of MST and TBSI
    that read both senses, are not.

    Args:
        system: any; afterwards it is as it was.

    Yields:
        What fills with the pass.
    """
    evidence = Evidence()
    with ExitStack() as hooks:
        hooks.callback(system.register_forward_hook(evidence.note_answer).remove)
        for module in system.modules():
            if isinstance(module, JointViT):
                _hook(module, evidence, hooks)
            elif isinstance(module, Gate):
                hooks.callback(module.register_forward_pre_hook(evidence.note_gate).remove)
        yield evidence


def _hook(transformer: JointViT, evidence: Evidence, hooks: ExitStack) -> None:
    evidence.vit = evidence.vit or transformer.config
    hooks.callback(transformer.norm.register_forward_hook(evidence.note_final).remove)
    for index, block in enumerate(transformer.blocks):
        attention: Attention = block.attn  # type: ignore[assignment]
        note = partial(evidence.note_pass, index, attention)
        hooks.callback(attention.qkv.register_forward_pre_hook(note).remove)
