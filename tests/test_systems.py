"""OSTrack and Duo as systems: views, templates, training; and the losses in closed form."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tectum.errors import UnknownNameError
from tectum.frames import Modality, Prompt
from tectum.geometry import Box, centered, iou
from tectum.networks.elimination import Watch
from tectum.networks.vit import ViTConfig
from tectum.systems.base import Batch, CenterMaps, System
from tectum.systems.catalogue import build
from tectum.systems.duo import Duo, DuoConfig
from tectum.systems.objectives import boxes_at, center_heat, center_objective, center_radius, focal
from tectum.systems.ostrack import OSTrack, OSTrackConfig

VIT = ViTConfig(template_size=64, search_size=128, width=32, depth=3, heads=2, eliminate_at=(1,))
SMALL = OSTrackConfig(vit=VIT, head=16)


def small(kind: type[System], watch: Watch = Watch.CENTER) -> System:
    torch.manual_seed(0)
    config = replace(SMALL, vit=replace(VIT, watch=watch))
    return OSTrack(config) if kind is OSTrack else Duo(Modality.DEPTH, DuoConfig(config))


def batch(system: System, count: int = 2) -> Batch:
    generator = torch.Generator().manual_seed(1)
    return Batch(
        template={sense: torch.randn(count, 3, 64, 64, generator=generator) for sense in sorted(system.senses)},
        search={sense: torch.randn(count, 3, 128, 128, generator=generator) for sense in sorted(system.senses)},
        boxes=torch.tensor([[0.3, 0.4, 0.2, 0.1]]).repeat(count, 1),
        progress=0.5,
    )


@pytest.mark.parametrize("kind", [OSTrack, Duo])
@pytest.mark.parametrize("watch", list(Watch))
@torch.inference_mode()
def test_templates_of_many_targets_join_along_the_batch(kind: type[System], watch: Watch) -> None:
    system, pairs = small(kind, watch).eval(), batch(small(kind), 3)
    boxes = torch.tensor([[0.2, 0.2, 0.6, 0.6], [0.4, 0.4, 0.2, 0.2], [0.3, 0.1, 0.4, 0.8]])
    whole = system(system.embed(pairs.template, Prompt(box=boxes)), pairs.search)
    for row in range(3):
        views = {sense: view[row : row + 1] for sense, view in pairs.template.items()}
        template = system.embed(views, Prompt(box=boxes[row : row + 1]))
        assert all(len(tensor) == 1 for tensor in template.values())
        one = system(template, {sense: view[row : row + 1] for sense, view in pairs.search.items()})
        torch.testing.assert_close(one.score[0], whole.score[row], atol=1e-5, rtol=0)
    assert whole.score.shape == (3, 1, 8, 8)


@pytest.mark.parametrize("kind", [OSTrack, Duo])
def test_training_moves_every_parameter_and_slows_the_backbone(kind: type[System]) -> None:
    system = small(kind).train()
    losses = system.objective(batch(system))
    assert set(losses.parts) == {"focal", "giou", "l1"}
    losses.total.backward()
    assert all(parameter.grad is not None for parameter in system.parameters())
    groups = system.trainable()
    assert [group.rate for group in groups] == [1.0, 0.1]
    members = [parameter for group in groups for parameter in group.parameters]
    assert len(members) == len({id(parameter) for parameter in members}) == len(list(system.parameters()))


def test_elimination_warms_up_with_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    system = small(OSTrack)
    assert isinstance(system, OSTrack)
    seen: list[float] = []
    original = system.backbone.forward

    def watched(template: torch.Tensor, search: torch.Tensor, keep: float, weights: torch.Tensor | None) -> object:
        seen.append(keep)
        return original(template, search, keep, weights)

    monkeypatch.setattr(system.backbone, "forward", watched)
    for progress in (0.0, 60 / 300, 1.0):
        system.objective(replace(batch(system), progress=progress))
    assert seen == pytest.approx([1.0, 0.85, 0.7])


def test_a_shared_duo_has_one_branch() -> None:
    duo = Duo(Modality.EVENT, DuoConfig(SMALL, shared=True))
    assert duo.branches[Modality.EVENT] is duo.branches[Modality.RGB]
    assert not any(name.startswith("other") for name in duo.state_dict())


def test_presets_are_the_published_sizes() -> None:
    with torch.device("meta"):
        plain, ostrack, duo = build("ostrack-b256"), build("ostrack-b384-ce"), build("duo-b256", "event")
    assert (ostrack.crops.template_size, ostrack.crops.search_size, ostrack.crops.search_factor) == (192, 384, 5.0)
    assert duo.senses == duo.required == {Modality.RGB, Modality.EVENT}
    count = sum(parameter.numel() for parameter in plain.parameters())
    assert count == 92518533 - 198 * 768  # as published, less the unused class token and positions
    with pytest.raises(UnknownNameError, match="second sense cannot be RGB"):
        build("duo-b256", "rgb")


def maps_for(boxes: torch.Tensor, side: int) -> CenterMaps:
    """Maps whose maximum is at the cell nearest to each centre and whose box there is exact."""
    middle = centered(boxes)
    cell = (middle[:, :2] * side).round()
    heat = center_heat(boxes, side, nearest=True)
    offset = (middle[:, :2] * side - cell)[:, :, None, None].expand(-1, 2, side, side)
    size = middle[:, 2:, None, None].expand(-1, 2, side, side)
    return CenterMaps(heat[:, None].clamp(1e-4, 1 - 1e-4), size, offset)


def test_a_perfect_answer_costs_nothing_on_the_box() -> None:
    boxes = torch.tensor([[0.4, 0.42, 0.22, 0.18], [0.3, 0.35, 0.25, 0.3]])
    parts = center_objective(maps_for(boxes, 16), boxes).parts
    assert parts["giou"].item() == pytest.approx(0, abs=1e-5)
    assert parts["l1"].item() == pytest.approx(0, abs=1e-5)


def test_absent_targets_teach_the_score_alone() -> None:
    boxes = torch.tensor([[0.4, 0.42, 0.22, 0.18], [math.nan] * 4])
    maps = CenterMaps(torch.full((2, 1, 16, 16), 0.5), torch.full((2, 2, 16, 16), 0.3), torch.zeros(2, 2, 16, 16))
    both = center_objective(maps, boxes).parts
    one = center_objective(CenterMaps(maps.score[:1], maps.size[:1], maps.offset[:1]), boxes[:1]).parts
    assert both["l1"] == one["l1"]
    assert both["focal"] > one["focal"]
    none = center_objective(maps, torch.full((2, 4), math.nan)).parts
    assert none["giou"] == none["l1"] == 0
    assert torch.isfinite(none["focal"])


def test_focal_loss_in_closed_form() -> None:
    heat = torch.tensor([[[1.0, 0.5], [0.0, 0.0]]])
    score = torch.tensor([[[0.8, 0.3], [0.1, 0.0001]]])
    wanted = -(
        0.2**2 * math.log(0.8) + 0.5**4 * 0.3**2 * math.log(0.7) + 0.1**2 * math.log(0.9) + 0.0001**2 * math.log(0.9999)
    )
    assert focal(score, heat).item() == pytest.approx(wanted, rel=1e-5)
    twice = focal(score.repeat(2, 1, 1), heat.repeat(2, 1, 1))
    assert twice.item() == pytest.approx(wanted, rel=1e-5)


def test_radius_in_closed_form() -> None:
    # For a square of side s the published cases reduce to s + s*sqrt(1 - 0.3/1.7), 2s + s*sqrt(4 - 16*0.3/4) ...;
    # the least is the third, with both corners outside.
    s, overlap = 10.0, 0.7
    outer = (-4 * overlap * s + math.sqrt(16 * overlap**2 * s**2 + 16 * overlap * 0.3 * s**2)) / 2
    assert center_radius(torch.tensor([s]), torch.tensor([s])).item() == pytest.approx(outer, rel=1e-5)


@given(st.floats(0.02, 0.6), st.floats(0.02, 0.6), st.floats(0.0, 0.99), st.floats(0.0, 0.99), st.booleans())
def test_heat_peaks_at_the_centre_and_falls_off_evenly(w: float, h: float, cx: float, cy: float, nearest: bool) -> None:
    boxes = torch.tensor([[cx - w / 2, cy - h / 2, w, h]])
    heat = center_heat(boxes, 16, nearest)[0]
    middle = centered(boxes)[0, :2] * 16
    column, row = (middle.round() if nearest else middle.floor().clamp(0, 15)).int().tolist()
    assert heat.min() >= 0
    assert (heat == 1).sum() == (column < 16 and row < 16)
    if 0 < column < 15 and 0 < row < 15:
        assert heat[row, column] == 1
        assert heat[row, column - 1] == heat[row, column + 1] == heat[row - 1, column] == heat[row + 1, column]


def test_boxes_are_read_at_their_cell() -> None:
    boxes = torch.tensor([[0.4, 0.42, 0.22, 0.18], [0.1, 0.7, 0.3, 0.2]])
    maps = maps_for(boxes, 16)
    found = boxes_at(maps, maps.score.flatten(1).argmax(dim=1))
    read = torch.stack([found[:, 0] - found[:, 2] / 2, found[:, 1] - found[:, 3] / 2, found[:, 2], found[:, 3]], dim=1)
    assert iou(read, boxes).min() > 0.999
    assert Box.of(read[0]).area == pytest.approx(0.22 * 0.18, rel=1e-4)
