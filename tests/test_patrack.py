"""PATrack: parity with the published network, its adapters and their variants, what trains, and how it begins."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tectum.errors import WeightsError
from tectum.frames import Modality, Prompt
from tectum.networks.adapters import Average, DependentAdapter, EntangledAdapter, HeadAdapter, Mixer, mixer_channels
from tectum.networks.vit import ViTConfig
from tectum.systems.base import Batch
from tectum.systems.catalogue import build
from tectum.systems.objectives import boxes_at
from tectum.systems.ostrack import OSTrack, OSTrackConfig
from tectum.systems.patrack import Grids, PATrack, PATrackConfig
from tectum.training.optim import build_optimiser, freeze
from tectum.training.recipe import Optim
from tectum.training.recipe_file import read_recipe
from tectum.weights import from_published
from tectum.weights.cost import cost
from tests.golden import Fixture

VIT = ViTConfig(template_size=64, search_size=128, width=32, depth=3, heads=2)
SMALL = PATrackConfig(OSTrackConfig(VIT, head=16), entangled_at=(1,), entangled_width=8, head_width=8)
"""Dependent adapters at the first and the last block, entangled ones between."""

BARE = {"dependent_at": [], "entangled_at": [], "head_width": 0}
"""Options of a PATrack without adapters."""


def small(config: PATrackConfig = SMALL, **vit: object) -> PATrack:
    torch.manual_seed(0)
    sizes = replace(config.foundation.vit, **vit)  # type: ignore[arg-type]
    patrack = PATrack(Modality.DEPTH, replace(config, foundation=replace(config.foundation, vit=sizes)))
    with torch.no_grad():
        for parameter in patrack.trainable()[0].parameters:
            # As after some training: at the start what the senses exchange is hardly to be seen.
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return patrack


def batch(patrack: PATrack, count: int = 2) -> Batch:
    generator = torch.Generator().manual_seed(1)
    template, search = (
        {sense: torch.randn(count, 3, size, size, generator=generator) for sense in (Modality.RGB, Modality.DEPTH)}
        for size in (patrack.crops.template_size, patrack.crops.search_size)
    )
    return Batch(template, search, torch.tensor([[0.3, 0.4, 0.2, 0.1]]).repeat(count, 1), progress=0.5)


def test_patrack_equals_the_published_network() -> None:
    fixture = Fixture.named("patrack_256")
    patrack = from_published("patrack-b256", fixture.weights()).eval()
    template, search = (
        dict(zip((Modality.RGB, Modality.THERMAL), fixture.input(name).chunk(2, dim=1), strict=True))
        for name in ("template", "search")
    )
    with torch.inference_mode():
        maps = patrack(patrack.embed(template, Prompt()), search)
    for name, found in (("score_map", maps.score), ("size_map", maps.size), ("offset_map", maps.offset)):
        np.testing.assert_allclose(found.numpy(), fixture.outputs[name], atol=1e-5, rtol=0, err_msg=name)
    boxes = boxes_at(maps, maps.score.flatten(1).argmax(dim=1))
    np.testing.assert_allclose(boxes.numpy(), fixture.outputs["pred_boxes"][:, 0], atol=1e-5)


def test_published_names_are_those_of_the_manifest_and_the_rest_is_never_run() -> None:
    fixture = Fixture.named("patrack_256")
    with torch.device("meta"):
        patrack = build("patrack-b256")
    own = {patrack.layout.original(name): tensor.numel() for name, tensor in patrack.state_dict().items()}
    stored = {name: int(np.prod(shape)) for name, shape, _ in fixture.manifest["state_dict"]}
    assert own.items() <= stored.items()
    idle = {".".join(name.split(".")[3:4] or name.split(".")[:2]) for name in stored.keys() - own.keys()}
    assert idle == {
        *("backbone.pos_embed", "backbone.cls_token", "norm1.weight", "norm1.bias"),
        *("adap_t", "adap2_t", "highfuseadapter1", "highfuseadapter2", "norml1", "norml2"),
    }


def test_parameters_and_macs_are_the_papers() -> None:
    counted, foundation = cost("patrack-b256"), cost("ostrack-b256")
    head = sum(parameter.numel() for parameter in HeadAdapter(768, 192).parameters())
    norms = 3 * 2 * 2 * 768
    assert counted.parameters - foundation.parameters == counted.trainable + norms
    # The paper's count leaves out positions, the adapter of the head, and norms that do not train.
    positions = 320 * 768
    assert (counted.parameters - positions - head - norms) / 1e6 == pytest.approx(95.51, abs=0.005)
    assert counted.joint.layers / 1e9 == pytest.approx(58.24, rel=1e-3)
    assert counted.joint.total == 62_308_532_224  # with attention's products, as counted for the published code


def test_a_step_changes_the_adapters_and_nothing_else() -> None:
    patrack = small()
    freeze(patrack)
    patrack.train()
    before = {name: tensor.clone() for name, tensor in patrack.state_dict().items()}
    losses = patrack.objective(batch(patrack))
    assert set(losses.parts) == {"focal", "giou", "l1"}
    losses.total.backward()
    build_optimiser(patrack, Optim(lr=1e-3)).step()
    adapters = {name for name, _ in patrack.named_parameters() if patrack.layout.adds(name) and ".norm." not in name}
    assert {name for name, each in patrack.named_parameters() if each.grad is not None and each.grad.any()} == adapters
    assert {name for name, each in patrack.state_dict().items() if not torch.equal(each, before[name])} == adapters
    assert {".".join(name.split(".")[1:3]) for name in adapters} == {
        *("attention.dependent", "attention.entangled", "perceptron.dependent", "perceptron.entangled"),
        *("head.down", "head.middle", "head.up"),
    }


def foundation_tensors() -> dict[str, Tensor]:
    """A tiny foundation's, as a training finds them."""
    torch.manual_seed(2)
    return dict(build("ostrack-tiny").state_dict())


def test_a_start_copies_the_foundation_and_leaves_the_rest() -> None:
    tensors = foundation_tensors()
    own = from_published("patrack-tiny", tensors, "event", start=True).state_dict()
    assert all(torch.equal(own[name], tensor) for name, tensor in tensors.items())
    norms = {name: each for name, each in own.items() if ".entangled." in name and ".norm." in name}
    assert len(norms) == 2 * 2 * 2
    assert all((each == (1 if name.endswith("weight") else 0)).all() for name, each in norms.items())


def test_tracking_weights_need_the_adapters() -> None:
    with pytest.raises(WeightsError, match=r"backbone\.blocks\.0\.adap_t\.D_fc1\.weight"):
        from_published("patrack-tiny", foundation_tensors())


@torch.inference_mode()
def test_without_adapters_both_senses_are_added_to_the_foundation() -> None:
    tensors = foundation_tensors()
    bare = from_published("patrack-tiny", tensors, "depth", options=BARE).eval()
    assert isinstance(bare, PATrack)
    assert not bare.trainable()[0].parameters
    foundation = build("ostrack-tiny").eval()
    assert isinstance(foundation, OSTrack)
    foundation.load_state_dict(tensors)
    pairs = batch(bare)
    features = [
        foundation.backbone(
            foundation.embed({Modality.RGB: pairs.template[sense]}, Prompt())["tokens"],
            foundation.backbone.embed_search(pairs.search[sense]),
        ).search
        for sense in (Modality.RGB, Modality.DEPTH)
    ]
    score, *_ = foundation.head(sum(features).transpose(1, 2).unflatten(2, (8, 8)))  # type: ignore[union-attr]
    torch.testing.assert_close(bare(bare.embed(pairs.template, Prompt()), pairs.search).score, score)


@pytest.mark.parametrize(
    ("options", "dependent", "entangled", "mixers", "head"),
    [
        ({}, ["0", "2", "4"], ["1", "3"], list(Mixer), True),
        ({"entangled_at": [], "head_width": 0}, ["0", "1", "2", "3", "4"], [], list(Mixer), False),
        ({"head_width": 0}, ["0", "2", "4"], ["1", "3"], list(Mixer), False),
        ({"mixers": ["maximum"]}, ["0", "2", "4"], ["1", "3"], ["maximum"], True),
    ],
)
def test_options_have_what_they_say(
    options: dict[str, Any], dependent: list[str], entangled: list[str], mixers: list[str], head: bool
) -> None:
    with torch.device("meta"):
        patrack = build("patrack-tiny", options=options)
    assert isinstance(patrack, PATrack)
    for half in (patrack.adaptation.attention, patrack.adaptation.perceptron):
        assert (list(half.dependent), list(half.entangled)) == (dependent, entangled)
        assert list(half.dependent["0"].mixers) == mixers  # type: ignore[arg-type]
    assert isinstance(patrack.adaptation.head, HeadAdapter) == head


def test_mixers_share_the_channels() -> None:
    depthwise, maximum, average = Mixer
    assert mixer_channels(Mixer, 8) == {depthwise: 2, maximum: 2, average: 4}
    assert mixer_channels([maximum, depthwise], 8) == {depthwise: 4, maximum: 4}
    assert mixer_channels([average, maximum], 8) == {maximum: 4, average: 4}
    assert mixer_channels([average], 8) == {average: 8}
    with pytest.raises(ValueError, match="multiple of 4"):
        mixer_channels(Mixer, 6)
    with pytest.raises(ValueError, match="depthwise, maximum, average"):
        mixer_channels([], 8)


def test_averages_are_of_windows_that_are_cut_off_at_an_odd_border() -> None:
    averaged = Average()(torch.arange(9.0).view(1, 1, 3, 3))
    assert averaged[0, 0].tolist() == [[2, 2, 3.5], [2, 2, 3.5], [6.5, 6.5, 8]]


@torch.inference_mode()
def test_a_dependent_adapter_gives_each_sense_what_the_other_sees_around_a_place() -> None:
    torch.manual_seed(0)
    adapter = DependentAdapter(width=8)
    rgb, other = torch.randn(2, 1, 64, 8)
    changed = other.clone()
    changed[0, 8 * 3 + 3] += 1  # row 3, column 3
    before, after = (adapter(torch.cat([rgb, each])) for each in (other, changed))
    assert torch.equal(before[1], after[1])
    moved = (before[0] != after[0]).any(dim=1).view(8, 8).nonzero()
    # The place's window of averages is rows and columns 2 and 3; mixing and fusing reach a place further each.
    assert (moved.amin(dim=0).tolist(), moved.amax(dim=0).tolist()) == ([1, 1], [5, 5])


@torch.inference_mode()
def test_an_entangled_adapter_attends_from_each_sense_to_the_fusion_and_adds_the_other() -> None:
    torch.manual_seed(0)
    adapter = EntangledAdapter(width=8, hidden=4)
    tokens = torch.randn(4, 9, 8)
    rgb, other = adapter.down(adapter.norm(tokens)).chunk(2)
    fusion = adapter.fusion(torch.cat([rgb, other], dim=2))
    looks = (adapter.second_key(other) @ fusion.transpose(1, 2)).softmax(dim=2)
    expected = adapter.up(looks @ adapter.second_value(other) + rgb)
    torch.testing.assert_close(adapter(tokens)[2:], expected)


@torch.inference_mode()
def test_the_heads_adapter_begins_as_nothing_only_where_it_skips() -> None:
    tokens = torch.randn(1, 4, 8)
    assert torch.equal(HeadAdapter(8, 4, skips=True).eval()(tokens), tokens)
    assert not torch.allclose(HeadAdapter(8, 4).eval()(tokens), tokens, atol=0.1)


@torch.inference_mode()
def test_many_targets_are_found_as_one_by_one() -> None:
    patrack = small(eliminate_at=(0,)).eval()
    pairs = batch(patrack, 3)
    whole = patrack(patrack.embed(pairs.template, Prompt()), pairs.search)
    for row in range(3):
        template = patrack.embed({sense: view[row : row + 1] for sense, view in pairs.template.items()}, Prompt())
        assert all(len(tensor) == 1 for tensor in template.values())
        one = patrack(template, {sense: view[row : row + 1] for sense, view in pairs.search.items()})
        torch.testing.assert_close(one.score[0], whole.score[row], atol=1e-5, rtol=0)


@pytest.mark.parametrize(("template", "search"), [(32, 96), (48, 112)])
def test_any_size_of_crops_works(template: int, search: int) -> None:
    patrack = small(template_size=template, search_size=search)
    pairs = batch(patrack)
    assert patrack(patrack.embed(pairs.template, Prompt()), pairs.search).score.shape[-1] == search // 16
    assert patrack.objective(pairs).total.isfinite()


class Step(nn.Module):
    """Moves a grid's tokens on by a place."""

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens.roll(1, dims=1)


def test_adapters_see_what_is_left_after_an_elimination_at_its_place() -> None:
    grids = Grids(template=1, search=4).narrowed(torch.tensor([[0, 1, 3]])).narrowed(torch.tensor([[0, 2]]))
    assert grids.kept is not None
    assert grids.kept.tolist() == [[0, 3]]
    moved = grids.apply(Step(), torch.tensor([[[7.0], [1], [2]]]))
    assert moved.flatten().tolist() == [7, 2, 0]  # 1 0 0 2 becomes 2 1 0 0


@torch.inference_mode()
def test_entangled_adapters_look_at_no_place_that_is_gone() -> None:
    torch.manual_seed(0)
    adapter, tokens = EntangledAdapter(8, 4), torch.randn(2, 1 + 3, 8)
    grids = Grids(template=1, search=9, kept=torch.tensor([[0, 4, 7]] * 2))
    found = grids.apply(adapter, tokens, attends=True)
    torch.testing.assert_close(found, Grids(template=1, search=3).apply(adapter, tokens, attends=True))


@torch.inference_mode()
def test_candidates_are_eliminated_for_each_sense_alone() -> None:
    patrack = small(eliminate_at=(0, 1)).eval()
    pairs = batch(patrack)
    template = patrack.embed(pairs.template, Prompt())
    search = patrack.backbone.embed_search(torch.cat([pairs.search[sense] for sense in (Modality.RGB, Modality.DEPTH)]))
    left = patrack.through(template, search, keep=0.7).any(dim=2)
    assert left.sum(dim=1).tolist() == [32] * 4  # of 64, 45 and then 32
    assert not torch.equal(left[:2], left[2:])
    unpruned = small().eval()
    unpruned.load_state_dict(patrack.state_dict())
    torch.testing.assert_close(patrack.through(template, search, 1.0), unpruned.through(template, search, 0.7))


def test_impossible_adapters_are_refused() -> None:
    with pytest.raises(ValueError, match="blocks 0 to 2"):
        replace(SMALL, entangled_at=(3,))
    with pytest.raises(ValueError, match="blocks 0 to 2"):
        replace(SMALL, dependent_at=(5,))
    with pytest.raises(ValueError, match="multiple of 4"):
        replace(SMALL, dependent_width=6)


def test_the_recipes_have_the_published_settings() -> None:
    for sense in ("thermal", "depth", "event"):
        recipe = read_recipe(f"patrack-{sense}")
        assert (recipe.system, recipe.second) == ("patrack-b256", sense)
        assert (recipe.optim.lr, recipe.optim.weight_decay, recipe.optim.clip) == (4e-4, 1e-4, 0.1)
        assert (recipe.schedule.epochs, recipe.schedule.drop_at, recipe.batch.size) == (60, [48], 32)
