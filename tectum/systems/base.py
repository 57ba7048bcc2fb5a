"""The one interface of every tracker: `System`, and the values that go in and out of it."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Self, TypeAlias

import torch
from torch import Tensor, nn

from tectum.errors import UnknownNameError
from tectum.frames import Modality, Prompt
from tectum.systems.options import Preset

Views: TypeAlias = Mapping[Modality, Tensor]
"""Crops by modality, each `B×3×H×W`, RGB order, normalised by ImageNet's mean and deviation."""

MEAN = torch.tensor((0.485, 0.456, 0.406))
"""ImageNet's mean of R, G, B in [0, 1]."""

DEVIATION = torch.tensor((0.229, 0.224, 0.225))
"""ImageNet's standard deviation of R, G, B in [0, 1]."""

SCALE = 1 / (255 * DEVIATION)
SHIFT = -MEAN / DEVIATION


def normalise(crops: Tensor) -> Tensor:
    """Turns crops into a view: ImageNet's mean becomes 0 and its deviation 1.

    Args:
        crops: `B×H×W×3`, 8 bit, RGB order.

    Returns:
        `B×3×H×W` in float, on the device of the crops.
    """
    return crops.float().mul_(SCALE.to(crops.device)).add_(SHIFT.to(crops.device)).permute(0, 3, 1, 2)


Template: TypeAlias = dict[str, Tensor]
"""What a system keeps of its targets; every tensor has the batch as its first axis."""


@dataclass(frozen=True)
class CenterMaps:
    """The answer of a centre head on an `S×S` grid over the search crop.

    Attributes:
        score: `B×1×S×S`, probability that the target's centre lies in the cell.
        size: `B×2×S×S`, width and height of the target in fractions of the crop's side.
        offset: `B×2×S×S`, x and y of the centre within its cell, in cells.
    """

    score: Tensor
    size: Tensor
    offset: Tensor


Response: TypeAlias = CenterMaps
"""What `System.forward` answers; each kind has one decoder in `tectum.tracking.decoders`."""


@dataclass(frozen=True)
class Batch:
    """Training pairs.

    Attributes:
        template: views of the target, `B×3×T×T` each.
        search: views where it is to be found, `B×3×S×S` each.
        boxes: the target in the search crop, `B×4` as `x, y, w, h` in fractions of the crop's side.
        prompt: sentences and the target's box in the template crop.
        progress: how much of the training is done, in [0, 1].
        elimination: how far the elimination of candidates is warmed up, from 0, where all are kept, to 1; `None` as
            the system has it by its own account of the progress.
    """

    template: Views
    search: Views
    boxes: Tensor
    prompt: Prompt = field(default_factory=Prompt)
    progress: float = 0.0
    elimination: float | None = None


@dataclass(frozen=True)
class Losses:
    """A training loss with its named, already weighted parts."""

    parts: Mapping[str, Tensor]

    @property
    def total(self) -> Tensor:
        """The sum of the parts, a scalar."""
        return torch.stack(list(self.parts.values())).sum()


@dataclass(frozen=True)
class Crops:
    """Which windows around the target a system sees.

    Attributes:
        template_size: side of the template crop in pixels.
        search_size: side of the search crop in pixels.
        template_factor: side of the template window over the square root of the target's area.
        search_factor: the same for the search window.
    """

    template_size: int = 128
    search_size: int = 256
    template_factor: float = 2.0
    search_factor: float = 4.0


@dataclass(frozen=True)
class Decoding:
    """How a response becomes one box.

    Attributes:
        window: weight of the Hann window in [0, 1]: the score is multiplied by `1 - window + window * hann`.
        change_penalty: strength of the penalty on sudden change of size and aspect ratio, 0 for none.
        smoothing: share of the previous size that the new size keeps, in [0, 1).
        threshold: confidence from which a target counts as visible.
    """

    window: float = 1.0
    change_penalty: float = 0.0
    smoothing: float = 0.0
    threshold: float = 0.0


@dataclass(frozen=True)
class Group:
    """Parameters that train with one multiple of the learning rate."""

    parameters: tuple[nn.Parameter, ...]
    rate: float = 1.0


@dataclass(frozen=True)
class Layout:
    """How the names of a published checkpoint map onto a system's own.

    Attributes:
        renames: pairs of a regular expression and its replacement, each applied in turn to every name.
        unused: regular expressions of names that the published code stores but never uses.
        prepare: turns renamed tensors into the system's shapes (positions resized, say).
        originals: pairs like `renames` that lead from the system's own names back to the published ones.
        added: regular expressions of own names that a foundation lacks; a training that starts from it begins with
            their initial values.
    """

    renames: tuple[tuple[str, str], ...] = ()
    unused: tuple[str, ...] = ()
    prepare: Callable[[System, dict[str, Tensor]], dict[str, Tensor]] | None = None
    originals: tuple[tuple[str, str], ...] = ()
    added: tuple[str, ...] = ()

    def adds(self, name: str) -> bool:
        """Whether the system's own `name` is none of its foundation's."""
        return any(re.fullmatch(pattern, name) for pattern in self.added)

    def original(self, name: str) -> str:
        """The published name of what the system calls `name`, for messages."""
        for pattern, replacement in self.originals:
            name = re.sub(pattern, replacement, name)
        return name

    def apply(self, system: System, published: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Returns the published tensors under the system's names and in its shapes."""
        renamed: dict[str, Tensor] = {}
        for name, tensor in published.items():
            if any(re.fullmatch(pattern, name) for pattern in self.unused):
                continue
            for pattern, replacement in self.renames:
                name = re.sub(pattern, replacement, name)
            renamed[name] = tensor
        return self.prepare(system, renamed) if self.prepare else renamed


class System(nn.Module, ABC):
    """A tracking network: what it senses, how it is prompted, what it answers.

    Attributes:
        senses: the modalities it takes.
        required: those of them that every `Views` must hold; a system that copes with fewer names fewer.
        crops: the windows it wants.
        decoding: how its response is best decoded.
        layout: names of its published checkpoints.
        any_size: whether it takes crops of other sizes than `crops` says, at the same scale.
        opens_blocks: whether it runs parts of its blocks by themselves. Processes that share out its weights then put
            them together for a whole pass, and not block by block.
    """

    any_size: ClassVar[bool] = False
    opens_blocks: ClassVar[bool] = False
    layout: ClassVar[Layout] = Layout()

    def __init__(
        self,
        senses: Iterable[Modality],
        crops: Crops,
        decoding: Decoding | None = None,
        required: Iterable[Modality] | None = None,
    ) -> None:
        super().__init__()
        self.senses = frozenset(senses)
        self.required = self.senses if required is None else frozenset(required)
        self.crops = crops
        self.decoding = decoding or Decoding()

    @classmethod
    @abstractmethod
    def presets(cls) -> Mapping[str, Preset]:
        """What there is, by name."""

    @abstractmethod
    def embed(self, template: Views, prompt: Prompt) -> Template:
        """Keeps what is needed of the targets; once per target.

        Args:
            template: views `B×3×T×T`.
            prompt: what else is known of the targets.
        """

    @abstractmethod
    def forward(self, template: Template, search: Views) -> Response:
        """Answers where the targets are; once per frame.

        Args:
            template: what `embed` returned.
            search: views `B×3×S×S`.
        """

    @abstractmethod
    def objective(self, batch: Batch) -> Losses:
        """The training loss of a batch."""

    def equip(self) -> None:
        """Adds what training alone needs, such as teachers; once, when the initial weights are in place.

        What it adds is in a run's checkpoints, but not in the weights that the run leaves.
        """
        return

    def trainable(self) -> tuple[Group, ...]:
        """Parameter groups that train, by default all with the recipe's learning rate; what is in none is frozen."""
        return (Group(tuple(self.parameters())),)

    def train(self, mode: bool = True) -> Self:
        """Switches to training or evaluation; a frozen batch norm keeps its statistics in both."""
        super().train(mode)
        free = {id(parameter) for group in self.trainable() for parameter in group.parameters}
        for module in self.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm) and not free & set(map(id, module.parameters())):
                module.eval()
        return self


def side_by_side(views: Views, second: Modality) -> Tensor:
    """Both senses' views as one batch `2B×3×H×W`: RGB of all samples, then their other sense."""
    return torch.cat([views[Modality.RGB], views[second]])


def second_sense(modality: Modality) -> Modality:
    """Checks that a modality can stand beside RGB.

    Raises:
        UnknownNameError: if it is RGB itself.
    """
    if modality is Modality.RGB:
        others = ", ".join(m for m in Modality if m is not Modality.RGB)
        raise UnknownNameError(f"The second sense cannot be RGB: use one of {others}.")
    return modality
