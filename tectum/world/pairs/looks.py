"""What lenses and sensors make of a stage, for a whole batch at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from tectum.frames import Modality
from tectum.world.pairs.warping import placed, plain_grid, resized, warp, wide

Values: TypeAlias = npt.NDArray[np.floating]

RISE, FALL = (0.86, 0.12, 0.12), (0.12, 0.12, 0.78)
"""Colours of events of rising and of falling brightness in VisEvent's images, red first."""

NOISE_TILE = 64
"""Side of the tile of noise in pixels."""

REACH = 5
"""Side of the square in pixels over which flow is smoothed."""

SHADOW = 3
"""Width in pixels of the band beside a thing in which depth fails."""


@dataclass(frozen=True)
class Lens:
    """How strongly light, lens and sensor change pictures.

    Attributes:
        light: largest relative change of brightness and contrast.
        colour: largest relative change of each channel's gain, and of saturation.
        dark: share of pairs whose colours are seen at dusk or by night.
        grey: share of pairs without colour.
        coarse: share of pairs seen at a lower resolution, as small targets are.
        grain: largest deviation of the noise, of 1.
    """

    light: float = 0.25
    colour: float = 0.3
    dark: float = 0.12
    grey: float = 0.15
    coarse: float = 0.35
    grain: float = 0.03


View: TypeAlias = Callable[["Stage", slice], Tensor]
"""Makes an image `b×3×S×S` or `b×1×S×S`, about 0 to 1, of a stage that holds the crops `slice` of the batch."""


@dataclass(frozen=True)
class Stage:
    """What is there, in some crops of a batch; only what the wanted senses need.

    Attributes:
        colours: `b×3×S×S` in [0, 1].
        heat: `b×1×S×S` in [0, 1].
        near: `b×1×S×S` in [0, 1], 1 at the camera.
        flow: `b×2×S×S`, movement across and down in pixels.
    """

    colours: Tensor
    heat: Tensor
    near: Tensor
    flow: Tensor

    @property
    def planes(self) -> tuple[Tensor, ...]:
        """All of it."""
        return self.colours, self.heat, self.near, self.flow


def sensor(sense: Modality, lens: Lens, count: int, setting: np.random.Generator, grain: np.random.Generator) -> View:
    """Draws how one sense sees a batch.

    Args:
        sense: which.
        lens: strengths.
        count: crops in the batch.
        setting: draws what both crops of a pair share.
        grain: draws what is new in each image.
    """
    makers = {
        Modality.RGB: _camera,
        Modality.THERMAL: _thermal_camera,
        Modality.DEPTH: _depth_camera,
        Modality.EVENT: _event_camera,
    }
    return makers[sense](lens, count, setting, grain)


def develop(image: Tensor, into: Tensor) -> None:
    """Stores an image `b×3×S×S` or `b×1×S×S`, about 0 to 1, as `b×S×S×3` of 8 bit."""
    image = image.clamp_(0, 1).mul_(255)
    for channel in range(3):
        into[..., channel] = image[:, channel % image.shape[1]]


def _camera(lens: Lens, count: int, setting: np.random.Generator, grain: np.random.Generator) -> View:
    gain = (
        1 + setting.uniform(-lens.light, lens.light, (count, 1)) + setting.uniform(-0.5, 0.5, (count, 3)) * lens.colour
    )
    bias = setting.uniform(-0.5, 0.5, (count, 3)) * lens.light
    saturation = 1 + setting.uniform(-lens.colour, lens.colour, count)
    saturation[setting.random(count) < lens.grey] = 0
    dark = np.where(setting.random(count) < lens.dark, setting.uniform(0.08, 0.5, count), 1.0)
    # Gains, saturation and darkness are one matrix; each image adds a little change of light of its own.
    own = 1 + grain.uniform(-0.3, 0.3, (count, 1)) * lens.light
    mix = saturation[:, None, None] * np.eye(3) + (1 - saturation)[:, None, None] / 3
    matrix = (gain * own * dark[:, None])[:, :, None] * mix
    coarse, noise = _coarseness(lens.coarse, count, setting), _noise(lens.grain / np.sqrt(dark), 3, setting, grain)

    def view(stage: Stage, rows: slice) -> Tensor:
        image = _mixed(stage.colours, matrix[rows], (bias * dark[:, None])[rows])
        return noise(coarse(image, rows), rows)

    return view


def _thermal_camera(lens: Lens, count: int, setting: np.random.Generator, grain: np.random.Generator) -> View:
    gain, bias = setting.uniform(0.6, 1.3, count), setting.uniform(-0.15, 0.15, count)
    inverted = setting.random(count) < 0.15
    gain, bias = np.where(inverted, -gain, gain), bias + inverted
    coarse = _coarseness(0.5 + lens.coarse / 2, count, setting)
    noise = _noise(np.full(count, lens.grain), 1, setting, grain)

    def view(stage: Stage, rows: slice) -> Tensor:
        device = stage.heat.device
        heat = torch.addcmul(wide(bias[rows], device), stage.heat, wide(gain[rows], device))
        return noise(coarse(heat, rows), rows)

    return view


def _depth_camera(lens: Lens, count: int, setting: np.random.Generator, grain: np.random.Generator) -> View:
    """In JET colours, as RGB-D trackers are given it; the nearest where it fails.

    Colours span what is nearest and farthest in the whole frame, of which a crop shows a part: a thing keeps its colour
    from template to search, but for the drift of that span from frame to frame. It fails in specks, and beside things
    where the light that measures it does not reach.
    """
    noise = _noise(np.full(count, lens.grain / 3), 1, setting, grain)
    speck = _noise(np.ones(count), 1, setting, grain)
    worst = setting.uniform(2.0, 3.5, count)
    nearest = setting.uniform(-0.15, 0.15, count) + grain.normal(0, 0.03, count)
    farthest = setting.uniform(0.75, 1.1, count) + grain.normal(0, 0.03, count)
    step = np.where(setting.random(count) < 0.7, setting.uniform(0.02, 0.15, count), 2.0)
    side = SHADOW if setting.random() < 0.5 else -SHADOW

    def view(stage: Stage, rows: slice) -> Tensor:
        far = noise(1 - stage.near, rows)
        failed = speck(torch.zeros_like(far), rows) > wide(worst[rows], far.device)
        failed |= stage.near.roll(side, dims=3) - stage.near > wide(step[rows], far.device)
        low, gain = wide(nearest[rows], far.device), wide(255 / (farthest - nearest)[rows], far.device)
        steps = far.sub_(low).mul_(gain).clamp_(0, 255).masked_fill_(failed, 0).int()
        return F.embedding(steps[:, 0], placed(_jet(), far.device)).permute(0, 3, 1, 2)

    return view


def _event_camera(lens: Lens, count: int, setting: np.random.Generator, grain: np.random.Generator) -> View:
    """Where brightness changes as everything moves by its flow: rises red, falls blue, as VisEvent draws them."""
    noise, threshold = _noise(np.full(count, 0.03), 1, setting, grain), setting.uniform(0.08, 0.3, count)
    ground = np.where(setting.random(count) < 0.75, 1.0, 0.0)[:, None].repeat(3, axis=1)
    # A mark puts its colour in place of the ground's.
    palette = np.array([RISE, FALL]).T - ground[:, :, None]

    def view(stage: Stage, rows: slice) -> Tensor:
        change = noise(_change(stage), rows)
        least = wide(threshold[rows], change.device)
        marks = torch.cat([change > least, change < -least], dim=1).float()
        return _mixed(marks, palette[rows], ground[rows])

    return view


def _change(stage: Stage) -> Tensor:
    """By how much the logarithm of brightness changes at each pixel, `b×1×S×S`, as everything moves by its flow."""
    brightness = stage.colours.mean(dim=1, keepdim=True).add_(0.03).log_()
    size = brightness.shape[-1]
    here = plain_grid(size, brightness.device)
    # What was at a pixel before has since moved on by its flow; smoothed, a thing's flow also reaches the ground that
    # it uncovers behind it.
    flow = F.avg_pool2d(stage.flow, REACH, stride=1, padding=REACH // 2)
    moved = torch.add(here, flow.permute(0, 2, 3, 1), alpha=2 / size)
    return brightness - warp(brightness, moved)


def _mixed(channels: Tensor, matrix: Values, bias: Values) -> Tensor:
    """Colours `b×3×S×S` from channels `b×C×S×S` by matrices `b×3×C` and biases `b×3`."""
    device = channels.device
    colours = torch.baddbmm(placed(bias, device)[:, :, None], placed(matrix, device), channels.flatten(2))
    mixed: Tensor = colours.unflatten(2, channels.shape[2:])  # type: ignore[no-untyped-call]
    return mixed


def _coarseness(share: float, count: int, setting: np.random.Generator) -> Callable[[Tensor, slice], Tensor]:
    """Shows some images of the batch as if taken at a lower resolution."""
    chosen, factor = setting.random(count) < share, float(setting.uniform(0.25, 0.7))

    def change(image: Tensor, rows: slice) -> Tensor:
        places = placed(np.flatnonzero(chosen[rows]), image.device)
        side = image.shape[-1]
        if len(places):
            less = resized(image.index_select(0, places), max(8, round(side * factor)))
            image.index_copy_(0, places, resized(less, side))
        return image

    return change


def _noise(
    deviation: Values, channels: int, setting: np.random.Generator, grain: np.random.Generator
) -> Callable[[Tensor, slice], Tensor]:
    """Adds noise of a deviation per image: a small tile, repeated, costs a tenth of fresh noise and looks the same."""
    tile = grain.standard_normal((1, channels, NOISE_TILE, NOISE_TILE))
    strength = deviation * setting.uniform(0, 1, len(deviation))

    def change(image: Tensor, rows: slice) -> Tensor:
        side = image.shape[-1]
        repeats = -(-side // NOISE_TILE)
        whole = placed(tile, image.device).repeat(1, 1, repeats, repeats)[..., :side, :side]
        return image.addcmul_(whole, wide(strength[rows], image.device))

    return change


@cache
def _jet() -> Values:
    """The JET colours `256×3` in [0, 1], red first."""
    ramp = np.arange(256, dtype=np.uint8)[None]
    colours = cv2.cvtColor(cv2.applyColorMap(ramp, cv2.COLORMAP_JET), cv2.COLOR_BGR2RGB)[0]
    return np.asarray(colours, np.float32) / 255
