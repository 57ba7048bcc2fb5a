"""CKD: the published numbers, both losses by hand, who teaches whom, and candidates that two senses judge together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tectum.frames import Modality, Prompt
from tectum.networks.elimination import best_candidates, candidate_attention
from tectum.networks.lockstep import search_maps
from tectum.networks.vit import ViTConfig
from tectum.systems import ckd as ckd_module
from tectum.systems.base import Batch, CenterMaps
from tectum.systems.catalogue import build
from tectum.systems.ckd import CKD, CKDConfig, eliminating, search_mask
from tectum.systems.distillation import Distillation, Level, content, content_difference, style_difference
from tectum.systems.duo import Duo
from tectum.systems.options import Preset
from tectum.systems.ostrack import OSTrack, OSTrackConfig
from tectum.training.loop import Hooks, Training
from tectum.training.optim import build_optimiser, freeze
from tectum.training.recipe import Optim, Recipe
from tectum.weights import from_published, load, read_published, save
from tests.golden import Fixture
from tests.trainings import TINY, finished, procedural

BRANCH = OSTrackConfig(ViTConfig(64, 128, width=32, depth=4, heads=2, drop_path=0.0), head=16)
ELIMINATING = eliminating(BRANCH, (1, 2))
TINIEST = OSTrackConfig(replace(TINY, eliminate_at=()), head=16)
MCE = CKDConfig(ELIMINATING, head_alone=True)


def small(config: CKDConfig | None = None, equipped: bool = False) -> CKD:
    torch.manual_seed(0)
    ckd = CKD(Modality.DEPTH, config or CKDConfig(BRANCH))
    if equipped:
        ckd.equip()
    return ckd


def batch(count: int = 2, side: int = 64) -> Batch:
    generator = torch.Generator().manual_seed(1)
    senses = (Modality.RGB, Modality.DEPTH)
    return Batch(
        template={sense: torch.randn(count, 3, side, side, generator=generator) for sense in senses},
        search={sense: torch.randn(count, 3, 2 * side, 2 * side, generator=generator) for sense in senses},
        boxes=torch.tensor([[0.3, 0.4, 0.2, 0.1]]).repeat(count, 1),
        progress=0.5,
    )


@pytest.fixture(scope="module")
def published() -> Iterator[CKD]:
    """The published network with its teachers, of which tracking reads nothing."""
    weights = Fixture.named("ckd_256_train").weights()
    ckd = from_published("ckd-b256", weights)
    assert isinstance(ckd, CKD)
    ckd.equip()
    for teacher, prefixes in zip(
        ckd.taught_by.values(), (("teacher_rgb.", "box_head_v."), ("teacher_tir.", "box_head_i.")), strict=True
    ):
        own = {name: tensor for name, tensor in weights.items() if name.startswith(prefixes)}
        names = {name: name.replace(prefixes[0], "backbone.").replace(prefixes[1], "box_head.") for name in own}
        fitted = teacher.layout.apply(teacher, {names[name]: tensor for name, tensor in own.items()})
        teacher.load_state_dict(fitted)
    weights.clear()
    yield ckd.eval()
    ckd.to("meta")


def published_batch(fixture: Fixture) -> Batch:
    template, search = (
        {Modality.RGB: fixture.input(f"{crop}_rgb"), Modality.THERMAL: fixture.input(f"{crop}_aux")}
        for crop in ("template", "search")
    )
    return Batch(template, search, torch.tensor([[0.4, 0.42, 0.22, 0.18], [0.3, 0.35, 0.25, 0.3]]))


def assert_equal_maps(maps: CenterMaps, fixture: Fixture, prefix: str = "") -> None:
    for name, found in (("score_map", maps.score), ("size_map", maps.size), ("offset_map", maps.offset)):
        wanted = fixture.outputs[prefix + name]
        np.testing.assert_allclose(found.numpy(), wanted, atol=1e-5, rtol=0, err_msg=prefix + name)


@torch.inference_mode()
def test_mce_equals_the_published_network(published: CKD) -> None:
    fixture = Fixture.named("ckd_256_mce")
    mce = build("ckd-b256-mce")
    assert isinstance(mce, CKD)
    mce.load_state_dict({name: each for name, each in published.state_dict().items() if "teachers" not in name})
    pairs = published_batch(fixture)
    template = mce.eval().embed(pairs.template, Prompt())
    *stages, last = mce.stages(template, pairs.search)
    for index in (3, 6, 9):
        for kept, branch in zip(stages[index].kept, ("rgb_branch", "tir_branch"), strict=True):
            assert kept is not None
            wanted = np.sort(fixture.outputs[f"ce_keep.{branch}.blocks.{index}"], axis=1)
            np.testing.assert_array_equal(kept.numpy(), wanted)
    assert_equal_maps(mce._read(search_maps(mce._students(template, pairs.search), last)), fixture)


@torch.inference_mode()
def test_training_equals_the_published_one(published: CKD, monkeypatch: pytest.MonkeyPatch) -> None:
    fixture = Fixture.named("ckd_256_train")
    layers: list[tuple[Tensor, ...]] = []
    answers: dict[str, CenterMaps] = {}

    def watched(self: Distillation, given: list[tuple[Tensor, ...]]) -> dict[str, Tensor]:
        layers.extend(given)
        return original(self, given)

    original = Distillation.parts
    monkeypatch.setattr(Distillation, "parts", watched)
    monkeypatch.setattr(published, "config", replace(published.config, masked=0.0))
    heads = {
        "": published.head,
        **{f"out_t_{key}.": each.head for key, each in zip(("rgb", "tir"), published.taught_by.values(), strict=True)},
    }
    for prefix, head in heads.items():
        head.register_forward_hook(lambda module, given, maps, key=prefix: answers.update({key: CenterMaps(*maps)}))
    parts = published.objective(published_batch(fixture)).parts
    assert_published_losses(parts, fixture.manifest["extra"]["losses"])
    for prefix, maps in answers.items():
        assert_equal_maps(maps, fixture, prefix)
    assert_equal_maps(answers[""], Fixture.named("ckd_256"))
    for index, (rgb, other, *teachers) in enumerate(layers):
        outputs = fixture.outputs
        assert style_difference(rgb, other).item() == pytest.approx(outputs["loss.style_per_layer"][index], rel=1e-4)
        for sense, pair in zip(("rgb", "tir"), zip(teachers, (rgb, other), strict=True), strict=True):
            wanted = outputs[f"loss.content_{sense}_per_layer"][index]
            assert content_difference(*pair).item() == pytest.approx(wanted, rel=1e-4)
    by_token = Distillation(1.0, 1.0, style_level=Level.TOKEN, content_level=Level.TOKEN)
    found = {name: part.item() for name, part in original(by_token, layers).items()}
    assert found == pytest.approx(fixture.manifest["extra"]["token_level_losses"], rel=1e-4)


@torch.inference_mode()
def test_masked_training_equals_the_published_one(published: CKD, monkeypatch: pytest.MonkeyPatch) -> None:
    fixture = Fixture.named("ckd_256_train")
    kept = torch.from_numpy(fixture.outputs["masked.keep"])[..., None].float()
    monkeypatch.setattr(ckd_module, "search_mask", lambda tokens, share: kept)
    parts = published.objective(published_batch(fixture)).parts
    assert_published_losses(parts, fixture.manifest["extra"]["masked_losses"])


def assert_published_losses(parts: Mapping[str, Tensor], wanted: Mapping[str, float]) -> None:
    weighted = {
        "focal": wanted["Loss/location"],
        "giou": 2 * wanted["Loss/giou"],
        "l1": 5 * wanted["Loss/l1"],
        "style": 0.01 * wanted["Loss/style"],
        "content": 0.1 * wanted["Loss/content"],
    }
    assert {name: parts[name].item() for name in weighted} == pytest.approx(weighted, rel=1e-4)
    assert sum(part.item() for part in parts.values()) == pytest.approx(wanted["total"], rel=1e-5)


def test_style_by_hand() -> None:
    # Channels of `one` have means 2 and 4 and unbiased deviations sqrt(2) and 0; those of `other` 3, 2 and 0, sqrt(8).
    one = torch.tensor([[[1.0, 4.0], [3.0, 4.0]]])
    other = torch.tensor([[[3.0, 0.0], [3.0, 4.0]]])
    by_channel = (1 + 4) / 2 + (2 + 8) / 2
    assert style_difference(one, other).item() == pytest.approx(by_channel)
    # Tokens of `one` have means 2.5, 3.5 and deviations 3/sqrt(2), 1/sqrt(2); of `other` 1.5, 3.5 and the same.
    assert style_difference(one, other, Level.TOKEN).item() == pytest.approx(1 / 2)


def test_content_by_hand() -> None:
    # Both tokens lie one (biased) deviation from the mean, but the student's second channel is turned over.
    teacher = torch.tensor([[[1.0, 40.0], [3.0, 60.0]]])
    student = torch.tensor([[[10.0, 77.0], [70.0, 5.0]]])
    assert content_difference(teacher, student).item() == pytest.approx((0 + 4) / 2, rel=1e-4)
    # By token: the teacher's first channel is the lower one in both, the student's in the first alone.
    assert content_difference(teacher, student, Level.TOKEN).item() == pytest.approx((0 + 4) / 2, rel=1e-4)
    assert content_difference(teacher, teacher * torch.tensor([2.0, 5.0]) - 3).item() == pytest.approx(0, abs=1e-4)
    torch.testing.assert_close(content(teacher)[0, :, 0], torch.tensor([-1.0, 1.0]), atol=1e-4, rtol=0)


def test_weights_layers_and_switches() -> None:
    generator = torch.Generator().manual_seed(0)
    layers = [tuple(torch.randn(2, 6, 8, generator=generator) for _ in range(4)) for _ in range(3)]
    styles = [style_difference(rgb, other) for rgb, other, *_ in layers]
    contents = [content_difference(t, rgb) + content_difference(u, other) for rgb, other, t, u in layers]
    found = Distillation(style=0.5, content=2.0).parts(layers)
    assert found["style"].item() == pytest.approx(0.5 * sum(styles).item())  # type: ignore[union-attr]
    assert found["content"].item() == pytest.approx(2 * sum(contents).item())  # type: ignore[union-attr]
    last = Distillation(style=1.0, content=0.0, features=3.0, last=1).parts([each[:2] for each in layers])
    assert last["style"].item() == pytest.approx(styles[2].item())
    assert last["features"].item() == pytest.approx(3 * (layers[2][0] - layers[2][1]).square().mean().item())
    assert last.keys() == {"style", "features"}
    assert Distillation(0.0, 0.0).parts(layers) == {}
    with pytest.raises(ValueError, match="give 1 or more"):
        Distillation(last=0)


def test_teachers_get_no_gradient_from_distillation() -> None:
    ckd = small(equipped=True).train()
    # Teachers begin as their students, so that content differs by the mask alone.
    parts = ckd.objective(batch()).parts
    assert set(parts) == {"focal", "giou", "l1", "style", "content", "rgb_teacher", "other_teacher"}
    (parts["style"] + parts["content"]).backward()
    assert all(parameter.grad is None for parameter in ckd.teachers.parameters())
    for student in ckd.branches.values():
        assert all(block.mlp.fc2.weight.grad.any() for block in student.blocks)  # type: ignore[union-attr, operator]
    assert all(parameter.grad is None for parameter in ckd.head.parameters())


def test_each_teacher_learns_from_its_own_tracking_alone() -> None:
    ckd = small(equipped=True).train()
    ckd.objective(batch()).parts["rgb_teacher"].backward()
    moved = {
        name.rsplit(".blocks")[0].rsplit(".head")[0] for name, each in ckd.named_parameters() if each.grad is not None
    }
    assert {name.partition(".backbone")[0] for name in moved} == {"teachers.rgb"}


def test_everything_trains_in_the_main_stage_and_branches_at_a_tenth() -> None:
    ckd = small(equipped=True).train()
    ckd.objective(batch()).total.backward()
    assert all(parameter.grad is not None for parameter in ckd.parameters())
    head, branches = ckd.trainable()
    assert (head.rate, branches.rate) == (1.0, 0.1)
    assert len(head.parameters) == 3 * len(list(ckd.head.parameters()))
    assert len(head.parameters) + len(branches.parameters) == len(list(ckd.parameters()))


def test_a_step_of_the_second_stage_changes_the_head_and_nothing_else() -> None:
    ckd = small(MCE, equipped=True).train()
    freeze(ckd)
    before = {name: tensor.clone() for name, tensor in ckd.state_dict().items()}
    losses = ckd.objective(batch())
    assert set(losses.parts) == {"focal", "giou", "l1"}
    losses.total.backward()
    build_optimiser(ckd, Optim(lr=1e-2)).step()
    changed = {
        name.partition(".")[0] for name, tensor in ckd.state_dict().items() if not torch.equal(tensor, before[name])
    }
    assert changed == {"head"}
    assert not ckd.teachers


def foundation() -> OSTrack:
    torch.manual_seed(5)
    return OSTrack(TINIEST).eval()


@pytest.fixture
def small_presets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Presets small enough to train, save and load in milliseconds."""
    configs = {"ckd-s": CKDConfig(TINIEST), "ckd-s-mce": CKDConfig(eliminating(TINIEST, (1,)), head_alone=True)}
    presets = {name: Preset(CKD, config) for name, config in configs.items()}
    monkeypatch.setattr(CKD, "presets", classmethod(lambda cls: presets))


@pytest.mark.usefixtures("small_presets")
@torch.inference_mode()
def test_all_four_branches_start_from_one_foundation() -> None:
    source = foundation()
    ckd = from_published("ckd-s", source.state_dict(), "depth", start=True)
    assert isinstance(ckd, CKD)
    ckd.equip()
    ckd.eval()
    pairs = batch(side=32)
    for (sense, branch), teacher in zip(ckd.branches.items(), ckd.taught_by.values(), strict=True):
        for network in (branch, teacher.backbone):
            assert all(
                torch.equal(tensor, source.backbone.state_dict()[name]) for name, tensor in network.state_dict().items()
            )
        template, search = {Modality.RGB: pairs.template[sense]}, {Modality.RGB: pairs.search[sense]}
        alone, taught = (each(each.embed(template, Prompt()), search) for each in (source, teacher))
        assert torch.equal(alone.score, taught.score)
    first = source.head.state_dict()["size.conv1.0.weight"]
    assert torch.equal(ckd.head.state_dict()["size.conv1.0.weight"], torch.cat([first, first], dim=1))


def recipe(system: str) -> Recipe:
    changes = ("second=depth", "optim.ema=0.5", "optim.settle=0", "checkpoint=1")
    return replace(procedural(*changes), crops=type(procedural().crops)(), system=system)


@pytest.mark.usefixtures("small_presets")
def test_a_run_resumes_with_its_teachers_and_leaves_weights_without(tmp_path: Path) -> None:
    hooks = Hooks(keep=partial(save, preset="ckd-s", half=False))
    whole = finished(Training(recipe("ckd-s"), tmp_path / "whole", hooks=hooks))
    steps = Training(recipe("ckd-s"), tmp_path / "parts", hooks=hooks).run()
    next(steps)
    steps.close()
    parts = finished(Training(recipe("ckd-s"), tmp_path / "parts", hooks=hooks))
    one, other = whole.system.state_dict(), parts.system.state_dict()
    assert one.keys() == other.keys()
    assert any(name.startswith("teachers.other.head") for name in one)
    assert all(torch.equal(one[name], other[name]) for name in one)
    tracking = load("ckd-s", tmp_path / "parts" / "last.safetensors", "depth")
    assert not any(name.startswith("teachers") for name in tracking.state_dict())
    assert all(torch.equal(each, parts.average.values[name]) for name, each in tracking.state_dict().items())
    second = from_published("ckd-s-mce", read_published(tmp_path / "parts" / "last.safetensors"), "depth", start=True)
    assert all(torch.equal(each, tracking.state_dict()[name]) for name, each in second.state_dict().items())


def kept_by(ckd: CKD, pairs: Batch) -> list[tuple[Tensor | None, ...]]:
    template = ckd.embed(pairs.template, Prompt())
    return [stage.kept for stage in ckd.stages(template, pairs.search)]


@torch.inference_mode()
def test_both_streams_keep_the_same_places_and_each_by_itself_others() -> None:
    together, apart = small(MCE).eval(), small(replace(MCE, judged_together=False)).eval()
    apart.load_state_dict(together.state_dict())
    pairs = batch(3)
    for ckd, same in ((together, True), (apart, False)):
        stages = kept_by(ckd, pairs)
        assert [stage[0] if stage[0] is None else stage[0].shape[1] for stage in stages] == [None, 45, 32, 32]
        rgb, other = stages[-1]
        assert rgb is not None
        assert other is not None
        assert torch.equal(rgb, other) is same
        assert set(rgb[0].tolist()) <= set(stages[1][0][0].tolist())  # type: ignore[index]


@torch.inference_mode()
def test_candidates_are_judged_by_the_maximum_of_both_senses() -> None:
    ckd, pairs = small(MCE).eval(), batch()
    template = ckd.embed(pairs.template, Prompt())
    before, after, *_ = ckd.stages(template, pairs.search)
    looks = []
    for branch, tokens in zip(ckd.branches.values(), before.tokens, strict=True):
        block = branch.blocks[1]
        query, key, _ = block.attn.project(block.norm1(tokens))  # type: ignore[union-attr, operator]
        looks.append(candidate_attention(query, key, 16, (5,)))
    assert after.kept[0] is not None
    joined = torch.maximum(*looks).mean(dim=(1, 2))
    assert torch.equal(after.kept[0], best_candidates(joined, 0.7))
    # Heads are joined after the senses: the maximum of the senses' means is another judge.
    assert not torch.equal(joined, torch.maximum(*(each.mean(dim=(1, 2)) for each in looks)))


@torch.inference_mode()
def test_maps_are_restored_to_their_places(monkeypatch: pytest.MonkeyPatch) -> None:
    ckd, pairs = small(MCE).eval(), batch()
    template = ckd.embed(pairs.template, Prompt())
    seen: list[Tensor] = []
    ckd.head.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    ckd(template, pairs.search)
    *_, last = ckd.stages(template, pairs.search)
    for features, tokens, kept, branch in zip(
        seen[0].chunk(2, dim=1), last.tokens, last.kept, ckd.branches.values(), strict=True
    ):
        assert kept is not None
        normed, places = branch.norm(tokens[:, 16:]), features.flatten(2).transpose(1, 2)
        for row in range(2):
            torch.testing.assert_close(places[row, kept[row]], normed[row], atol=1e-5, rtol=0)
            alive = places[row].abs().sum(dim=1).nonzero()[:, 0]
            assert torch.equal(alive, kept[row])


def test_teachers_keep_what_their_students_keep(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[tuple[Tensor, ...]]] = []

    def watched(self: Distillation, layers: list[tuple[Tensor, ...]]) -> dict[str, Tensor]:
        seen.append(layers)
        return original(self, layers)

    original = Distillation.parts
    monkeypatch.setattr(Distillation, "parts", watched)
    for together in (True, False):
        config = CKDConfig(ELIMINATING, judged_together=together, masked=0.0)
        ckd = small(config, equipped=True).eval()
        # Teachers are still their students' equals: with the same candidates they hold the same tokens.
        parts = ckd.objective(batch()).parts
        assert parts["content"].item() == pytest.approx(0, abs=1e-6)
        assert [layer[0].shape[1] - 16 for layer in seen[-1]] == [64, 45, 32, 32]
        for rgb, other, *teachers in seen[-1]:
            assert all(torch.equal(*pair) for pair in zip((rgb, other), teachers, strict=True))


def test_masks_zero_the_same_search_patches_of_both_students(monkeypatch: pytest.MonkeyPatch) -> None:
    mask = search_mask(torch.zeros(64, 256, 3), 0.25)
    assert mask.shape == (64, 256, 1)
    assert mask.mean().item() == pytest.approx(0.75, abs=0.02)
    assert not torch.equal(mask[0], mask[1])
    for apart in (False, True):
        ckd, pairs = small(CKDConfig(BRANCH, masked=0.5, masked_apart=apart)), batch()
        rgb, other = ckd._students(ckd.embed(pairs.template, Prompt()), pairs.search, masked=0.5)
        missing = [(each.search == each.transformer.search_positions).all(dim=2) for each in (rgb, other)]
        assert 0.2 < missing[0].float().mean() < 0.8
        assert torch.equal(*missing) is not apart


def test_nothing_is_masked_in_tracking() -> None:
    ckd, pairs = small().eval(), batch()
    duo = Duo(Modality.DEPTH, replace(MCE, branch=BRANCH)).eval()
    duo.load_state_dict(ckd.state_dict())
    with torch.inference_mode():
        ours, plain = (each(each.embed(pairs.template, Prompt()), pairs.search) for each in (ckd, duo))
    torch.testing.assert_close(ours.score, plain.score, atol=1e-6, rtol=0)


@pytest.mark.parametrize("config", [MCE, replace(MCE, judged_together=False), CKDConfig(BRANCH, shared=True)])
@torch.inference_mode()
def test_many_targets_are_found_as_one_by_one(config: CKDConfig) -> None:
    ckd, pairs = small(config).eval(), batch(3)
    whole = ckd(ckd.embed(pairs.template, Prompt()), pairs.search)
    for row in range(3):
        template = ckd.embed({sense: view[row : row + 1] for sense, view in pairs.template.items()}, Prompt())
        one = ckd(template, {sense: view[row : row + 1] for sense, view in pairs.search.items()})
        torch.testing.assert_close(one.score[0], whole.score[row], atol=1e-5, rtol=0)


def test_students_may_share_their_weights() -> None:
    ckd = small(CKDConfig(BRANCH, shared=True), equipped=True).train()
    assert not any(name.startswith("other") for name in ckd.state_dict())
    assert ckd.taught_by.keys() == {"rgb", "other"}
    ckd.objective(batch()).total.backward()
    members = [parameter for group in ckd.trainable() for parameter in group.parameters]
    assert len(members) == len({id(parameter) for parameter in members}) == len(list(ckd.parameters()))
    doubled = {ckd.layout.original(name): tensor for name, tensor in small().state_dict().items()}
    assert ckd.layout.apply(ckd, doubled).keys() == small(CKDConfig(BRANCH, shared=True)).state_dict().keys()


@pytest.mark.parametrize(
    ("distilled", "parts"),
    [({"style": 0}, set()), ({"style": 0, "features": 0.01}, {"features"}), ({"style": 0.01}, {"style"})],
)
def test_the_papers_other_ways_need_no_teacher(distilled: dict[str, float], parts: set[str]) -> None:
    torch.manual_seed(0)
    ckd = build("ckd-tiny", Modality.DEPTH, {"masked": 0, "distillation": {"content": 0, **distilled}})
    ckd.equip()
    assert set(ckd.train().objective(batch()).parts) == {"focal", "giou", "place", "size"} | parts


@torch.inference_mode()
def test_without_style_the_head_reads_content_alone() -> None:
    ckd, pairs = small(CKDConfig(BRANCH, content_only=True)).eval(), batch()
    seen: list[Tensor] = []
    ckd.head.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    ckd(ckd.embed(pairs.template, Prompt()), pairs.search)
    torch.testing.assert_close(seen[0].mean(dim=(2, 3)), torch.zeros(2, 64), atol=1e-5, rtol=0)
    torch.testing.assert_close(seen[0].var(dim=(2, 3), correction=0), torch.ones(2, 64), atol=1e-3, rtol=0)


def test_training_without_teachers_is_refused() -> None:
    with pytest.raises(RuntimeError, match=r"call equip\(\)"):
        small().objective(batch())
    with pytest.raises(ValueError, match="place by place"):
        CKDConfig(ELIMINATING, judged_together=False, distillation=Distillation(features=1.0))


def test_costs_are_the_published_ones() -> None:
    from tectum.weights.cost import cost

    plain, pruned = cost("ckd-b256"), cost("ckd-b256-mce")
    assert plain.joint.layers / 1e9 == pytest.approx(57.802, rel=0.01)
    assert pruned.joint.layers / 1e9 == pytest.approx(42.735, rel=0.01)
    assert plain.joint.total / 1e9 == pytest.approx(61.526, rel=0.002)
    assert pruned.joint.total / 1e9 == pytest.approx(44.982, rel=0.002)
    assert plain.parameters == 183_871_365 - 2 * 198 * 768  # as published, less the unused class tokens and positions
    assert (plain.trainable, pruned.parameters) == (plain.parameters, plain.parameters)
