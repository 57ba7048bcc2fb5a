"""From a script to pictures: plates sampled, things laid on them, and what each sense makes of the result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tectum.frames import Modality
from tectum.world.pairs.looks import Lens, Stage, Values, View, develop, sensor
from tectum.world.pairs.script import Crop, Layer, Script, Whole
from tectum.world.pairs.stock import Stock

HEAT, NEAR, COVER = 3, 4, 4
"""Channels of the stock after red, green and blue: temperature, then nearness in plates and cover in things."""

CACHED = 8
"""Crops that a CPU renders at a time."""

CHUNK = 16
"""Crops whose things are laid in one pass; sorted by size, so that small things cost little."""


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
    boxes = [torch.from_numpy(crop.boxes).to(stock.plates.device) for crop in (script.template, script.search)]
    return Pairs(images[0], images[1], boxes[0], boxes[1])


def _seen(stock: Stock, crop: Crop, views: Mapping[Modality, View]) -> dict[Modality, Tensor]:
    """The images of one crop of each pair; on a CPU a few at a time, which then stay in its cache."""
    device, count = stock.plates.device, len(crop.plate)
    images = {sense: torch.empty(count, crop.size, crop.size, 3, dtype=torch.uint8, device=device) for sense in views}
    step = CACHED if device.type == "cpu" else count
    for start in range(0, count, step):
        rows = slice(start, start + step)
        stage = _stage(stock, crop.of(rows), frozenset(views))
        for sense, view in views.items():
            develop(view(stage, rows), images[sense][rows])
    return images


def _stage(stock: Stock, crop: Crop, senses: frozenset[Modality]) -> Stage:
    """What is there in some crops: the plate, then each thing laid on it."""
    channels = _Channels.of(senses)
    device = stock.plates.device
    kept = stock.plates[_on(crop.plate, device)[:, None], torch.tensor(channels.kept, device=device)]
    grid = _grid(_on(crop.window, device), crop.size)
    pixels = F.grid_sample(kept.float().mul_(1 / 255), grid, padding_mode="reflection", align_corners=False)
    if channels.moving:
        pixels = torch.cat([pixels, _even(crop.flow, crop.size, device)], dim=1)
    for layer in crop.layers:
        _lay(stock, pixels, layer, channels)
    return channels.stage(pixels)


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

    def stage(self, pixels: Tensor) -> Stage:
        """Names the channels of finished pixels; those that are not there are empty."""
        counts = [3 * self.colours, int(self.heat), int(self.near), 2 * self.moving]
        return Stage(*torch.split(pixels, counts, dim=1))


def _grid(window: Tensor, size: int) -> Tensor:
    """Where each pixel's middle comes from: `B×S×S×2` for maps `B×2×3` from pixels."""
    steps = torch.arange(size, device=window.device, dtype=torch.float32) + 0.5
    across = window[:, :, 0, None] * steps
    down = window[:, :, 1, None] * steps + window[:, :, 2, None]
    return (across[:, :, None, :] + down[:, :, :, None]).permute(0, 2, 3, 1)


def _lay(stock: Stock, pixels: Tensor, layer: Layer, channels: _Channels) -> None:
    """Lays one thing on each crop in which it is shown, in place, small ones first."""
    size = pixels.shape[-1]
    reach = 2 * np.abs(layer.affine[:, :, :2]).sum(axis=2).max(axis=1) + 2
    rows = np.flatnonzero(layer.shown)
    rows = rows[np.argsort(reach[rows], kind="stable")]
    for start in range(0, len(rows), CHUNK):
        chosen = rows[start : start + CHUNK]
        side = min(size, int(np.ceil(reach[chosen[-1]])))
        corner = np.clip(np.round(layer.affine[chosen, :, 2] - side / 2), 0, size - side).astype(int)
        laid, cover = _cut(stock, layer, chosen, corner, side, channels)
        for place, (row, (x, y)) in enumerate(zip(chosen.tolist(), corner.tolist(), strict=True)):
            pixels[row, :, y : y + side, x : x + side].lerp_(laid[place], cover[place])


def _cut(
    stock: Stock, layer: Layer, rows: Whole, corner: Whole, side: int, channels: _Channels
) -> tuple[Tensor, Tensor]:
    """The windows of crops that a thing touches: its channels `b×C×side×side` and its cover `b×1×side×side`."""
    device, body = stock.things.device, channels.body
    kept = torch.tensor([*body, COVER], device=device)
    things = stock.things[_on(layer.thing[rows], device)[:, None], _on(layer.view[rows], device)[:, None], kept]
    back = np.linalg.inv(layer.affine[rows, :, :2])
    shift = np.einsum("bij,bj->bi", back, corner - layer.affine[rows, :, 2])
    window = np.concatenate([back, shift[:, :, None]], axis=2).astype(np.float32)
    # Beyond its tile a thing has no cover, because tiles end in a margin without any.
    grid = _grid(_on(window, device), side)
    seen = F.grid_sample(things.float().mul_(1 / 255), grid, padding_mode="border", align_corners=False)
    skin = torch.addcmul(
        _wide(layer.bias[rows][:, body], device), seen[:, :-1], _wide(layer.gain[rows][:, body], device)
    )
    parts = [skin.clamp_(0, 1)]
    if channels.near:
        parts.append(_even(layer.near[rows, None], side, device))
    if channels.moving:
        parts.append(_even(layer.flow[rows], side, device))
    return torch.cat(parts, dim=1), seen[:, -1:]


def _on(values: Values | Whole, device: torch.device) -> Tensor:
    return torch.from_numpy(values).to(device)


def _wide(values: Values, device: torch.device) -> Tensor:
    """Values `b×C`, ready to be broadcast over images."""
    return _on(values.astype(np.float32), device)[:, :, None, None]


def _even(values: Values, side: int, device: torch.device) -> Tensor:
    """Channels `b×C×side×side` that are the same everywhere."""
    return _wide(values, device).expand(-1, -1, side, side)
