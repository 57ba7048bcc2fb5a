"""From a script to pictures: plates sampled, things laid on them, and what each sense makes of the result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from tectum.frames import Modality
from tectum.world.pairs.looks import Lens, Stage, View, develop, sensor
from tectum.world.pairs.script import Crop, Layer, Script, Whole
from tectum.world.pairs.stock import VIEWS, Stock
from tectum.world.pairs.warping import grid, placed, warp, wide

HEAT, NEAR, COVER = 3, 4, 4
"""Channels of the stock after red, green and blue: temperature, then nearness in plates and cover in things."""

CACHED = frozenset({"cpu"})
"""Devices that are fast on what fits into a cache: few crops, and of each only the patch that a thing covers.

The others are fast on much at a time, whatever of it is in vain, as long as nothing waits for the CPU.
"""

FEW, MANY = 4, 128
"""Crops that are rendered at a time, on devices with a cache and on others."""


@dataclass(frozen=True)
class Pairs:
    """A batch of training pairs, on the stock's device.

    Attributes:
        template: by sense `B×T×T×3`, 8 bit.
        search: by sense `B×S×S×3`, 8 bit.
        template_boxes: the target `B×4` as `x, y, w, h` in fractions of the template crop's side.
        search_boxes: the same in the search crop, `nan` where the target is absent.
    """

    template: Mapping[Modality, Tensor]
    search: Mapping[Modality, Tensor]
    template_boxes: Tensor
    search_boxes: Tensor


@torch.inference_mode()
def render(stock: Stock, script: Script, senses: Sequence[Modality], seed: int, lens: Lens | None = None) -> Pairs:
    """Renders a script.

    Args:
        stock: what the script was drawn from, on the device that is to compute.
        script: what is to be seen.
        senses: which images are wanted.
        seed: of what lenses and sensors add.
        lens: how strongly light and lens change pictures.
    """
    images = []
    for place, crop in enumerate((script.template, script.search)):
        # Both crops of a pair are seen through sensors of one setting, which the same seed draws.
        setting, grain = np.random.default_rng(seed), np.random.default_rng((seed, place))
        views = {sense: sensor(sense, lens or Lens(), len(crop.plate), setting, grain) for sense in senses}
        images.append(_seen(stock, crop, views))
    boxes = [placed(crop.boxes, stock.plates.device) for crop in (script.template, script.search)]
    return Pairs(images[0], images[1], boxes[0], boxes[1])


def _seen(stock: Stock, crop: Crop, views: Mapping[Modality, View]) -> dict[Modality, Tensor]:
    """The images of one crop of each pair."""
    device, count = stock.plates.device, len(crop.plate)
    images = {sense: torch.empty(count, crop.size, crop.size, 3, dtype=torch.uint8, device=device) for sense in views}
    step = FEW if device.type in CACHED else MANY
    for start in range(0, count, step):
        rows = slice(start, start + step)
        stage = _stage(stock, crop.of(rows), frozenset(views))
        for sense, view in views.items():
            develop(view(stage, rows), images[sense][rows])
    return images


def _stage(stock: Stock, crop: Crop, senses: frozenset[Modality]) -> Stage:
    """What is there in some crops: the plate, then each thing laid on it."""
    channels, device = _Channels.of(senses), stock.plates.device
    plates = _chosen(stock.plates, crop.plate, channels.kept)
    pixels = warp(plates, grid(placed(crop.window, device), crop.size), "reflection")
    flow = wide(crop.flow[:, : 2 * channels.moving], device).repeat(1, 1, crop.size, crop.size)
    colours, heat, depth = torch.split(pixels, [*channels.counts, int(channels.near)], dim=1)
    stage = Stage(colours, heat, depth, flow)
    ground = depth.mean(dim=(2, 3), keepdim=True)
    for layer in crop.layers:
        _lay(stock, stage, layer, channels, ground)
    return stage


@dataclass(frozen=True)
class _Channels:
    """Which channels of plates and things the wanted senses need: what nobody sees is not computed."""

    colours: bool
    heat: bool
    near: bool
    moving: bool

    @classmethod
    def of(cls, senses: frozenset[Modality]) -> _Channels:
        moving = Modality.EVENT in senses
        return cls(Modality.RGB in senses or moving, Modality.THERMAL in senses, Modality.DEPTH in senses, moving)

    @property
    def body(self) -> list[int]:
        """Those that things have of their own."""
        return [0, 1, 2] * self.colours + [HEAT] * self.heat

    @property
    def kept(self) -> list[int]:
        return self.body + [NEAR] * self.near

    @property
    def counts(self) -> list[int]:
        """How many of those are colours and how many are heat."""
        return [3 * self.colours, int(self.heat)]


@dataclass(frozen=True)
class _Patch:
    """The part of some crops in which a thing is laid.

    Attributes:
        rows: `b` which crops.
        corner: `b×2` its left and top in pixels.
        side: in pixels, the same in all.
    """

    rows: Whole
    corner: Whole
    side: int


def _patches(layer: Layer, size: int, device: torch.device) -> Iterator[_Patch]:
    """The crops in which a thing is shown: whole, or by rising size a few and of them only what it can cover."""
    rows = np.flatnonzero(layer.shown)
    if device.type not in CACHED:
        if len(rows):
            yield _Patch(rows, np.zeros((len(rows), 2), np.int64), size)
        return
    reach = 2 * np.abs(layer.affine[rows, :, :2]).sum(axis=2).max(axis=1) + 2
    order = np.argsort(reach, kind="stable")
    for start in range(0, len(rows), FEW):
        chosen = order[start : start + FEW]
        side = min(size, int(np.ceil(reach[chosen[-1]])))
        corner = (layer.affine[rows[chosen], :, 2] - side / 2).round().clip(0, size - side).astype(np.int64)
        yield _Patch(rows[chosen], corner, side)


def _lay(stock: Stock, stage: Stage, layer: Layer, channels: _Channels, ground: Tensor) -> None:
    """Lays one thing on each crop in which it is shown, in place; `ground` is the nearness `b×1×1×1` behind it."""
    for patch in _patches(layer, stage.flow.shape[-1], stage.flow.device):
        thing, cover = _cut(stock, layer, patch, channels)
        if channels.near:
            behind = ground[placed(patch.rows, ground.device)]
            thing = replace(thing, near=behind + (1 - behind) * thing.near)
        for there, brought in zip(stage.planes, thing.planes, strict=True):
            if there.shape[1]:
                _blend(there, patch, brought, cover)


def _blend(there: Tensor, patch: _Patch, brought: Tensor, cover: Tensor) -> None:
    """Puts what is brought, `b×C×side×side` or `b×C×1×1`, before what is there, as far as it covers it."""
    side = patch.side
    if side == there.shape[-1]:
        rows = placed(patch.rows, there.device)
        there.index_copy_(0, rows, torch.lerp(there.index_select(0, rows), brought, cover))
        return
    for place, (row, (x, y)) in enumerate(zip(patch.rows.tolist(), patch.corner.tolist(), strict=True)):
        there[row, :, y : y + side, x : x + side].lerp_(brought[place], cover[place])


def _cut(stock: Stock, layer: Layer, patch: _Patch, channels: _Channels) -> tuple[Stage, Tensor]:
    """What a thing brings to a patch, nearness and flow as `b×C×1×1`, and its cover `b×1×side×side`."""
    device, body, rows = stock.things.device, channels.body, patch.rows
    things = _chosen(stock.things.flatten(0, 1), layer.thing[rows] * VIEWS + layer.view[rows], [*body, COVER])
    back = np.linalg.inv(layer.affine[rows, :, :2])
    shift = np.einsum("bij,bj->bi", back, patch.corner - layer.affine[rows, :, 2])
    window = np.concatenate([back, shift[:, :, None]], axis=2)
    # Beyond its tile a thing has no cover, because tiles end in a margin without any.
    seen = warp(things, grid(placed(window, device), patch.side))
    gain, bias = wide(layer.gain[rows][:, body], device), wide(layer.bias[rows][:, body], device)
    skin = torch.addcmul(bias, seen[:, :-1], gain).clamp_(0, 1)
    near, flow = wide(layer.near[rows], device), wide(layer.flow[rows], device)
    colours, heat = torch.split(skin, channels.counts, dim=1)
    return Stage(colours, heat, near, flow), seen[:, -1:]


def _chosen(images: Tensor, which: Whole, channels: list[int]) -> Tensor:
    """Some channels of some images `N×C×h×w` of 8 bit, as fractions of 1."""
    planes = which[:, None] * images.shape[1] + np.array(channels)
    chosen = images.flatten(0, 1).index_select(0, placed(planes.ravel(), images.device))
    return chosen.float().mul_(1 / 255).view(*planes.shape, *images.shape[2:])
