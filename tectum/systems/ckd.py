"""CKD: two branches that learn to see alike, while a teacher of each keeps them from forgetting what they saw.

Source: Lu et al., "Breaking Modality Gap in RGBT Tracking: Coupled Knowledge Distillation", ACM MM 2024. The students
are a `Duo`; teachers exist in training only. Once trained, candidates can be eliminated by both senses together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tectum.frames import Modality
from tectum.networks.lockstep import Entrant, Stage, advance, final_maps, search_maps
from tectum.systems.base import Batch, CenterMaps, Group, Layout, Losses, System, Template, Views
from tectum.systems.distillation import Distillation
from tectum.systems.duo import Duo, DuoConfig, double
from tectum.systems.options import Preset
from tectum.systems.ostrack import (
    BASE_256,
    ORIGINALS,
    RENAMES,
    TINY,
    UNUSED,
    OSTrack,
    OSTrackConfig,
    fit_positions,
    one_stream_objective,
    training_keep,
)

BRANCH_RENAMES = (
    (r"rgb_branch\.", r"rgb."),
    (r"tir_branch\.", r"other."),
    (r"^(rgb|other)\.pos_embed_z", r"\1.template_positions"),
    (r"^(rgb|other)\.pos_embed_x", r"\1.search_positions"),
)

BRANCH_ORIGINALS = (
    (r"^(rgb|other)\.template_positions", r"\1.pos_embed_z"),
    (r"^(rgb|other)\.search_positions", r"\1.pos_embed_x"),
    (r"^rgb\.", r"rgb_branch."),
    (r"^other\.", r"tir_branch."),
)

UNUSED_BRANCHES = (r"(rgb|tir)_branch\.(pos_embed|cls_token)", r"teacher_(rgb|tir)\..*", r"box_head_[vi]\..*")
"""What published checkpoints keep of the image classifier, and of training."""


@dataclass(frozen=True)
class CKDConfig(DuoConfig):
    """What a CKD is made of, and how it is taught.

    Attributes:
        branch: the network of each branch, and the head.
        shared: whether both senses go through the same branch.
        judged_together: whether both senses decide together which candidates are eliminated, and keep the same ones.
        content_only: whether the head reads features freed of their style, which the paper compares with.
        distillation: what is drawn together in training.
        masked: share of the students' search patches that training zeroes.
        masked_apart: whether each sense has its own patches zeroed, instead of both the same.
        head_alone: whether the head alone trains, with neither teachers nor masks: the second stage, which follows once
            candidates are eliminated.

    Raises:
        ValueError: if features are to be compared that may be of different places.
    """

    judged_together: bool = True
    content_only: bool = False
    distillation: Distillation = field(default_factory=Distillation)
    masked: float = 0.25
    masked_apart: bool = False
    head_alone: bool = False

    def __post_init__(self) -> None:
        if self.distillation.features and self.branch.vit.eliminate_at and not self.judged_together:
            raise ValueError("Features are compared place by place: let both senses eliminate the same candidates.")

    @property
    def taught(self) -> bool:
        """Whether students have teachers."""
        return self.distillation.content > 0 and not self.head_alone


def eliminating(branch: OSTrackConfig, blocks: tuple[int, ...]) -> OSTrackConfig:
    """A branch that eliminates candidates after some blocks, in training from the start."""
    return replace(branch, vit=replace(branch.vit, eliminate_at=blocks), elimination_start=0.0, elimination_end=0.0)


def fit_branches(system: System, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Starts both branches from a single-stream checkpoint, or takes both as they are.

    Args:
        system: the CKD that the tensors are for.
        tensors: a CKD's, Duo's, OSTrack's or DropTrack's state dict after the renames.
    """
    if any(name.startswith("backbone.") for name in tensors):
        return double(system, tensors)
    if isinstance(system, CKD) and system.config.shared:
        tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith("other.")}
    return fit_positions(system, tensors)


def search_mask(tokens: Tensor, share: float) -> Tensor:
    """Draws which tokens `B×N×C` stay: `B×N×1`, 0 for a `share` of them and 1 for the others."""
    return (torch.rand(*tokens.shape[:2], 1, device=tokens.device) > share).to(tokens.dtype)


class CKD(Duo):
    """The two-branch tracker on RGB and a second sense, taught by coupled distillation.

    Args:
        second: the sense beside RGB.
        config: what it is made of.

    Raises:
        UnknownNameError: if the second sense is RGB.
    """

    opens_blocks = True
    config: CKDConfig
    layout = Layout(
        (*BRANCH_RENAMES, *RENAMES),
        (*UNUSED, *UNUSED_BRANCHES),
        prepare=fit_branches,
        originals=(*BRANCH_ORIGINALS, *ORIGINALS),
    )

    def __init__(self, second: Modality = Modality.THERMAL, config: CKDConfig | None = None) -> None:
        super().__init__(second, config or CKDConfig())
        self.teachers = nn.ModuleDict()

    @property
    def taught_by(self) -> dict[str, OSTrack]:
        """The teachers by their student's name, RGB's first; none before `equip`."""
        return cast(dict[str, OSTrack], dict(self.teachers.items()))

    @classmethod
    def presets(cls) -> Mapping[str, Preset]:
        """`ckd-b256` and `ckd-tiny` on RGB and the second sense.

        With `-mce` both senses eliminate candidates together, and the head alone trains: three times as published, and
        once in the tiny network, whose 64 candidates are soon too few. The paper's other networks are options of these.
        """
        configs = {
            "ckd-b256": CKDConfig(),
            "ckd-b256-mce": CKDConfig(eliminating(BASE_256, (3, 6, 9)), head_alone=True),
            "ckd-tiny": CKDConfig(TINY),
            "ckd-tiny-mce": CKDConfig(eliminating(TINY, (2,)), head_alone=True),
        }
        return {name: Preset(cls, config) for name, config in configs.items()}

    def equip(self) -> None:
        """Gives each student a teacher that begins as it: its branch, and its half of the head's first layer."""
        if not self.config.taught:
            return
        head = self.head.state_dict()
        for half, (name, student) in enumerate(zip(("rgb", "other"), self.branches.values(), strict=True)):
            teacher = OSTrack(self.config.branch)
            teacher.backbone.load_state_dict(student.state_dict())
            teacher.head.load_state_dict(
                {
                    key: tensor.chunk(2, dim=1)[half] if key.endswith("conv1.0.weight") else tensor
                    for key, tensor in head.items()
                }
            )
            self.teachers[name] = teacher

    def stages(self, template: Template, search: Views, keep: float | None = None) -> Iterator[Stage]:
        """What both branches hold after each block, RGB first, template tokens included.

        Args:
            template: what `embed` returned.
            search: views `B×3×S×S`.
            keep: share of the candidates that each elimination keeps, the config's if `None`.
        """
        return advance(self._students(template, search), keep or self.config.branch.vit.keep, whole=True)

    def _students(self, template: Template, search: Views, masked: float = 0.0) -> list[Entrant]:
        """Both branches at the start, RGB first, with a share of their search patches zeroed."""
        students: list[Entrant] = []
        mask: Tensor | None = None
        for place, (name, (sense, branch)) in enumerate(zip(("rgb", "other"), self.branches.items(), strict=True)):
            patches = branch.patch_embed(search[sense])
            if masked and (mask is None or self.config.masked_apart):
                mask = search_mask(patches, masked)
            tokens = (patches if mask is None else patches * mask) + branch.search_positions
            jury = (0, 1) if self.config.judged_together else (place,)
            students.append(Entrant(branch, template[f"{name}.tokens"], tokens, jury, template.get(f"{name}.weights")))
        return students

    def _teachers(self, batch: Batch, students: list[Entrant]) -> list[Entrant]:
        """The teachers at the start, RGB first; each keeps the candidates that its student keeps."""
        teachers: list[Entrant] = []
        for teacher, sense, student in zip(self.taught_by.values(), self.branches, students, strict=True):
            backbone = teacher.backbone
            starts = backbone.embed_template(batch.template[sense]), backbone.embed_search(batch.search[sense])
            teachers.append(Entrant(backbone, *starts, student.jury, student.weights))
        return teachers

    def _answer(self, template: Template, search: Views, keep: float) -> CenterMaps:
        return self._read(final_maps(self._students(template, search), keep))

    def _read(self, maps: list[Tensor]) -> CenterMaps:
        """The joint head's answer to both students' maps, `B×C×S×S` each."""
        if self.config.content_only:
            maps = [F.instance_norm(each) for each in maps]
        return CenterMaps(*self.head(torch.cat(maps, dim=1)))

    def objective(self, batch: Batch) -> Losses:
        """`one_stream_objective` on the joint head, the distillation's parts, and each teacher's own tracking loss.

        The latter are summed as `rgb_teacher` and `other_teacher`.

        Raises:
            RuntimeError: if the system is not equipped.
        """
        config, keep = self.config, training_keep(self.config.branch, batch)
        template = self.embed(batch.template, batch.prompt)
        if config.head_alone:
            return one_stream_objective(config.branch, self._answer(template, batch.search, keep), batch.boxes)
        if config.taught and not self.teachers:
            raise RuntimeError("CKD has no teachers yet: call equip() before it trains.")
        students = self._students(template, batch.search, config.masked)
        entrants = [*students, *(self._teachers(batch, students) if config.taught else [])]
        stages = list(advance(entrants, keep, whole=True))
        maps = search_maps(entrants, stages[-1])
        tracked = one_stream_objective(config.branch, self._read(maps[:2]), batch.boxes).parts
        distilled = config.distillation.parts([stage.tokens for stage in stages])
        taught = {
            f"{name}_teacher": one_stream_objective(config.branch, CenterMaps(*teacher.head(seen)), batch.boxes).total
            for (name, teacher), seen in zip(self.taught_by.items(), maps[2:], strict=True)
        }
        return Losses({**tracked, **distilled, **taught})

    def trainable(self) -> tuple[Group, ...]:
        """Heads, and branches and teachers at their share of the rate, a tenth as published; or the head alone."""
        if self.config.head_alone:
            return (Group(tuple(self.head.parameters())),)
        heads = [self.head, *(teacher.head for teacher in self.taught_by.values())]
        backbones = [*dict.fromkeys(self.branches.values()), *(each.backbone for each in self.taught_by.values())]
        return (
            Group(tuple(parameter for head in heads for parameter in head.parameters())),
            Group(
                tuple(parameter for backbone in backbones for parameter in backbone.parameters()),
                rate=self.config.branch.backbone_rate,
            ),
        )
