"""Duo: two OSTrack branches, one per sense, joined before one centre head; the baseline that CKD starts from.

Source: the baseline of CKD (Lu et al., "Breaking Modality Gap in RGBT Tracking: Coupled Knowledge Distillation",
ACM MM 2024): the branches do not interact before the head.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tectum.frames import Modality, Prompt
from tectum.networks.heads import CenterHead
from tectum.networks.vit import JointViT
from tectum.systems.base import Batch, CenterMaps, Group, Layout, Losses, System, Template, Views, second_sense
from tectum.systems.options import Preset
from tectum.systems.ostrack import (
    BASE_256,
    ORIGINALS,
    RENAMES,
    TINY,
    UNUSED,
    OSTrackConfig,
    embed_branch,
    fit_positions,
    one_stream_objective,
    search_map,
    training_keep,
)


@dataclass(frozen=True)
class DuoConfig:
    """What a Duo is made of.

    Attributes:
        branch: the network of each branch, and the head.
        shared: whether both senses go through the same branch.
    """

    branch: OSTrackConfig = BASE_256
    shared: bool = False


def double(system: System, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Starts both branches from a single-stream checkpoint, and repeats the head's first layer for both inputs.

    Args:
        system: the Duo that the tensors are for.
        tensors: an OSTrack's or DropTrack's state dict after `RENAMES`.
    """
    doubled: dict[str, Tensor] = {}
    branches = ("rgb",) if isinstance(system, Duo) and system.config.shared else ("rgb", "other")
    for name, tensor in tensors.items():
        parent, _, rest = name.partition(".")
        if parent == "backbone":
            doubled.update({f"{branch}.{rest}": tensor for branch in branches})
        elif rest.endswith("conv1.0.weight"):
            doubled[name] = torch.cat([tensor, tensor], dim=1)
        else:
            doubled[name] = tensor
    return fit_positions(system, doubled)


class Duo(System):
    """The two-branch tracker on RGB and a second sense.

    Args:
        second: the sense beside RGB.
        config: what it is made of.

    Raises:
        UnknownNameError: if the second sense is RGB.
    """

    layout = Layout(RENAMES, UNUSED, prepare=double, originals=((r"(rgb|other)\.(.*)", r"backbone.\2"), *ORIGINALS))

    def __init__(self, second: Modality = Modality.THERMAL, config: DuoConfig | None = None) -> None:
        config = config or DuoConfig()
        super().__init__(senses=(Modality.RGB, second_sense(second)), crops=config.branch.crops)
        self.second = second
        self.config = config
        vit = config.branch.vit
        self.rgb = JointViT(vit)
        self.other = None if config.shared else JointViT(vit)
        self.head = CenterHead(2 * vit.width, config.branch.head, rare=config.branch.from_nothing)

    @classmethod
    def presets(cls) -> Mapping[str, Preset]:
        """`duo-b256` and `duo-tiny`, on RGB and the second sense."""
        return {"duo-b256": Preset(cls, DuoConfig()), "duo-tiny": Preset(cls, DuoConfig(TINY))}

    @property
    def branches(self) -> dict[Modality, JointViT]:
        """The network of each sense, RGB first."""
        return {Modality.RGB: self.rgb, self.second: self.rgb if self.other is None else self.other}

    def embed(self, template: Views, prompt: Prompt) -> Template:
        """Keeps the template's tokens of each branch, as `rgb.tokens` and `other.tokens`."""
        kept: Template = {}
        for name, (sense, branch) in zip(("rgb", "other"), self.branches.items(), strict=True):
            parts = embed_branch(branch, template[sense], prompt)
            kept.update({f"{name}.{key}": tensor for key, tensor in parts.items()})
        return kept

    def forward(self, template: Template, search: Views) -> CenterMaps:
        """Finds the targets; maps have a cell for every patch of the search crop."""
        return self._answer(template, search, self.config.branch.vit.keep)

    def _answer(self, template: Template, search: Views, keep: float) -> CenterMaps:
        maps = []
        for name, (sense, branch) in zip(("rgb", "other"), self.branches.items(), strict=True):
            prefix = f"{name}."
            own = {key.removeprefix(prefix): tensor for key, tensor in template.items() if key.startswith(prefix)}
            maps.append(search_map(branch, own, search[sense], keep))
        return CenterMaps(*self.head(torch.cat(maps, dim=1)))

    def objective(self, batch: Batch) -> Losses:
        """`one_stream_objective` on the joint head."""
        keep = training_keep(self.config.branch, batch)
        maps = self._answer(self.embed(batch.template, batch.prompt), batch.search, keep)
        return one_stream_objective(self.config.branch, maps, batch.boxes)

    def trainable(self) -> tuple[Group, ...]:
        """The head, and the branches at their share of the learning rate, a tenth as published."""
        backbones = [branch for branch in (self.rgb, self.other) if branch is not None]
        return (
            Group(tuple(self.head.parameters())),
            Group(
                tuple(parameter for branch in backbones for parameter in branch.parameters()),
                rate=self.config.branch.backbone_rate,
            ),
        )
