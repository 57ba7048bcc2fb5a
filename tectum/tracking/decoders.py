"""From a network's answer to boxes in the crop: one decoder for each kind of response."""

from __future__ import annotations

import torch
from torch import Tensor

from tectum.systems.base import CenterMaps, Decoding
from tectum.systems.objectives import boxes_at


def hann_window(side: int, device: torch.device | str = "cpu") -> Tensor:
    """A Hann window `side×side` that favours the centre: 1 there at odd sides, above zero at the borders.

    It is the outer product of `0.5 * (1 - cos(2 pi k / (side + 1)))` for `k` from 1 to `side`.
    """
    steps = torch.arange(1, side + 1, device=device, dtype=torch.float32)
    profile = 0.5 * (1 - torch.cos(2 * torch.pi / (side + 1) * steps))
    return torch.outer(profile, profile)


def decode(
    maps: CenterMaps, window: Tensor, decoding: Decoding, previous: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Reads one box per target from centre maps: the cell of the highest weighted score decides.

    The score is multiplied by `1 - w + w * window`, where `w` is `decoding.window`, and by the change penalty
    if there is one; what is maximised is also the confidence, as in OSTrack (Ye et al., ECCV 2022).

    Args:
        maps: the answer of a centre head on an `S×S` grid.
        window: Hann window `S×S` of `hann_window`.
        decoding: the system's settings.
        previous: width and height of each target in the last frame, `B×2` in fractions of the crop's side;
            needed by the change penalty and by smoothing, which are left out without it.

    Returns:
        Boxes `B×4` as `x, y, w, h` in fractions of the crop's side, and confidences `B`.
    """
    penalty = None
    weighted = maps.score[:, 0] * (1 - decoding.window + decoding.window * window)
    if decoding.change_penalty and previous is not None:
        penalty = change_penalty(maps.size, previous, decoding.change_penalty)
        weighted = weighted * penalty
    confidence, index = weighted.flatten(1).max(dim=1)
    found = boxes_at(maps, index)
    center, size = found[:, :2], found[:, 2:]
    if decoding.smoothing and previous is not None:
        trust = maps.score.flatten(1).gather(1, index[:, None])
        if penalty is not None:
            trust = trust * penalty.flatten(1).gather(1, index[:, None])
        size = smoothed(size, previous, trust, decoding.smoothing)
    return torch.cat([center - size / 2, size], dim=1), confidence


def change_penalty(size: Tensor, previous: Tensor, strength: float) -> Tensor:
    """How little each cell's box departs from the target's last size and shape: `B×S×S` in (0, 1].

    `exp(-(change(scale) * change(ratio) - 1) * strength)` with `change(r) = max(r, 1/r)`, where the scale of a
    `w×h` box is `sqrt((w + p)(h + p))`, `p = (w + h) / 2`, and its ratio is `w / h`.

    Args:
        size: widths and heights by cell, `B×2×S×S` in fractions of the crop's side.
        previous: widths and heights in the last frame, `B×2` in the same unit.
        strength: the factor in the exponent.

    Source: SiamRPN (Li et al., CVPR 2018), section 4.3.
    """
    before = previous[:, :, None, None]
    scale = _log_scale(size) - _log_scale(before)
    logs = torch.log(size / before)
    ratio = logs[:, 0] - logs[:, 1]
    # change(a) * change(b) is one exponential, since max(r, 1/r) = exp(|log r|).
    return torch.exp((1 - torch.exp(scale.abs() + ratio.abs())) * strength)


def _log_scale(size: Tensor) -> Tensor:
    """Logarithm of a box's scale with its context, `B×2×…` to `B×…`."""
    padded = size + size.mean(dim=1, keepdim=True)
    return 0.5 * torch.log(padded[:, 0] * padded[:, 1])


def smoothed(size: Tensor, previous: Tensor, trust: Tensor, smoothing: float) -> Tensor:
    """Moves the last size towards the new one, the further the more the answer is trusted.

    A fully trusted answer keeps the share `smoothing` of the last size, one without trust all of it: in a moment
    of doubt (an occlusion, say) the box keeps its size. SiamRPN's rule, with `1 - smoothing` as its rate.

    Args:
        size: new widths and heights `B×2`.
        previous: last widths and heights `B×2`.
        trust: `B×1` in [0, 1], the score at the chosen cell times its change penalty.
        smoothing: share of the last size that is kept at full trust, in (0, 1).
    """
    return torch.lerp(previous, size, (1 - smoothing) * trust)
