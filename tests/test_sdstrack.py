"""SDSTrack: the published numbers, what trains, what passes between the senses, and how it learns from itself."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tectum.cli.initial import Start, initial_system
from tectum.frames import Modality, Prompt
from tectum.networks.elimination import Watch
from tectum.networks.vit import Block, ViTConfig
from tectum.systems.base import Batch, Views
from tectum.systems.catalogue import build
from tectum.systems.ostrack import OSTrack, OSTrackConfig
from tectum.systems.sdstrack import (
    CHANNEL_SHARE,
    Adapters,
    Reading,
    SDSTrack,
    SDSTrackConfig,
    Senses,
    complementary_masks,
    place_error,
)
from tectum.training.optim import build_optimiser, freeze
from tectum.training.recipe import Optim
from tectum.training.recipe_file import read_recipe
from tectum.weights import from_published, save
from tests.golden import Fixture
from tests.test_golden import TOLERANCE, assert_equal_maps

VIT = ViTConfig(template_size=64, search_size=128, width=32, depth=4, heads=2, eliminate_at=(1, 2), drop_path=0.0)
FOUNDATION = OSTrackConfig(vit=VIT, head=16)
SMALL = SDSTrackConfig(FOUNDATION, fused_after=(1, 3))


def small(config: SDSTrackConfig = SMALL) -> SDSTrack:
    torch.manual_seed(0)
    return SDSTrack(Modality.DEPTH, config)


def batch(count: int = 2) -> Batch:
    generator = torch.Generator().manual_seed(1)
    senses = (Modality.RGB, Modality.DEPTH)
    return Batch(
        template={sense: torch.randn(count, 3, 64, 64, generator=generator) for sense in senses},
        search={sense: torch.randn(count, 3, 128, 128, generator=generator) for sense in senses},
        boxes=torch.tensor([[0.3, 0.4, 0.2, 0.1]]).repeat(count, 1),
        progress=1.0,
    )


def row(views: Views, index: int) -> Views:
    return {sense: view[index : index + 1] for sense, view in views.items()}


def readings(system: SDSTrack, monkeypatch: pytest.MonkeyPatch) -> list[Reading]:
    """What the system reads from now on."""
    found: list[Reading] = []
    original = system.read

    def watched(template: dict[str, Tensor], search: dict[str, Tensor], keep: float) -> Reading:
        found.append(original(template, search, keep))
        return found[-1]

    monkeypatch.setattr(system, "read", watched)
    return found


@torch.inference_mode()
def test_sdstrack_equals_the_published_network(monkeypatch: pytest.MonkeyPatch) -> None:
    fixture = Fixture.named("sdstrack_256")
    system = from_published("sdstrack-b256", fixture.weights()).eval()
    assert isinstance(system, SDSTrack)
    found = readings(system, monkeypatch)
    crops = [fixture.input(name).split(3, dim=1) for name in ("template", "search")]
    template, search = ({Modality.RGB: rgb, Modality.THERMAL: other} for rgb, other in crops)
    assert_equal_maps(system(system.embed(template, Prompt()), search), fixture)
    # The fused passes follow blocks 3, 6, 9 and 11; the candidates are eliminated in the first three of these.
    for stage, index in zip(found[0].stages, (3, 6, 9), strict=False):
        published = [fixture.outputs[f"ce_keep.backbone.blocks.{index}.fine_{sense}"] for sense in ("rgb", "dte")]
        assert stage.kept is not None
        np.testing.assert_array_equal(stage.kept.numpy(), np.sort(np.concatenate(published), axis=1))
    template_tokens = torch.stack(found[0].stages[-1].tokens[:, :64].chunk(2)).mean(dim=0)
    means = system.backbone.norm(template_tokens).mean(dim=2)
    np.testing.assert_allclose(means.numpy(), fixture.outputs["backbone.token_mean"][:, :64], atol=TOLERANCE)


def test_published_names_and_sizes_are_those_of_the_manifest() -> None:
    fixture = Fixture.named("sdstrack_256")
    with torch.device("meta"):
        system = build("sdstrack-b256")
    own = {system.layout.original(name): list(tensor.shape) for name, tensor in system.state_dict().items()}
    stored = {name: shape for name, shape, _ in fixture.manifest["state_dict"]}
    assert own.items() <= stored.items()
    unused = {name: shape for name, shape in stored.items() if name not in own}
    assert all(any(re.fullmatch(pattern, name) for pattern in system.layout.unused) for name in unused)
    count = sum(parameter.numel() for parameter in system.parameters())
    assert count == fixture.manifest["parameter_count"] - sum(math.prod(shape) for shape in unused.values())
    layers = [each for each in system.modules() if isinstance(each, nn.Linear | nn.Conv2d | nn.BatchNorm2d)]
    counted = sum(parameter.numel() for each in layers for parameter in each.parameters())
    assert round(counted / 1e6, 1) == 102.1  # as the comparisons say, without positions and layer norms


def test_only_the_adaptation_and_the_final_norm_learn() -> None:
    system = small().train()
    freeze(system)
    before = {name: tensor.clone() for name, tensor in system.state_dict().items()}
    system.objective(batch()).total.backward()
    trained = {name for name, parameter in system.named_parameters() if parameter.grad is not None}
    assert trained == {name for name in before if name.startswith(("adaptation.", "backbone.norm."))}
    optimiser = build_optimiser(system, Optim(lr=0.01))
    assert [group["rate"] for group in optimiser.param_groups] == [1.0, 0.1]
    optimiser.step()
    assert {name for name, tensor in system.state_dict().items() if not torch.equal(tensor, before[name])} == trained


@pytest.mark.parametrize("watch", [Watch.CENTER, Watch.BOX])
@torch.inference_mode()
def test_templates_of_many_targets_join_along_the_batch(watch: Watch) -> None:
    config = replace(SMALL, foundation=replace(FOUNDATION, vit=replace(VIT, watch=watch)))
    system, pairs = small(config).eval(), batch(3)
    boxes = torch.tensor([[0.2, 0.2, 0.6, 0.6], [0.4, 0.4, 0.2, 0.2], [0.3, 0.1, 0.4, 0.8]])
    whole = system(system.embed(pairs.template, Prompt(box=boxes)), pairs.search)
    for index in range(3):
        template = system.embed(row(pairs.template, index), Prompt(box=boxes[index : index + 1]))
        assert all(len(tensor) == 1 for tensor in template.values())
        one = system(template, row(pairs.search, index))
        torch.testing.assert_close(one.score[0], whole.score[index], atol=1e-5, rtol=0)
        torch.testing.assert_close(one.size[0], whole.size[index], atol=1e-5, rtol=0)


@torch.inference_mode()
def test_a_fused_pass_is_attention_over_both_senses_without_the_own_one() -> None:
    torch.manual_seed(3)
    block, adapters = Block(16, 2, 4, 0.0), Adapters(16, 4)
    rgb, second = torch.randn(2, 3, 5, 16)
    joined = torch.cat([rgb, second], dim=1)
    query, key, value = block.attn.project(block.norm1(joined))
    own = torch.block_diag(torch.ones(5, 5), torch.ones(5, 5)).bool()
    logits = (query @ key.transpose(2, 3) * 8**-0.5).masked_fill(own, -torch.inf)
    attended = block.attn.proj((logits.softmax(dim=-1) @ value).transpose(1, 2).flatten(2))
    joined = joined + attended + adapters.space(attended)
    normed = block.norm2(joined)
    wanted = joined + block.mlp(normed) + CHANNEL_SHARE * adapters.channel(normed)
    found, survivors = adapters(block, torch.cat([rgb, second]), crossed=True)
    assert survivors is None
    torch.testing.assert_close(torch.cat(found.chunk(2), dim=1), wanted)


@torch.inference_mode()
def test_without_adapters_and_fused_passes_each_sense_goes_through_the_foundation() -> None:
    system, pairs = small(replace(SMALL, fused_after=())).eval(), batch()
    foundation = OSTrack(FOUNDATION).eval()
    foundation.backbone.load_state_dict(system.backbone.state_dict())
    foundation.head.load_state_dict(system.head.state_dict())
    for adapters in system.adaptation.second:
        for perceptron in adapters.children():
            for parameter in perceptron.fc2.parameters():  # type: ignore[union-attr]
                torch.nn.init.zeros_(parameter)
    system.adaptation.patch_embed.load_state_dict(system.backbone.patch_embed.state_dict())
    alike = {Modality.RGB: pairs.search[Modality.RGB], Modality.DEPTH: pairs.search[Modality.RGB]}
    template = {Modality.RGB: pairs.template[Modality.RGB], Modality.DEPTH: pairs.template[Modality.RGB]}
    found = system(system.embed(template, Prompt()), alike)
    wanted = foundation(foundation.embed(template, Prompt()), alike)
    # Where all senses eliminate a place, the norm answers its bias and the foundation zero; the bias is zero here.
    torch.testing.assert_close((found.score, found.size, found.offset), (wanted.score, wanted.size, wanted.offset))


def test_masks_complement_each_other() -> None:
    torch.manual_seed(0)
    rgb, second = complementary_masks(torch.zeros(40, 320, 8), 0.3)
    assert rgb.shape == second.shape == (40, 320, 1)
    assert not (rgb & second).any()
    assert rgb.float().mean().item() == pytest.approx(0.3, abs=0.02)
    assert second.float().mean().item() == pytest.approx(0.21, abs=0.02)


def test_a_masked_patch_is_its_position_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    system, pairs = small(replace(SMALL, missing=0.5)).eval(), batch()
    seen: list[dict[str, Tensor]] = []
    original = system.read

    def watched(template: dict[str, Tensor], search: dict[str, Tensor], keep: float) -> Reading:
        seen.extend((template, search))
        return original(template, search, keep)

    monkeypatch.setattr(system, "read", watched)
    system.objective(pairs)
    for clear, masked, positions in (
        (seen[0], seen[2], system.backbone.template_positions),
        (seen[1], seen[3], system.backbone.search_positions),
    ):
        for name in ("tokens", "second"):
            changed = (clear[name] != masked[name]).any(dim=2)
            assert 0.1 < changed.float().mean() < 0.7
            assert torch.equal(masked[name][changed], positions.expand_as(clear[name])[changed])


@torch.no_grad()
def test_a_view_that_lacks_nothing_teaches_the_same_and_no_difference() -> None:
    parts = dict(small(replace(SMALL, missing=0.0)).eval().objective(batch()).parts)
    distillation, masked = parts.pop("distillation"), parts.pop("masked")
    assert set(parts) == {"focal", "giou", "l1"}
    assert distillation == 0
    torch.testing.assert_close(masked, torch.stack(list(parts.values())).sum() * 0.2 / 0.6)


def test_only_places_that_both_views_kept_are_compared() -> None:
    clear = Senses(torch.tensor([[[1.0], [2.0], [5.0]]]), torch.tensor([[0, 3]]))
    masked = Senses(torch.tensor([[[4.0], [7.0], [9.0]]]), torch.tensor([[2, 3]]))
    assert place_error(clear, masked, 1, 4).item() == pytest.approx((3**2 + 4**2) / 2)
    assert place_error(Senses(clear.tokens), Senses(masked.tokens), 1, 2).item() == pytest.approx((9 + 25 + 16) / 3)


def test_distillation_teaches_both_views() -> None:
    first, second = (torch.randn(2, 3, 4, requires_grad=True) for _ in range(2))
    kept = torch.tensor([[1, 2], [0, 2]])
    place_error(Senses(first, kept), Senses(second, kept), 1, 3).backward()
    assert first.grad is not None
    assert second.grad is not None
    torch.testing.assert_close(first.grad, -second.grad)


def test_elimination_warms_up_with_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    system = small()
    found = readings(system, monkeypatch)
    for elimination in (0.0, 1.0):
        system.objective(replace(batch(), elimination=elimination))
    lengths = [stage.tokens.shape[1] - 16 for stage in (found[0].stages[-1], found[2].stages[-1])]
    assert lengths == [64, math.ceil(0.7 * math.ceil(0.7 * 64))]


def test_a_start_copies_the_foundation_and_its_patch_embedding(tmp_path: Path) -> None:
    torch.manual_seed(2)
    foundation, path = build("ostrack-tiny"), tmp_path / "foundation.safetensors"
    save(foundation, path, preset="ostrack-tiny")
    own = initial_system(read_recipe("sdstrack-tiny", ["second=event"]), Start(path, "")).state_dict()
    for name, tensor in foundation.state_dict().items():
        assert torch.equal(own[name], tensor)
    embedded = [name for name in own if name.startswith("adaptation.patch_embed.")]
    assert len(embedded) == 8
    for name in embedded:
        assert torch.equal(own[name], own[name.replace("adaptation", "backbone")])
    for name in ("adaptation.second.0.space.fc2", "adaptation.fused.4.channel.fc1"):
        assert own[f"{name}.weight"].std().item() == pytest.approx(0.02, rel=0.05)
        assert not own[f"{name}.bias"].any()


def test_a_published_start_leaves_the_second_patch_embedding_at_random() -> None:
    system, published = small(), OSTrack(FOUNDATION).state_dict()
    fitted = system.layout.apply(system, published)
    assert torch.equal(fitted["adaptation.patch_embed.proj.weight"], system.adaptation.patch_embed.proj.weight)
    lacking = {name for name in system.state_dict() if name not in fitted}
    assert lacking == {name for name in system.state_dict() if system.layout.adds(name)}


def test_presets_have_the_published_crops_and_elimination() -> None:
    with torch.device("meta"):
        base, large, tiny = (build(f"sdstrack-{size}", "event") for size in ("b256", "b384", "tiny"))
    for system in (base, large, tiny):
        assert isinstance(system, SDSTrack)
        assert system.senses == system.required == {Modality.RGB, Modality.EVENT}
    assert (base.crops.search_size, base.crops.search_factor) == (256, 4.0)
    assert (large.crops.template_size, large.crops.search_size) == (192, 384)
