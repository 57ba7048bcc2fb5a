"""TBSI: the published numbers, what trains, what a start copies, and what passes over a bridge."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tectum.errors import WeightsError
from tectum.frames import Frame, Modality, Prompt
from tectum.networks.vit import ViTConfig
from tectum.systems.base import Batch, Views
from tectum.systems.catalogue import build
from tectum.systems.objectives import boxes_at
from tectum.systems.options import Preset
from tectum.systems.ostrack import OSTrack, OSTrackConfig
from tectum.systems.tbsi import TBSI, Bridge, CrossBlock, TBSIConfig
from tectum.tracking.session import Tracker
from tectum.training.optim import build_optimiser, freeze, set_rate
from tectum.training.recipe import Optim
from tectum.training.recipe_file import read_recipe
from tectum.weights import from_published, read_published, save
from tests.brightness import lit_frame
from tests.golden import Fixture

VIT = ViTConfig(template_size=64, search_size=128, width=32, depth=3, heads=2)
BRANCH = OSTrackConfig(vit=VIT, head=16)
SMALL = TBSIConfig(BRANCH, bridged=(0, 1))


@pytest.fixture
def small() -> TBSI:
    torch.manual_seed(0)
    return TBSI(Modality.DEPTH, SMALL)


@pytest.fixture
def small_presets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Presets small enough to save and load in milliseconds."""
    monkeypatch.setattr(
        OSTrack,
        "presets",
        classmethod(lambda cls: {"ostrack-s": Preset(lambda second, config: OSTrack(config), BRANCH)}),
    )
    monkeypatch.setattr(TBSI, "presets", classmethod(lambda cls: {"tbsi-s": Preset(TBSI, SMALL)}))


def views(system: TBSI, count: int, side: int, seed: int) -> Views:
    generator = torch.Generator().manual_seed(seed)
    return {sense: torch.randn(count, 3, side, side, generator=generator) for sense in sorted(system.senses)}


def batch(system: TBSI, count: int = 2) -> Batch:
    boxes = torch.tensor([[0.3, 0.4, 0.2, 0.1]]).repeat(count, 1)
    return Batch(views(system, count, 64, 1), views(system, count, 128, 2), boxes, progress=0.5)


def part(each: Views, row: int) -> Views:
    return {sense: view[row : row + 1] for sense, view in each.items()}


def test_tbsi_equals_the_published_network() -> None:
    fixture = Fixture.named("tbsi_256")
    tbsi = from_published("tbsi-b256", fixture.weights()).eval()
    template, search = (
        {Modality.RGB: fixture.input(f"{crop}_rgb"), Modality.THERMAL: fixture.input(f"{crop}_aux")}
        for crop in ("template", "search")
    )
    with torch.inference_mode():
        maps = tbsi(tbsi.embed(template, Prompt()), search)
    for name, found in (("score_map", maps.score), ("size_map", maps.size), ("offset_map", maps.offset)):
        np.testing.assert_allclose(found.numpy(), fixture.outputs[name], atol=1e-5, rtol=0, err_msg=name)
    boxes = boxes_at(maps, maps.score.flatten(1).argmax(dim=1))
    np.testing.assert_allclose(boxes.numpy(), fixture.outputs["pred_boxes"][:, 0], atol=1e-5)


def test_published_names_and_sizes_are_those_of_the_manifest() -> None:
    fixture = Fixture.named("tbsi_256")
    with torch.device("meta"):
        tbsi = build("tbsi-b256")
    own = {tbsi.layout.original(name): list(tensor.shape) for name, tensor in tbsi.state_dict().items()}
    stored = {name: shape for name, shape, _ in fixture.manifest["state_dict"]}
    unused = {name: stored.pop(name) for name in ("backbone.pos_embed", "backbone.cls_token")}
    assert own == stored
    count = sum(parameter.numel() for parameter in tbsi.parameters())
    assert count == fixture.manifest["parameter_count"] - sum(int(np.prod(shape)) for shape in unused.values())


def test_everything_trains_and_the_foundation_at_a_tenth(small: TBSI) -> None:
    freeze(small)
    optimiser = build_optimiser(small, Optim(lr=1e-2, weight_decay=0.0))
    set_rate(optimiser, 1e-2)
    before = {name: tensor.clone() for name, tensor in small.state_dict().items()}
    losses = small.train().objective(batch(small, 4))
    assert set(losses.parts) == {"focal", "giou", "l1"}
    losses.total.backward()
    assert all(parameter.grad is not None for parameter in small.parameters())
    optimiser.step()
    after = small.state_dict()
    assert all(not torch.equal(before[name], after[name]) for name in before)
    for name in ("bridges.0.search_rgb.proj.weight", "fusion.0.weight", "head.score.conv1.0.weight"):
        moved = (after[name] - before[name]).abs().max().item()
        assert moved == pytest.approx(1e-3 if name.startswith("head") else 1e-2, rel=0.01)
    bridging = [name for name, _ in small.named_parameters() if re.match(r"bridges|fusion", name)]
    assert [group["rate"] for group in optimiser.param_groups] == [1.0, 0.1]
    assert len(optimiser.param_groups[0]["params"]) == len(bridging)


@pytest.mark.usefixtures("small_presets")
def test_a_start_copies_the_foundation_and_leaves_the_rest(small: TBSI, tmp_path: Path) -> None:
    torch.manual_seed(5)
    foundation = OSTrack(BRANCH)
    tensors = read_published(save(foundation, tmp_path / "ostrack-s.safetensors", "ostrack-s"))
    torch.manual_seed(0)
    started = from_published("tbsi-s", tensors, "depth", start=True).state_dict()
    held, own = foundation.state_dict(), small.state_dict()
    for name, tensor in started.items():
        assert torch.equal(tensor, held[name] if name in held else own[name]), name
    assert held.keys() == {name for name in started if not name.startswith(("bridges", "fusion"))}


@pytest.mark.usefixtures("small_presets")
def test_weights_for_tracking_must_have_the_bridges() -> None:
    with pytest.raises(WeightsError, match=r"backbone\.tbsi_layers\.0\.t_fusion\.0\.weight"):
        from_published("tbsi-s", OSTrack(BRANCH).state_dict())


@torch.inference_mode()
def test_many_targets_are_found_as_one_by_one(small: TBSI) -> None:
    small.eval()
    pairs = batch(small, 3)
    whole = small(small.embed(pairs.template, Prompt()), pairs.search)
    assert whole.score.shape == (3, 1, 8, 8)
    for row in range(3):
        template = small.embed(part(pairs.template, row), Prompt())
        assert all(len(tensor) == 1 for tensor in template.values())
        one = small(template, part(pairs.search, row))
        torch.testing.assert_close(one.score[0], whole.score[row], atol=1e-5, rtol=0)
        torch.testing.assert_close(one.offset[0], whole.offset[row], atol=1e-5, rtol=0)


@torch.inference_mode()
def test_senses_meet_only_on_bridges(small: TBSI) -> None:
    small.eval()
    pairs = batch(small, 1)
    changed = {**pairs.search, Modality.DEPTH: torch.zeros(1, 3, 128, 128)}

    def rgb_tokens(system: TBSI, search: Views) -> Tensor:
        tokens = system.embed(pairs.template, Prompt())["tokens"].flatten(0, 1)
        return system._searched(tokens, system.backbone.embed_search(system._joined(search)))[0]

    assert not torch.allclose(rgb_tokens(small, pairs.search), rgb_tokens(small, changed), atol=1e-4)
    alone = TBSI(Modality.DEPTH, replace(SMALL, bridged=())).eval()
    torch.testing.assert_close(rgb_tokens(alone, pairs.search), rgb_tokens(alone, changed))


@pytest.mark.parametrize("absent", [Modality.RGB, Modality.DEPTH])
def test_tracking_goes_on_where_a_sense_fails(small: TBSI, absent: Modality) -> None:
    both = sorted(small.senses)
    session = Tracker(small.eval(), missing="copy").start(lit_frame(60, 50, 0, both), (60, 50, 16, 16))
    frame = lit_frame(62, 50, 1, both)
    broken = session.update(Frame({**frame.images, absent: None}, 1, reasons={absent: "The file is broken."}))
    assert broken.missing == {absent}
    assert np.isfinite([*broken.box, broken.score]).all()
    assert not session.update(lit_frame(64, 50, 2, both)).missing


@torch.inference_mode()
def test_the_last_block_may_be_bridged() -> None:
    torch.manual_seed(0)
    late = TBSI(Modality.EVENT, replace(SMALL, bridged=(2,))).eval()
    pairs = batch(late)
    assert late(late.embed(pairs.template, Prompt()), pairs.search).score.shape == (2, 1, 8, 8)


@torch.inference_mode()
def test_a_bridge_hands_on_each_search_region_as_it_was() -> None:
    torch.manual_seed(0)
    bridge = Bridge(VIT)
    rgb, other = torch.randn(2, 1, 20, 32).unbind()
    order: list[tuple[str, Tensor]] = []
    for name, block in bridge.named_children():
        if isinstance(block, CrossBlock):
            block.register_forward_hook(lambda _, given, out, name=name: order.append((name, given[0])))
    bridged = bridge(rgb, other, 4)
    seen = dict(order)
    assert [name for name, _ in order] == [
        "medium_from_other",
        "search_rgb",
        "medium_from_rgb",
        "search_other",
        "template_rgb",
        "template_other",
    ]
    assert torch.equal(seen["search_rgb"], rgb[:, 4:])
    assert torch.equal(seen["search_other"], other[:, 4:])
    assert torch.equal(seen["template_rgb"], rgb[:, :4])
    assert [each.shape for each in bridged] == [rgb.shape, other.shape]


def test_impossible_bridges_are_refused() -> None:
    with pytest.raises(ValueError, match="blocks 0 to 2"):
        TBSIConfig(BRANCH, bridged=(3,))
    with pytest.raises(ValueError, match="eliminates no candidates"):
        TBSIConfig(replace(BRANCH, vit=replace(VIT, eliminate_at=(1,))), bridged=(0,))


def test_the_recipes_have_the_published_settings() -> None:
    for sense in ("thermal", "depth", "event"):
        recipe = read_recipe(f"tbsi-{sense}")
        assert (recipe.system, recipe.second) == ("tbsi-b256", sense)
        assert (recipe.optim.lr, recipe.optim.weight_decay, recipe.optim.clip) == (1e-4, 1e-4, 0.1)
        assert (recipe.schedule.epochs, recipe.schedule.drop_at, recipe.batch.size) == (15, [10], 32)
