"""Modality-sensitive tuning: its formulas, its ranks, and that it survives whatever a run may be."""

from __future__ import annotations

import copy
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tectum.errors import RecipeError
from tectum.frames import Modality
from tectum.networks.vit import ViTConfig
from tectum.systems.base import System
from tectum.systems.ostrack import OSTrackConfig
from tectum.systems.sdstrack import SDSTrack, SDSTrackConfig
from tectum.systems.vipt import ViPT, ViPTConfig
from tectum.training.loop import Hooks, Training
from tectum.training.optim import build_optimiser, choose_rates, freeze
from tectum.training.parameters import parameter_table
from tectum.training.recipe import Optim, Recipe, Tuning
from tectum.training.recipe_file import read_recipe
from tectum.training.sensitivity import coefficients, counted, magnitudes, tune, tune_sparsely
from tests.trainings import (
    STEADY,
    assert_alike,
    finished,
    headstrong,
    in_two_processes,
    moved,
    tiny,
    transform,
    transformed,
)

TUNED = ("optim.tuning.kind=update", "optim.tuning.low=0.5", "optim.tuning.high=0.9")
SPARSE = ("optim.tuning.kind=sparse", "optim.tuning.share=0.3")

Kind = Literal["update", "weight"]
Optimiser = Callable[[list[nn.Parameter]], torch.optim.Optimizer]


def descended(optimiser: torch.optim.Optimizer, weights: list[nn.Parameter], rates: list[float]) -> list[float]:
    """Where steps on a quadratic lead, whose curvatures are 1, 2 …"""
    for rate in rates:
        optimiser.param_groups[0]["lr"] = rate
        optimiser.zero_grad()
        torch.stack([(number + 1) * weight**2 / 2 for number, weight in enumerate(weights)]).sum().backward()
        optimiser.step()
    return [weight.item() for weight in weights]


def matrix(kind: Kind, curvature: float, rate: float, coefficient: float) -> np.ndarray:
    """What a step does to a weight and to the direction it moves in."""
    new = (1 - coefficient) * curvature
    if kind == "weight":
        return np.array([[1 - rate * new, 0], [0, 0]])
    return np.array([[1 - rate * new, -rate * coefficient], [new, coefficient]])


@pytest.mark.parametrize("kind", ["update", "weight"])
@pytest.mark.parametrize(("low", "high"), [(0.8, 0.85), (0.5, 0.5), (0.0, 0.9)])
def test_a_quadratic_is_descended_in_closed_form(kind: Kind, low: float, high: float) -> None:
    weights = [nn.Parameter(torch.tensor(1.0, dtype=torch.float64)) for _ in range(2)]
    optimiser = torch.optim.SGD(weights, lr=1.0)
    tune(optimiser, low, high, kind)
    found = descended(optimiser, weights, [0.1] * 3 + [0.05] * 3)
    for curvature, coefficient, weight in zip((1, 2), (low, high), found, strict=True):
        early, late = (np.linalg.matrix_power(matrix(kind, curvature, rate, coefficient), 3) for rate in (0.1, 0.05))
        assert weight == pytest.approx((late @ early @ [1.0, 0.0])[0], rel=1e-6)


def test_directions_are_kept_through_steps_without_a_gradient_or_a_rate() -> None:
    always, sometimes = (nn.Parameter(torch.tensor(0.0, dtype=torch.float64)) for _ in range(2))
    optimiser = torch.optim.SGD([always, sometimes], lr=1.0)
    tune(optimiser, 0.5, 0.5, "update")
    place = direction = 0.0
    for rate, both in ((1.0, True), (1.0, True), (0.1, False), (0.0, True), (0.1, True)):
        optimiser.param_groups[0]["lr"] = rate
        optimiser.zero_grad()
        (always + sometimes if both else always).backward()
        optimiser.step()
        if both and rate:
            direction = 0.5 * direction + 0.5
            place -= rate * direction
    assert sometimes.item() == pytest.approx(place)


def test_steps_below_a_weights_last_bits_add_up() -> None:
    weight = nn.Parameter(torch.full((100,), 1.5))
    optimiser = torch.optim.SGD([weight], lr=2**-22)
    tune(optimiser, 0.8, 0.8, "update")
    for _ in range(200):
        weight.grad = torch.ones(100)
        optimiser.step()
    assert 1.5 - weight.mean().item() == pytest.approx(200 * 2**-22, rel=0.05)


OPTIMISERS: dict[str, Optimiser] = {
    "adamw": lambda weights: torch.optim.AdamW(weights, lr=1e-2),
    "sgd": lambda weights: torch.optim.SGD(weights, lr=1e-2, momentum=0.9, nesterov=True),
    "rmsprop": lambda weights: torch.optim.RMSprop(weights, lr=1e-2),
}


def trained(build: Optimiser, *tuning: object, share: float | None = None) -> list[Tensor]:
    """The weights of a small network after some steps; one of its weights has no part in the loss."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 1))
    idle = nn.Parameter(torch.ones(3))
    optimiser = build([*network.parameters(), idle])
    if tuning:
        tune(optimiser, *tuning)  # type: ignore[arg-type]
    if share is not None:
        tune_sparsely(optimiser, share)
    for _ in range(5):
        optimiser.zero_grad()
        (network(torch.randn(16, 5)) - 1).square().mean().backward()
        optimiser.step()
    return [weight.detach().clone() for weight in (*network.parameters(), idle)]


@pytest.mark.parametrize("name", OPTIMISERS)
@pytest.mark.parametrize("kind", ["update", "weight"])
def test_without_coefficients_it_is_the_optimiser_bit_for_bit(name: str, kind: Kind) -> None:
    plain, none, some = (trained(OPTIMISERS[name], *tuning) for tuning in ((), (0.0, 0.0, kind), (0.8, 0.85, kind)))
    assert all(torch.equal(one, other) for one, other in zip(plain, none, strict=True))
    assert not any(torch.equal(one, other) for one, other in zip(plain[:-1], some[:-1], strict=True))
    assert torch.equal(plain[-1], some[-1])


@pytest.mark.parametrize(("share", "moves"), [(0.0, 0), (0.25, 1), (0.5, 2), (0.7, 3), (1.0, 4)])
def test_only_the_most_sensitive_descend_a_quadratic_and_for_good(share: float, moves: int) -> None:
    weights = [nn.Parameter(torch.tensor(1.0, dtype=torch.float64)) for _ in range(4)]
    optimiser = torch.optim.SGD(weights, lr=1.0)
    tune_sparsely(optimiser, share)
    # What moves soon has smaller gradients than what stays.
    found = descended(optimiser, weights, [0.2] * 5)
    for curvature, weight in enumerate(found, 1):
        assert weight == (pytest.approx((1 - 0.2 * curvature) ** 5) if curvature > 4 - moves else 1.0)


@pytest.mark.parametrize("name", OPTIMISERS)
def test_all_that_may_move_moves_as_by_the_optimiser_bit_for_bit(name: str) -> None:
    plain, whole, some, none, start = (
        trained(build, share=share)
        for build, share in (
            *((OPTIMISERS[name], share) for share in (None, 1.0, 0.4, 0.0)),
            (lambda weights: torch.optim.SGD(weights, lr=0.0), None),
        )
    )
    assert all(torch.equal(one, other) for one, other in zip(plain, whole, strict=True))
    assert all(torch.equal(one, other) for one, other in zip(start, none, strict=True))
    moving = [one != other for one, other in zip(start[:-1], some[:-1], strict=True)]
    assert sum(int(each.sum()) for each in moving) == round(0.4 * sum(each.numel() for each in moving))


def test_a_weight_that_gets_its_first_gradient_late_is_ranked_then() -> None:
    early, late = nn.Parameter(torch.ones(4)), nn.Parameter(torch.ones(4))
    optimiser = torch.optim.SGD([early, late], lr=0.1)
    tune_sparsely(optimiser, 0.5)
    for both in (False, True, True):
        optimiser.zero_grad()
        strength = torch.arange(1.0, 5.0)
        ((early + late if both else early) * strength).sum().backward()
        optimiser.step()
    assert (early != 1).tolist() == (late != 1).tolist() == [False, False, True, True]


def test_what_stands_behind_zeros_is_ranked_when_it_has_gradients() -> None:
    adapter = nn.Sequential(nn.Linear(4, 8, bias=False), nn.Linear(8, 4, bias=False))
    nn.init.zeros_(adapter[1].weight)
    start = adapter[0].weight.detach().clone()
    optimiser = torch.optim.AdamW(adapter.parameters(), lr=0.1)
    tune_sparsely(optimiser, 0.5)
    for step in range(3):
        optimiser.zero_grad()
        adapter(torch.ones(1, 4)).sum().backward()
        optimiser.step()
        assert (adapter[0].weight != start).sum() == (0 if step == 0 else 16)


@pytest.mark.parametrize(("share", "moves"), [(0.0, 0), (0.25, 25), (0.6, 60), (0.9, 90), (1.0, 100)])
def test_lot_decides_among_gradients_that_are_alike(share: float, moves: int) -> None:
    weight = nn.Parameter(torch.ones(100, 100))
    optimiser = torch.optim.SGD([weight], lr=0.1)
    tune_sparsely(optimiser, share)
    weight.grad = (torch.arange(100) < 20).float().repeat(100, 1)
    optimiser.step()
    chosen = (optimiser.state[weight]["fixed"] == 0).sum().item()
    assert chosen == pytest.approx(100 * moves, abs=150 if 0 < share < 1 else 0)
    assert (weight != 1).sum() == min(chosen, 2000)
    kept = weight.detach().clone()
    weight.grad = torch.full((100, 100), torch.nan)
    optimiser.step()
    assert weight.isfinite().sum() == 10_000 - chosen
    assert torch.equal(weight[weight.isfinite()], kept[weight.isfinite()])


def ranked(gradients: list[Tensor], low: float, high: float, sample: int) -> tuple[Tensor, Tensor]:
    """Coefficients as they are looked up, and by a sort."""
    table = coefficients(counted(gradients, sample), low, high)
    row = torch.cat([gradient.flatten() for gradient in gradients])
    exact = torch.empty_like(row)
    exact[row.abs().argsort()] = torch.linspace(low, high, len(row))
    return table[magnitudes(row.clone())], exact


@pytest.mark.parametrize(("sample", "most"), [(2**22, 0.004), (2**13, 0.03)])
def test_ranks_are_those_of_a_sort_but_for_little(sample: int, most: float) -> None:
    generator = torch.Generator().manual_seed(1)
    sizes = [(300, 400), (400,), (30, 7, 8, 3), (1,), (50, 1000)]
    gradients = [torch.randn(size, generator=generator) * 10.0**-power for power, size in enumerate(sizes)]
    found, exact = ranked(gradients, 0.2, 0.7, sample)
    assert (found - exact).abs().max() < 0.5 * most
    assert found.min() >= 0.2
    assert found.max() <= 0.7


def test_ranks_hold_where_every_channel_has_a_size_of_its_own() -> None:
    generator = torch.Generator().manual_seed(1)
    scales = torch.randn(768, generator=generator).exp()
    gradients = [torch.randn(768, 768, generator=generator) * scales]
    # One in 48 is read, so that a period of 48 runs would always meet the same columns.
    found, exact = ranked(gradients, 0.0, 1.0, 768 * 768 // 48)
    assert (found - exact).abs().max() < 0.03


def test_the_least_and_the_most_sensitive_have_the_ends_of_the_range() -> None:
    gradients = [torch.tensor([0.0, -4.0, 2.0]), torch.tensor([[-1e-20], [float("inf")]])]
    found, exact = ranked(gradients, 0.8, 0.85, 100)
    torch.testing.assert_close(found, exact)
    torch.testing.assert_close(found, torch.tensor([0.8, 0.8375, 0.825, 0.8125, 0.85]))
    alike, _ = ranked([torch.ones(5)], 0.8, 0.9, 100)
    torch.testing.assert_close(alike, torch.full((5,), 0.85))


def test_a_tuned_run_resumes_bit_for_bit(tmp_path: Path) -> None:
    recipe = transformed(*TUNED)
    whole = finished(Training(recipe, tmp_path / "whole", hooks=STEADY))
    steps = Training(recipe, tmp_path / "parts", hooks=STEADY).run()
    next(steps)
    next(steps)
    steps.close()
    second = finished(Training(recipe, tmp_path / "parts", hooks=STEADY))
    for one, other in zip(whole.system.parameters(), second.system.parameters(), strict=True):
        assert torch.equal(one, other)
    kept = whole.optimiser.state_dict()["state"]
    assert all(moments["carried"].any() for moments in kept.values())


def fixed(state: dict[str, Any], start: System, weights: dict[str, Tensor]) -> Tensor:
    """Which numbers an optimiser keeps in their places, of which it makes sure."""
    masks = [moments["fixed"].flatten() for _, moments in sorted(state["state"].items())]
    # The optimiser's order is that of the system's groups, not that of its parts.
    names = {id(weight): name for name, weight in start.named_parameters()}
    groups = [weight for group in start.trainable() for weight in group.parameters]
    moving = [(weights[names[id(weight)]] != weight).flatten() for weight in groups]
    assert torch.equal(torch.cat(moving), torch.cat(masks) == 0)
    return torch.cat(masks)


def test_a_sparse_run_keeps_its_choice_when_it_resumes(tmp_path: Path) -> None:
    recipe = transformed(*SPARSE)
    whole = finished(Training(recipe, tmp_path / "whole", hooks=STEADY))
    steps = Training(recipe, tmp_path / "parts", hooks=STEADY).run()
    next(steps)
    steps.close()
    second = finished(Training(recipe, tmp_path / "parts", hooks=STEADY))
    assert not moved(whole.system.state_dict(), second.system.state_dict())
    chosen = fixed(second.optimiser.state_dict(), tiny(recipe, drop_path=0.0), second.system.state_dict())
    assert chosen.mean().item() == pytest.approx(0.7, abs=0.005)


def test_passes_of_parts_tune_as_the_whole_batch_does(tmp_path: Path) -> None:
    whole = transform(tmp_path / "whole", *TUNED)
    assert_alike(whole, transform(tmp_path / "parts", *TUNED, "batch.micro=4"))
    assert moved(whole, transform(tmp_path / "plain"))


def test_what_is_frozen_stays_where_it_is_in_half_precision_too(tmp_path: Path) -> None:
    recipe = transformed(*TUNED, "precision=bf16", "schedule.samples=16")
    training = finished(Training(recipe, tmp_path, hooks=Hooks(build=headstrong)))
    assert moved(tiny(recipe).state_dict(), training.system.state_dict()) == {"head"}


def shared_out(folder: Path) -> None:
    """What each of two processes that train together does."""
    for strategy in ("ddp", "fsdp"):
        transform(folder / strategy, *TUNED, f"strategy={strategy}")
        transform(folder / f"sparse-{strategy}", *SPARSE, f"strategy={strategy}")


def test_two_processes_tune_as_one(tmp_path: Path) -> None:
    in_two_processes(
        f"from tests.test_sensitivity import shared_out; shared_out(Path({str(tmp_path)!r}))", patience=300
    )
    alone = transform(tmp_path / "alone", *TUNED)
    for strategy in ("ddp", "fsdp"):
        kept = torch.load(tmp_path / strategy / "checkpoint.pt", weights_only=True)
        assert_alike(alone, kept["system"])
        assert kept["optimiser"]["state"][0]["carried"].any()
    chosen = []
    for strategy in ("ddp", "fsdp"):
        kept = torch.load(tmp_path / f"sparse-{strategy}" / "checkpoint.pt", weights_only=True)
        chosen.append(fixed(kept["optimiser"], tiny(transformed(), drop_path=0.0), kept["system"]))
        assert chosen[-1].mean().item() == pytest.approx(0.7, abs=0.005)
    # Sums in another order may turn what stands at the very edge.
    assert (chosen[0] != chosen[1]).float().mean() < 0.002


FOUNDATION = OSTrackConfig(ViTConfig(32, 64, width=16, depth=2, heads=2, drop_path=0.0), head=16)


def prompted(recipe: Recipe) -> System:
    torch.manual_seed(recipe.seed)
    return ViPT(Modality.THERMAL, ViPTConfig(FOUNDATION))


def adapted(recipe: Recipe) -> System:
    torch.manual_seed(recipe.seed)
    return SDSTrack(Modality.THERMAL, SDSTrackConfig(FOUNDATION, fused_after=(1,)))


@pytest.mark.parametrize(("build", "added"), [(prompted, "prompter"), (adapted, "adaptation")])
def test_the_backbones_of_others_thaw_and_tune_by_a_recipe(
    build: Callable[[Recipe], System], added: str, tmp_path: Path
) -> None:
    recipe = transformed(*TUNED, "optim.rates.backbone=0.5", "schedule.samples=16")
    training = finished(Training(recipe, tmp_path, hooks=Hooks(build=build)))
    assert moved(build(recipe).state_dict(), training.system.state_dict()) == {"backbone", added}
    assert [group["rate"] for group in training.optimiser.param_groups] == [0.5, 1.0]
    state = training.optimiser.state_dict()["state"]
    assert sum("carried" in moments for moments in state.values()) == len(state) > 0


def test_parts_train_with_the_rates_that_a_recipe_chooses() -> None:
    vipt = prompted(Recipe())
    choose_rates(vipt, {"backbone": 0.1, "backbone.blocks.1": 0, "head": 1})
    copied = copy.deepcopy(vipt)
    del vipt
    freeze(copied)
    table = {row.name: row for row in parameter_table(copied)}
    assert table["backbone"].rates == (0.1,)
    assert table["prompter"].rates == table["head"].rates == (1.0,)
    assert table["backbone"].frozen == sum(each.numel() for each in copied.backbone.blocks[1].parameters())
    assert all(each.training for each in copied.train().head.modules())
    frozen = prompted(Recipe())
    assert not any(each.training for each in frozen.train().head.modules() if isinstance(each, nn.BatchNorm2d))
    with pytest.raises(RecipeError, match=r"no part 'back' .* backbone, prompter, head"):
        choose_rates(frozen, {"back": 1.0})


def test_a_step_that_a_scaler_leaves_out_moves_nothing() -> None:
    weight = nn.Parameter(torch.ones(4))
    optimiser, scaler = torch.optim.AdamW([weight], lr=0.1, fused=True), torch.amp.GradScaler("cpu", init_scale=16.0)
    tune(optimiser, kind="update")
    places = []
    for size in (1.0, 1.0, float("inf"), 1.0):
        optimiser.zero_grad()
        scaler.scale((weight * size * torch.arange(1.0, 5.0)).sum()).backward()
        scaler.step(optimiser)
        scaler.update()
        places.append(weight.detach().clone())
    assert [torch.equal(*pair) for pair in pairwise(places)] == [False, True, False]


def test_optimisers_that_cannot_be_tuned_are_refused() -> None:
    weight, half = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2, dtype=torch.bfloat16))
    with pytest.raises(RecipeError, match="LBFGS builds on the steps"):
        tune(torch.optim.LBFGS([weight]))
    with pytest.raises(RecipeError, match="keep weights in float32"):
        tune_sparsely(torch.optim.SGD([half], lr=0.1), 0.5)
    for wrong in ((0.9, 0.2, "weight"), (0.8, 1.0, "weight"), (0.8, 0.85, "weights")):
        with pytest.raises(RecipeError, match="choose update or weight"):
            tune(torch.optim.SGD([weight], lr=0.1), *wrong)  # type: ignore[arg-type]
    embedding = nn.Embedding(5, 3, sparse=True)
    optimiser = torch.optim.SGD(embedding.parameters(), lr=0.1)
    tune(optimiser)
    embedding(torch.tensor([1])).sum().backward()
    with pytest.raises(RecipeError, match="sparse=False"):
        optimiser.step()


def test_plain_recipes_build_a_plain_optimiser() -> None:
    tunings = ((Tuning(), False), (Tuning("weight"), True), (Tuning("update"), True), (Tuning("sparse"), True))
    for tuning, hooked in tunings:
        optimiser = build_optimiser(tiny(Recipe()), Optim(tuning=tuning))
        assert bool(optimiser._optimizer_step_post_hooks) is hooked


def test_parts_of_parts_have_rates_and_sparse_tuning_needs_no_range() -> None:
    recipe = read_recipe("vipt-tiny", ["optim.rates.backbone.blocks=0.5", "optim.rates.head=0"])
    assert recipe.optim.rates == {"backbone.blocks": 0.5, "head": 0.0}
    read_recipe("mst-tiny", ["optim.tuning.kind=sparse", "optim.tuning.low=0.9"])


@pytest.mark.parametrize(
    ("setting", "fault"),
    [
        ("optim.tuning.high=1", r"optim\.tuning\.high is 1\.0: it must be at least 0 and below 1"),
        ("optim.tuning.low=0.9", r"optim\.tuning goes from 0\.9 down to 0\.85: it must rise"),
        ("optim.tuning.kind=all", r"optim\.tuning\.kind .*all"),
        ("optim.tuning.share=1.5", r"optim\.tuning\.share is 1\.5: it is a share"),
        ("optim.rates.head=-1", r"optim\.rates\.head is -1\.0: it must not be negative"),
    ],
)
def test_settings_that_make_no_sense_are_named(setting: str, fault: str) -> None:
    with pytest.raises(RecipeError, match=rf"'{setting}' on the command line: {fault}"):
        read_recipe("mst-tiny", [setting])
