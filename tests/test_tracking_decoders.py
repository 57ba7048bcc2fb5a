"""Decoding in closed form."""

from __future__ import annotations

import math

import pytest
import torch

from tectum.systems.base import CenterMaps, Decoding
from tectum.tracking.decoders import change_penalty, decode, hann_window, smoothed


def maps_with(
    peaks: dict[tuple[int, int], float], side: int = 4, size: tuple[float, float] = (0.5, 0.25)
) -> CenterMaps:
    score = torch.full((1, 1, side, side), 0.01)
    for (row, column), value in peaks.items():
        score[0, 0, row, column] = value
    sizes = torch.tensor(size).view(1, 2, 1, 1).expand(1, 2, side, side).clone()
    offset = torch.tensor([0.25, 0.75]).view(1, 2, 1, 1).expand(1, 2, side, side).clone()
    return CenterMaps(score, sizes, offset)


def test_hann_window_is_the_published_one() -> None:
    window = hann_window(3)
    profile = torch.tensor([0.5, 1.0, 0.5])
    assert torch.allclose(window, torch.outer(profile, profile))
    # The inner part of a symmetric Hann window two cells longer.
    longer = torch.hann_window(18, periodic=False)[1:-1]
    assert torch.allclose(hann_window(16), torch.outer(longer, longer), atol=1e-6)


def test_the_box_is_read_at_the_best_cell() -> None:
    boxes, scores = decode(maps_with({(1, 2): 0.9}), hann_window(4), Decoding(window=0.0))
    center_x, center_y = (2 + 0.25) / 4, (1 + 0.75) / 4
    assert torch.allclose(boxes, torch.tensor([[center_x - 0.25, center_y - 0.125, 0.5, 0.25]]))
    assert scores.tolist() == pytest.approx([0.9])


def test_the_window_decides_between_peaks_and_gives_the_confidence() -> None:
    maps, window = maps_with({(0, 0): 0.9, (2, 2): 0.6}), hann_window(4)
    _, plain = decode(maps, window, Decoding(window=0.0))
    boxes, scores = decode(maps, window, Decoding(window=1.0))
    _, half = decode(maps, window, Decoding(window=0.5))
    assert plain.item() == pytest.approx(0.9)
    assert boxes[0, 0].item() == pytest.approx((2 + 0.25) / 4 - 0.25)
    assert scores.item() == pytest.approx(0.6 * window[2, 2].item())
    assert half.item() == pytest.approx(max(0.9 * (1 + window[0, 0]) / 2, 0.6 * (1 + window[2, 2]) / 2).item())


def test_targets_are_decoded_each_for_itself() -> None:
    first, second = maps_with({(1, 1): 0.8}), maps_with({(2, 3): 0.7}, size=(0.1, 0.2))
    both = CenterMaps(*(torch.cat(pair) for pair in zip(*(m.__dict__.values() for m in (first, second)), strict=True)))
    previous = torch.tensor([[0.4, 0.4], [0.2, 0.1]])
    decoding = Decoding(window=0.5, change_penalty=0.1, smoothing=0.4)
    boxes, scores = decode(both, hann_window(4), decoding, previous)
    for row, maps in enumerate((first, second)):
        box, score = decode(maps, hann_window(4), decoding, previous[row : row + 1])
        assert torch.allclose(boxes[row], box[0])
        assert torch.allclose(scores[row], score[0])


def change(ratio: float) -> float:
    return max(ratio, 1 / ratio)


def scale(w: float, h: float) -> float:
    p = (w + h) / 2
    return math.sqrt((w + p) * (h + p))


@pytest.mark.parametrize("new", [(0.2, 0.3), (0.1, 0.15), (0.4, 0.6), (0.3, 0.2), (0.9, 0.05)])
def test_the_change_penalty_is_the_published_formula(new: tuple[float, float]) -> None:
    old, strength = (0.2, 0.3), 0.08
    factor = change(scale(*new) / scale(*old)) * change((old[0] / old[1]) / (new[0] / new[1]))
    sizes = torch.tensor(new).view(1, 2, 1, 1)
    penalty = change_penalty(sizes, torch.tensor([old]), strength)
    assert penalty.item() == pytest.approx(math.exp(-(factor - 1) * strength), rel=1e-5)


def test_the_change_penalty_turns_the_choice() -> None:
    maps = maps_with({(1, 1): 0.8, (2, 2): 0.75}, size=(0.2, 0.2))
    maps.size[0, :, 1, 1] = 0.8
    previous = torch.tensor([[0.2, 0.2]])
    free, _ = decode(maps, hann_window(4), Decoding(window=0.0), previous)
    held, score = decode(maps, hann_window(4), Decoding(window=0.0, change_penalty=0.1), previous)
    assert free[0, 2].item() == pytest.approx(0.8)
    assert held[0, 2].item() == pytest.approx(0.2)
    assert score.item() == pytest.approx(0.75)


def test_smoothing_keeps_the_old_size_without_trust_and_its_share_with_it() -> None:
    new, old = torch.tensor([[0.4, 0.2]]), torch.tensor([[0.2, 0.4]])
    assert torch.allclose(smoothed(new, old, torch.tensor([[0.0]]), 0.3), old)
    assert torch.allclose(smoothed(new, old, torch.tensor([[1.0]]), 0.3), 0.3 * old + 0.7 * new)


def test_smoothing_leaves_the_centre_alone() -> None:
    maps, previous = maps_with({(1, 2): 1.0}), torch.tensor([[0.1, 0.1]])
    sharp, _ = decode(maps, hann_window(4), Decoding(window=0.0), previous)
    soft, _ = decode(maps, hann_window(4), Decoding(window=0.0, smoothing=0.5), previous)
    assert torch.allclose(sharp[:, :2] + sharp[:, 2:] / 2, soft[:, :2] + soft[:, 2:] / 2)
    assert soft[0, 2:].tolist() == pytest.approx([0.3, 0.175])
