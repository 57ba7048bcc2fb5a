"""OSTrack: one stream in which template and search region attend to each other from the first layer on.

Source: Ye et al., "Joint Feature Learning and Relation Modeling for Tracking: A One-Stream Framework", ECCV 2022.
DropTrack (Wu et al., "DropMAE", CVPR 2023) is the same network started from other weights, and its checkpoints fit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from torch import Tensor

from tectum.frames import Modality, Prompt
from tectum.networks.elimination import Watch, box_weights, keep_ratio
from tectum.networks.heads import CenterHead
from tectum.networks.vit import JointViT, ViTConfig, resize_positions
from tectum.systems.base import Batch, CenterMaps, Crops, Group, Layout, Losses, System, Template, Views
from tectum.systems.objectives import center_objective, dense_center_objective
from tectum.systems.options import Preset

UNUSED = (r"backbone\.pos_embed", r"backbone\.cls_token")
"""What published checkpoints keep of the image classifier that the network began as."""

RENAMES = (
    (r"backbone\.(temporal_)?pos_embed_z", r"backbone.\1template_positions"),
    (r"backbone\.(temporal_)?pos_embed_x", r"backbone.\1search_positions"),
    (r"box_head\.(conv\d)_ctr", r"head.score.\1"),
    (r"box_head\.(conv\d)_(size|offset)", r"head.\2.\1"),
)

ORIGINALS = (
    (r"(.*)\.template_positions", r"\1.pos_embed_z"),
    (r"(.*)\.search_positions", r"\1.pos_embed_x"),
    (r"head\.score\.(conv\d)", r"box_head.\1_ctr"),
    (r"head\.(size|offset)\.(conv\d)", r"box_head.\2_\1"),
)

CENTRAL_BOX = (0.25, 0.25, 0.5, 0.5)
"""Where a target of any shape about lies in a template crop of factor 2."""


def fit_positions(system: System, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Resizes published positions to the system's grids, and adds DropTrack's temporal ones to them.

    Args:
        system: what the tensors are for.
        tensors: a state dict after `RENAMES`.
    """
    lengths = {name: tensor.shape[1] for name, tensor in system.state_dict().items() if name.endswith("_positions")}
    fitted = dict(tensors)
    for name, length in lengths.items():
        positions = tensors.get(name)
        if positions is None or positions.dim() != 3:
            continue
        parent, _, kind = name.rpartition(".")
        temporal = fitted.pop(f"{parent}.temporal_{kind}", None)
        fitted[name] = resize_positions(positions, length)
        if temporal is not None:
            fitted[name] = fitted[name] + (temporal if temporal.shape[1] == 1 else resize_positions(temporal, length))
    return fitted


@dataclass(frozen=True)
class OSTrackConfig:
    """What an OSTrack is made of.

    Attributes:
        vit: the transformer.
        search_factor: side of the search window over the square root of the target's area.
        head: channels of the head's first layer.
        elimination_start: training progress at which elimination begins.
        elimination_end: training progress from which it keeps only `vit.keep`.
        from_nothing: whether training starts without a pretrained backbone. Boxes are then learnt at every cell near
            the centre, and the backbone learns as fast as the head instead of at a tenth of its rate.
        sense: what a tracker by itself sees; branches of others are shown their own.
    """

    vit: ViTConfig = field(default_factory=ViTConfig)
    search_factor: float = 4.0
    head: int = 256
    elimination_start: float = 20 / 300
    elimination_end: float = 100 / 300
    from_nothing: bool = False
    sense: Modality = Modality.RGB

    @property
    def crops(self) -> Crops:
        """The windows that this network wants."""
        return Crops(self.vit.template_size, self.vit.search_size, 2.0, self.search_factor)

    @property
    def backbone_rate(self) -> float:
        """Learning rate of the backbone over the head's."""
        return 1.0 if self.from_nothing else 0.1


BASE_256 = OSTrackConfig()
BASE_256_CE = OSTrackConfig(ViTConfig(eliminate_at=(3, 6, 9)))
BASE_384_CE = OSTrackConfig(
    replace(BASE_256_CE.vit, template_size=192, search_size=384),
    search_factor=5.0,
)
BASE_384 = replace(BASE_384_CE, vit=replace(BASE_384_CE.vit, eliminate_at=()))
TINY = OSTrackConfig(
    ViTConfig(64, 128, width=160, depth=5, heads=4, drop_path=0.0, stem=(24, 48, 96), alike=True),
    head=64,
    from_nothing=True,
)
"""Small enough to be trained from nothing on two CPU cores."""


def embed_branch(backbone: JointViT, image: Tensor, prompt: Prompt) -> Template:
    """What one branch keeps of its targets: tokens `B×Nz×C`, and weights `B×Nz` where the targets' boxes judge."""
    return with_judges(backbone, backbone.embed_template(image), prompt)


def with_judges(backbone: JointViT, tokens: Tensor, prompt: Prompt) -> Template:
    """Template tokens `B×Nz×C` with their weights `B×Nz`, where the targets' boxes judge."""
    if backbone.config.watch is not Watch.BOX or not backbone.config.eliminate_at:
        return {"tokens": tokens}
    box = prompt.box if prompt.box is not None else tokens.new_tensor([CENTRAL_BOX])
    weights = box_weights(box.to(tokens).expand(len(tokens), 4), backbone.config.template_side)
    return {"tokens": tokens, "weights": weights}


def search_map(backbone: JointViT, template: Template, image: Tensor, keep: float | None) -> Tensor:
    """The search region `B×3×S×S` after one branch, as a map `B×C×s×s`."""
    joint = backbone(template["tokens"], backbone.embed_search(image), keep, template.get("weights"))
    side = backbone.config.search_side
    features: Tensor = joint.search.transpose(1, 2).unflatten(2, (side, side))
    return features


def one_stream_objective(config: OSTrackConfig, maps: CenterMaps, boxes: Tensor) -> Losses:
    """OSTrack's loss, or `dense_center_objective` for a network that starts from nothing; boxes are `B×4`."""
    return dense_center_objective(maps, boxes) if config.from_nothing else center_objective(maps, boxes)


class OSTrack(System):
    """The one-stream tracker on one sense, RGB as published.

    Args:
        config: what it is made of.
    """

    layout = Layout(RENAMES, UNUSED, prepare=fit_positions, originals=ORIGINALS)

    def __init__(self, config: OSTrackConfig = BASE_256) -> None:
        super().__init__(senses=(config.sense,), crops=config.crops)
        self.config = config
        self.backbone = JointViT(config.vit)
        self.head = CenterHead(config.vit.width, config.head, rare=config.from_nothing)

    @classmethod
    def presets(cls) -> Mapping[str, Preset]:
        """`ostrack-b256`, `ostrack-b256-ce`, `ostrack-b384-ce` as published, and `ostrack-tiny`; all see RGB alone."""
        configs = {
            "ostrack-b256": BASE_256,
            "ostrack-b256-ce": BASE_256_CE,
            "ostrack-b384-ce": BASE_384_CE,
            "ostrack-tiny": TINY,
        }
        return {name: Preset(lambda second, config: cls(config), config) for name, config in configs.items()}

    def embed(self, template: Views, prompt: Prompt) -> Template:
        """Keeps the template's tokens."""
        return embed_branch(self.backbone, template[self.config.sense], prompt)

    def forward(self, template: Template, search: Views) -> CenterMaps:
        """Finds the targets; maps have a cell for every patch of the search crop."""
        return self._answer(template, search, self.config.vit.keep)

    def _answer(self, template: Template, search: Views, keep: float) -> CenterMaps:
        return CenterMaps(*self.head(search_map(self.backbone, template, search[self.config.sense], keep)))

    def objective(self, batch: Batch) -> Losses:
        """`one_stream_objective`, with elimination warmed up by the batch's progress."""
        keep = training_keep(self.config, batch)
        maps = self._answer(self.embed(batch.template, batch.prompt), batch.search, keep)
        return one_stream_objective(self.config, maps, batch.boxes)

    def trainable(self) -> tuple[Group, ...]:
        """The head, and the backbone at its share of the learning rate, a tenth as published."""
        return (
            Group(tuple(self.head.parameters())),
            Group(tuple(self.backbone.parameters()), rate=self.config.backbone_rate),
        )


def training_keep(config: OSTrackConfig, batch: Batch) -> float:
    """The share of candidates kept at this point of the training, in (0, 1]."""
    if batch.elimination is not None:
        return keep_ratio(batch.elimination, 0, 1, config.vit.keep)
    return keep_ratio(batch.progress, config.elimination_start, config.elimination_end, config.vit.keep)
