"""ViPT against the published network, and what trains in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tectum.cli.initial import Start, initial_system
from tectum.frames import Frame, Modality, Prompt
from tectum.networks.elimination import Watch
from tectum.networks.vit import ViTConfig
from tectum.systems.base import Batch, System, Views
from tectum.systems.catalogue import build
from tectum.systems.ostrack import OSTrack, OSTrackConfig
from tectum.systems.vipt import Prompting, ViPT, ViPTConfig
from tectum.tracking.session import Tracker
from tectum.training.optim import build_optimiser, freeze
from tectum.training.recipe import Optim
from tectum.training.recipe_file import read_recipe
from tectum.weights import from_published, save
from tests.brightness import lit_frame
from tests.golden import Fixture
from tests.test_golden import TOLERANCE, assert_equal_maps

VIT = ViTConfig(template_size=64, search_size=128, width=32, depth=4, heads=2, eliminate_at=(1, 2))
SMALL = OSTrackConfig(vit=VIT, head=16)
SENSES = (Modality.RGB, Modality.DEPTH)


def small(deep: bool = True, foundation: OSTrackConfig = SMALL) -> ViPT:
    torch.manual_seed(0)
    return ViPT(Modality.DEPTH, ViPTConfig(foundation, deep))


def batch(count: int = 2) -> Batch:
    generator = torch.Generator().manual_seed(1)
    return Batch(
        template={sense: torch.randn(count, 3, 64, 64, generator=generator) for sense in SENSES},
        search={sense: torch.randn(count, 3, 128, 128, generator=generator) for sense in SENSES},
        boxes=torch.tensor([[0.3, 0.4, 0.2, 0.1]]).repeat(count, 1),
        progress=1.0,
    )


def rows(views: Views, row: int) -> Views:
    return {sense: view[row : row + 1] for sense, view in views.items()}


@pytest.fixture(scope="module")
def weights() -> Iterator[dict[str, Tensor]]:
    """The weights of the deep variant; the shallow one's are some of them."""
    state = Fixture.named("vipt_256").weights()
    yield state
    state.clear()


@pytest.mark.parametrize(("preset", "name"), [("vipt-b256", "vipt_256"), ("vipt-shaw-b256", "vipt_shaw_256")])
@torch.inference_mode()
def test_vipt_equals_the_published_network(preset: str, name: str, weights: dict[str, Tensor]) -> None:
    fixture = Fixture.named(name)
    names = [entry for entry, _, _ in fixture.manifest["state_dict"]]
    vipt = from_published(preset, {entry: weights[entry] for entry in names}).eval()
    assert isinstance(vipt, ViPT)
    joints = []
    vipt.backbone.register_forward_hook(lambda module, given, joint: joints.append(joint))
    views = [fixture.input(each).split(3, dim=1) for each in ("template", "search")]
    template, search = ({Modality.RGB: rgb, Modality.THERMAL: other} for rgb, other in views)
    assert_equal_maps(vipt(vipt.embed(template, Prompt()), search), fixture)
    published = [fixture.outputs[f"ce_keep.backbone.blocks.{index}"] for index in (3, 6, 9)]
    for found, wanted in zip(joints[0].kept, published, strict=True):
        np.testing.assert_array_equal(found.numpy(), np.sort(wanted, axis=1))
    means = fixture.outputs["backbone.token_mean"][:, -joints[0].search.shape[1] :]
    np.testing.assert_allclose(joints[0].search.mean(dim=2).numpy(), means, atol=TOLERANCE)


@pytest.mark.parametrize("deep", [True, False])
def test_only_the_prompter_learns_and_nothing_else_changes(deep: bool) -> None:
    vipt = small(deep).train()
    freeze(vipt)
    before = {name: tensor.clone() for name, tensor in vipt.state_dict().items()}
    vipt.objective(batch()).total.backward()
    trained = {name for name, parameter in vipt.named_parameters() if parameter.grad is not None}
    assert trained == {name for name in before if name.startswith("prompter.")}
    build_optimiser(vipt, Optim(lr=0.01)).step()
    changed = {name for name, tensor in vipt.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == trained


@pytest.mark.parametrize("watch", [Watch.CENTER, Watch.BOX])
@torch.inference_mode()
def test_templates_of_many_targets_join_along_the_batch(watch: Watch) -> None:
    vipt, pairs = small(foundation=replace(SMALL, vit=replace(VIT, watch=watch))).eval(), batch(3)
    boxes = torch.tensor([[0.2, 0.2, 0.6, 0.6], [0.4, 0.4, 0.2, 0.2], [0.3, 0.1, 0.4, 0.8]])
    whole = vipt(vipt.embed(pairs.template, Prompt(box=boxes)), pairs.search)
    for row in range(3):
        template = vipt.embed(rows(pairs.template, row), Prompt(box=boxes[row : row + 1]))
        assert all(len(tensor) == 1 for tensor in template.values())
        one = vipt(template, rows(pairs.search, row))
        torch.testing.assert_close(one.score[0], whole.score[row], atol=1e-5, rtol=0)
        torch.testing.assert_close(one.size[0], whole.size[row], atol=1e-5, rtol=0)


@torch.inference_mode()
def test_the_second_sense_counts_at_the_input_and_in_the_template() -> None:
    for deep in (True, False):
        vipt, pairs = small(deep).eval(), batch(1)
        whole = vipt(vipt.embed(pairs.template, Prompt()), pairs.search).score
        dark = {**pairs.search, Modality.DEPTH: torch.zeros(1, 3, 128, 128)}
        blind = {**pairs.template, Modality.DEPTH: torch.zeros(1, 3, 64, 64)}
        assert not torch.allclose(vipt(vipt.embed(pairs.template, Prompt()), dark).score, whole, atol=1e-4)
        assert not torch.allclose(vipt(vipt.embed(blind, Prompt()), pairs.search).score, whole, atol=1e-4)


@pytest.mark.parametrize("absent", SENSES)
@pytest.mark.parametrize("policy", ["copy", "zero"])
def test_either_sense_may_fail_for_a_while(absent: Modality, policy: str) -> None:
    session = Tracker(small().eval(), missing=policy).start(lit_frame(60, 50, 0, SENSES), (60, 50, 16, 16))
    whole = lit_frame(61, 50, 1, SENSES)
    estimate = session.update(Frame({sense: None if sense is absent else whole.images[sense] for sense in SENSES}, 1))
    assert estimate.missing == {absent}
    assert np.isfinite(estimate.box).all()
    assert session.update(lit_frame(62, 50, 2, SENSES)).missing == frozenset()


@torch.inference_mode()
def test_without_prompts_it_is_its_foundation() -> None:
    foundation, pairs = OSTrack(SMALL).eval(), batch()
    vipt = small().eval()
    vipt.backbone.load_state_dict(foundation.backbone.state_dict())
    vipt.head.load_state_dict(foundation.head.state_dict())
    for name, parameter in vipt.prompter.named_parameters():
        if "expand" in name:
            torch.nn.init.zeros_(parameter)
    found = vipt(vipt.embed(pairs.template, Prompt()), pairs.search)
    wanted = foundation(foundation.embed(pairs.template, Prompt()), pairs.search)
    torch.testing.assert_close((found.score, found.size, found.offset), (wanted.score, wanted.size, wanted.offset))


@torch.inference_mode()
def test_eliminated_places_keep_their_prompt() -> None:
    vipt = small().eval()
    prompts = torch.randn(2, 1, 4, 32)
    prompting = Prompting(vipt.prompter, prompts[0], prompts[1])
    tokens, kept = torch.randn(1, 6, 32), torch.tensor([[1, 3]])
    full = torch.zeros(1, 8, 32)
    full[:, :4], full[0, 5], full[0, 7] = tokens[:, :4], tokens[0, 4], tokens[0, 5]
    change = prompting(2, tokens, kept) - tokens
    wanted = [vipt.prompter(2, part, prompt) for part, prompt in zip(full.split(4, dim=1), prompts, strict=True)]
    torch.testing.assert_close(change, torch.cat([wanted[0], wanted[1][:, [1, 3]]], dim=1))
    torch.testing.assert_close(prompting.search, wanted[1])


def test_a_start_copies_the_foundation_and_its_patch_embedding(tmp_path: Path) -> None:
    torch.manual_seed(2)
    foundation, path = build("ostrack-tiny"), tmp_path / "foundation.safetensors"
    save(foundation, path, preset="ostrack-tiny")
    own = initial_system(read_recipe("vipt-tiny", ["second=depth"]), Start(path, "")).state_dict()
    for name, tensor in foundation.state_dict().items():
        assert torch.equal(own[name], tensor)
    embedded = [name for name in own if name.startswith("prompter.patch_embed.")]
    assert len(embedded) == 8
    for name in embedded:
        assert torch.equal(own[name], own[name.replace("prompter", "backbone")])
    assert torch.equal(own["prompter.blocks.4.sharpness"], torch.tensor([10.0]))


def test_a_published_start_leaves_the_second_patch_embedding_at_random() -> None:
    torch.manual_seed(3)
    vipt = small()
    published = OSTrack(SMALL).state_dict()
    fitted = vipt.layout.apply(vipt, published)
    assert torch.equal(fitted["prompter.patch_embed.proj.weight"], vipt.prompter.patch_embed.proj.weight)
    assert not torch.equal(fitted["prompter.patch_embed.proj.weight"], published["backbone.patch_embed.proj.weight"])
    lacking = {name for name in vipt.state_dict() if name not in fitted}
    assert lacking == {name for name in vipt.state_dict() if vipt.layout.adds(name)}


def test_names_lead_there_and_back() -> None:
    layout = replace(ViPT.layout, prepare=None)
    with torch.device("meta"):
        vipt = small()
    for name, tensor in vipt.state_dict().items():
        published = layout.original(name)
        assert list(layout.apply(vipt, {published: tensor})) == [name]


def test_presets_are_the_published_sizes() -> None:
    with torch.device("meta"):
        deep, shallow, large = build("vipt-b256"), build("vipt-shaw-b256"), build("vipt-b384", "event")
    unused = 198 * 768  # the class token and positions of the image classifier
    assert parameters(deep) == 93358161 - unused
    assert parameters(shallow) == 93129878 - unused
    assert sum(each.numel() for group in deep.trainable() for each in group.parameters) == 839628  # "0.84 M"
    assert (large.crops.template_size, large.crops.search_size) == (192, 384)
    assert large.senses == large.required == {Modality.RGB, Modality.EVENT}


def parameters(system: System) -> int:
    return sum(parameter.numel() for parameter in system.parameters())
