"""Our networks against the outputs of the published ones, on the same weights and inputs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from tectum.frames import Modality, Prompt
from tectum.systems.base import CenterMaps
from tectum.systems.duo import Duo
from tectum.systems.objectives import boxes_at, center_heat, center_objective
from tectum.systems.ostrack import OSTrack
from tectum.weights import from_published
from tests.golden import Fixture

TOLERANCE = 1e-5  # the bar is 1e-4; rounding alone makes 2e-6


def assert_equal_maps(maps: CenterMaps, fixture: Fixture) -> None:
    for name, found in (("score_map", maps.score), ("size_map", maps.size), ("offset_map", maps.offset)):
        np.testing.assert_allclose(found.numpy(), fixture.outputs[name], atol=TOLERANCE, rtol=0, err_msg=name)


@pytest.fixture(scope="module")
def weights() -> Iterator[dict[str, Tensor]]:
    """The weights of the 256 models, which are the same with and without elimination."""
    state = Fixture.named("ostrack_256").weights()
    yield state
    state.clear()


def answers(preset: str, fixture: Fixture, state: dict[str, Tensor]) -> tuple[CenterMaps, tuple[Tensor, ...]]:
    """The maps, as the issue writes the call, and the kept search tokens."""
    system = from_published(preset, state).eval()
    assert isinstance(system, OSTrack)
    template, search = fixture.input("template"), fixture.input("search")
    with torch.inference_mode():
        embedded = system.embed({Modality.RGB: template}, Prompt())
        maps = system(embedded, {Modality.RGB: search})
        if not system.config.vit.eliminate_at:
            return maps, ()
        joint = system.backbone(embedded["tokens"], system.backbone.embed_search(search), whole=True)
    tokens = torch.cat([joint.template, joint.search], dim=1)
    np.testing.assert_allclose(tokens.mean(dim=2).numpy(), fixture.outputs["backbone.token_mean"], atol=TOLERANCE)
    return maps, joint.kept


@pytest.mark.parametrize(
    ("preset", "name"),
    [
        ("ostrack-b256", "ostrack_256"),
        ("ostrack-b256-ce", "ostrack_256_ce"),
        ("ostrack-b384-ce", "ostrack_384_ce"),
    ],
)
def test_ostrack_equals_the_published_network(preset: str, name: str, weights: dict[str, Tensor]) -> None:
    fixture = Fixture.named(name)
    state = weights if "256" in name else fixture.weights()
    maps, kept = answers(preset, fixture, state)
    assert_equal_maps(maps, fixture)
    boxes = boxes_at(maps, maps.score.flatten(1).argmax(dim=1))
    np.testing.assert_allclose(boxes.numpy(), fixture.outputs["pred_boxes"][:, 0], atol=TOLERANCE)
    eliminations = [key for key in sorted(fixture.outputs) if key.startswith("ce_keep")]
    assert len(kept) == len(eliminations)
    for found, key in zip(kept, eliminations, strict=True):
        np.testing.assert_array_equal(found.numpy(), np.sort(fixture.outputs[key], axis=1), err_msg=key)


def test_duo_equals_the_published_two_branch_network() -> None:
    fixture = Fixture.named("ckd_256")
    duo = Duo()
    weights = fixture.weights()
    renamed: dict[str, Tensor] = {}
    for branch, own in (("rgb_branch", "rgb"), ("tir_branch", "other"), ("box_head", "")):
        part = {name: tensor for name, tensor in weights.items() if name.startswith(branch)}
        single = {name.replace(branch, "backbone") if own else name: tensor for name, tensor in part.items()}
        named = replace(OSTrack.layout, prepare=None).apply(duo, single)
        renamed.update({name.replace("backbone", own): tensor for name, tensor in named.items()})
    duo.load_state_dict(renamed)
    duo.eval()
    template = {Modality.RGB: fixture.input("template_rgb"), Modality.THERMAL: fixture.input("template_aux")}
    search = {Modality.RGB: fixture.input("search_rgb"), Modality.THERMAL: fixture.input("search_aux")}
    with torch.inference_mode():
        assert_equal_maps(duo(duo.embed(template, Prompt()), search), fixture)


def test_loss_equals_the_published_one() -> None:
    fixture = Fixture.named("ckd_256_train")
    extra, outputs = fixture.manifest["extra"], fixture.outputs
    boxes = torch.tensor(extra["search_anno_xywh_normalised"][0])
    maps = CenterMaps(*(torch.from_numpy(outputs[name]) for name in ("score_map", "size_map", "offset_map")))
    np.testing.assert_allclose(center_heat(boxes, 16, nearest=True).numpy(), outputs["gt_heatmap"], atol=1e-6)
    parts = center_objective(maps, boxes).parts
    published = extra["losses"]
    assert parts["focal"].item() == pytest.approx(published["Loss/location"], rel=1e-5)
    assert parts["giou"].item() == pytest.approx(2 * published["Loss/giou"], rel=1e-5)
    assert parts["l1"].item() == pytest.approx(5 * published["Loss/l1"], rel=1e-5)
