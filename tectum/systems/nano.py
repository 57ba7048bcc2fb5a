"""Nano: a compact convolutional tracker for two CPU cores, ours.

A light stem per sense brings each image to stride 4, a shared trunk of depthwise-separable blocks to stride 8,
and a gate joins what senses there are. The template is then found in the search region in three ways that a small
network can learn from little data: depthwise correlation, matching of cell to cell, and the votes of matched
cells for the target's centre. The size is told relative to the target's size in the template.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tectum.frames import Modality, Prompt
from tectum.networks.correlation import matching, votes
from tectum.networks.separable import Residual, convolution
from tectum.systems.base import Batch, CenterMaps, Crops, Decoding, Losses, System, Template, Views
from tectum.systems.objectives import covered, dense_center_objective
from tectum.systems.options import Preset

STRIDE = 8
"""Pixels along each side of a cell of the maps."""


@dataclass(frozen=True)
class NanoConfig:
    """Sizes of the network.

    Attributes:
        stem: channels at stride 4 of each sense.
        width: channels at stride 8.
        depth: blocks of the trunk.
        head_depth: blocks of the head.
    """

    stem: int = 48
    width: int = 128
    depth: int = 6
    head_depth: int = 6


class Stem(nn.Module):
    """One sense from pixels to stride 4."""

    def __init__(self, config: NanoConfig) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            convolution(3, config.stem, 6, stride=4, padding=1),
            Residual(config.stem),
        )

    def forward(self, image: Tensor) -> Tensor:
        """Maps `B×3×H×W` to `B×C×H/4×W/4`."""
        features: Tensor = self.layers(image)
        return features


class Gate(nn.Module):
    """Weighs the senses against each other at every place; a lone sense passes as it is."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Conv2d(width, 1, 1)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Joins tensors `B×C×H×W`, one per sense, to one."""
        if len(features) == 1:
            return features[0]
        stacked = torch.stack(features)
        weights = torch.stack([self.weight(each) for each in features]).softmax(dim=0)
        return (stacked * weights).sum(dim=0)


class NanoHead(nn.Module):
    """Reads score, offset and relative size from the joined comparisons."""

    def __init__(self, inputs: int, config: NanoConfig) -> None:
        super().__init__()
        self.enter = convolution(inputs, config.width, 1)
        self.blocks = nn.Sequential(*(Residual(config.width) for _ in range(config.head_depth)))
        self.score = nn.Conv2d(config.width, 1, 1)
        self.box = nn.Conv2d(config.width, 4, 1)
        nn.init.constant_(self.score.bias, -4.0)  # type: ignore[arg-type]  # a rare centre, as focal loss wants
        nn.init.normal_(self.box.weight, std=0.01)
        nn.init.zeros_(self.box.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Returns score `B×1×S×S`, offset `B×2×S×S` in cells and log size ratio `B×2×S×S`."""
        features = self.blocks(self.enter(x))
        box = self.box(features).float()
        score = self.score(features).float().sigmoid().clamp(1e-4, 1 - 1e-4)
        return score, box[:, :2] + 0.5, box[:, 2:].clamp(-2, 2)


class Nano(System):
    """The bundled default: any one sense, or RGB with any others, from one set of weights.

    Args:
        config: sizes of the network.
    """

    any_size = True

    def __init__(self, config: NanoConfig | None = None) -> None:
        super().__init__(
            senses=Modality,
            required=(),
            crops=Crops(template_size=128, search_size=256),
            decoding=Decoding(window=0.65, change_penalty=0.25, smoothing=0.3, threshold=0.2),
        )
        config = config or NanoConfig()
        width = config.width
        self.stems = nn.ModuleDict({modality.value: Stem(config) for modality in Modality})
        self.trunk = nn.Sequential(
            convolution(config.stem, width, 2, stride=2, padding=0),
            *(Residual(width) for _ in range(config.depth)),
        )
        self.gate = Gate(width)
        self.key = nn.Conv2d(width, width // 2, 1)
        self.value = nn.Conv2d(width, width // 4, 1)
        self.sharpness = nn.Parameter(torch.tensor(2.5))
        self.correlated = nn.BatchNorm2d(width)
        self.look = nn.Conv2d(width, width // 4, 1)
        self.head = NanoHead(width + width // 2 + len(PLACES) + 1, config)

    @classmethod
    def presets(cls) -> Mapping[str, Preset]:
        """`nano`, which takes every sense whatever the second one is."""
        return {"nano": Preset(lambda second, config: cls(config), NanoConfig())}

    def features(self, views: Views) -> Tensor:
        """Joined features `B×C×H/8×W/8` of all senses in the views."""
        each = [self.stems[modality.value](views[modality]) for modality in Modality if modality in views]
        trunk = self.trunk(torch.cat(each))
        return self.gate(list(trunk.chunk(len(each))))  # type: ignore[no-any-return]

    def embed(self, template: Views, prompt: Prompt) -> Template:
        """Keeps the template's summary, its keys and values for matching, and the target's size in pixels.

        In evaluation the network first measures the target in the template itself. Its ratio should be 1 there; what
        it says instead is its error on this target, and is taken off the size.
        """
        features = self.features(template)
        side = features.shape[-1]
        box = prompt.box if prompt.box is not None else features.new_tensor([0.25, 0.25, 0.5, 0.5])
        places = target_places(box.expand(len(features), 4).to(features), side)
        kept = {
            "summary": mean_inside(features, places[:, :1]),
            "key": self.key(features),
            "value": torch.cat([self.value(features), places], dim=1),
            "size": box.expand(len(features), 4)[:, 2:].float() * side * STRIDE,
        }
        if not self.training:
            ratio = self.answer(kept, features)[2]
            middle = slice(side // 2 - 1, side // 2 + 1)
            kept["size"] = kept["size"] / ratio[..., middle, middle].mean(dim=(2, 3)).exp()
        return kept

    def forward(self, template: Template, search: Views) -> CenterMaps:
        """Finds the targets; maps have a cell for every 8 pixels of the search crop."""
        features = self.features(search)
        score, offset, ratio = self.answer(template, features)
        size = template["size"][:, :, None, None] / (features.shape[-1] * STRIDE) * ratio.exp()
        return CenterMaps(score, size, offset)

    def answer(self, template: Template, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Score `B×1×S×S`, offset `B×2×S×S` in cells and log size ratio `B×2×S×S` for features `B×C×S×S`."""
        compared = [
            self.correlated(features * template["summary"]),
            *self.matched(template, features),
            self.look(features),
        ]
        score, offset, ratio = self.head(torch.cat(compared, dim=1))
        return score, offset, ratio

    def matched(self, template: Template, features: Tensor) -> tuple[Tensor, Tensor]:
        """What the matched template cells say at each place `B×(C/4+4)×S×S`, and their votes `B×1×S×S`."""
        match = matching(self.key(features), template["key"], self.sharpness.exp())
        value = template["value"].flatten(2)
        read = torch.bmm(value, match.flatten(2)).view(len(features), -1, *features.shape[-2:])
        inside = value[:, -len(PLACES)].view(len(value), -1, 1, 1)
        return read, votes(match * inside, template["key"].shape[-1])

    def objective(self, batch: Batch) -> Losses:
        """`dense_center_objective` on the answer."""
        maps = self(self.embed(batch.template, batch.prompt), batch.search)
        return dense_center_objective(maps, batch.boxes)


def mean_inside(features: Tensor, inside: Tensor) -> Tensor:
    """Averages features `B×C×h×w` over the cells that lie in the target, `B×1×h×w`; returns `B×C×1×1`."""
    return (features * inside).sum(dim=(2, 3), keepdim=True) / inside.sum(dim=(2, 3), keepdim=True).clamp(min=1e-3)


PLACES = ("inside", "across", "down", "distance")
"""What a template cell knows of where it lies in the target."""


def target_places(box: Tensor, side: int) -> Tensor:
    """Where each cell of the template lies in the target's box.

    Args:
        box: targets `B×4` as `x, y, w, h` in fractions of the template crop.
        side: cells along each side.

    Returns:
        `B×4×side×side`: share of the cell inside the box; horizontal and vertical place in the box, from -1 to 1,
        zero outside; squared distance from the centre in half sizes, negative outside.
    """
    inside = covered(box, side)
    cells = torch.arange(side, device=box.device, dtype=box.dtype)
    middle = box[:, :2] + box[:, 2:] / 2
    place = ((cells + 0.5) / side - middle[..., None]) / (box[:, 2:, None] / 2)
    across = place[:, 0, None, :].expand_as(inside)
    down = place[:, 1, :, None].expand_as(inside)
    distance = (across**2 + down**2) / 2
    return torch.stack([inside, across * inside, down * inside, distance * inside - (1 - inside)], dim=1)
