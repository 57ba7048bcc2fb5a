"""Nano copes with any senses, measures what it was shown, and learns all targets alike."""

from __future__ import annotations

import pytest
import torch

from tectum.frames import Modality, Prompt
from tectum.systems.base import Batch, CenterMaps
from tectum.systems.nano import Nano, target_places
from tectum.systems.objectives import dense_center_objective


def test_target_places_follow_the_box() -> None:
    inside, across, down, _ = target_places(torch.tensor([[0.25, 0.5, 0.5, 0.25]]), 8)[0]
    assert inside[4:6, 2:6].min() == 1
    assert inside.sum() == 8
    torch.testing.assert_close(across[4, 2:6], torch.tensor([-0.75, -0.25, 0.25, 0.75]))
    torch.testing.assert_close(down[4:6, 3], torch.tensor([-0.5, 0.5]))


def test_a_perfect_answer_costs_nothing_but_focus() -> None:
    boxes = torch.tensor([[0.3, 0.4, 0.2, 0.1]])
    cells = torch.stack(torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="xy"))
    center = torch.tensor([0.4, 0.45]) * 32
    maps = CenterMaps(
        torch.full((1, 1, 32, 32), 0.5),
        torch.tensor([0.2, 0.1]).view(1, 2, 1, 1).expand(1, 2, 32, 32),
        (center.view(2, 1, 1) - cells)[None],
    )
    losses = dense_center_objective(maps, boxes)
    assert losses.parts["giou"] == pytest.approx(0, abs=1e-5)
    assert losses.parts["place"] == pytest.approx(0, abs=1e-6)
    assert losses.parts["size"] == pytest.approx(0, abs=1e-6)
    assert losses.total.isfinite()
    absent = dense_center_objective(maps, torch.full((1, 4), torch.nan))
    assert absent.parts["giou"] == 0
    assert absent.total.isfinite()


def test_small_targets_weigh_as_much_as_large_ones() -> None:
    boxes = torch.tensor([[0.4, 0.4, 0.1, 0.1], [0.2, 0.2, 0.6, 0.6]])
    size = torch.full((2, 2, 32, 32), 0.2, requires_grad=True)
    maps = CenterMaps(torch.full((2, 1, 32, 32), 0.5), size, torch.zeros(2, 2, 32, 32))
    dense_center_objective(maps, boxes).parts["size"].backward()
    assert size.grad is not None
    small, large = size.grad.sum(dim=(1, 2, 3))
    assert small.item() == pytest.approx(-large.item(), rel=1e-4)


def test_nano_takes_any_senses_and_stays_small() -> None:
    torch.manual_seed(0)
    nano = Nano().eval()
    assert sum(parameter.numel() for parameter in nano.parameters()) < 3_000_000
    templates = {sense: torch.randn(2, 3, 128, 128) for sense in Modality}
    searches = {sense: torch.randn(2, 3, 256, 256) for sense in Modality}
    for senses in ([Modality.RGB], [Modality.THERMAL], [Modality.RGB, Modality.DEPTH], list(Modality)):
        template = nano.embed({sense: templates[sense] for sense in senses}, Prompt())
        maps = nano(template, {sense: searches[sense] for sense in senses})
        assert maps.score.shape == (2, 1, 32, 32)
        assert maps.size.shape == maps.offset.shape == (2, 2, 32, 32)


def test_nano_measures_the_template_exactly() -> None:
    torch.manual_seed(0)
    nano, view = Nano().eval(), {Modality.RGB: torch.randn(2, 3, 128, 128)}
    torch.nn.init.normal_(nano.head.box.bias, std=0.3)
    box = torch.tensor([[0.3, 0.2, 0.4, 0.6], [0.25, 0.25, 0.5, 0.5]])
    maps = nano(nano.embed(view, Prompt(box=box)), view)
    measured = maps.size[..., 7:9, 7:9].log().mean(dim=(2, 3)).exp()
    torch.testing.assert_close(measured, box[:, 2:], rtol=1e-4, atol=0)


def test_nano_learns_from_every_sense() -> None:
    torch.manual_seed(0)
    nano = Nano()
    senses = [Modality.RGB, Modality.EVENT]
    views = [{sense: torch.randn(2, 3, size, size) for sense in senses} for size in (128, 128)]
    batch = Batch(views[0], views[1], torch.tensor([[0.3, 0.4, 0.2, 0.1], [0.5, 0.4, 0.2, 0.3]]))
    nano.objective(batch).total.backward()
    learning = {name for name, parameter in nano.named_parameters() if parameter.grad is not None}
    assert any("stems.rgb" in name for name in learning)
    assert any("stems.event" in name for name in learning)
    assert not any("stems.depth" in name for name in learning)
    assert any("gate" in name for name in learning)
