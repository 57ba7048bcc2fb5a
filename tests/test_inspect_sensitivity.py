"""`tectum inspect sensitivity`: squared gradients of the training loss, where they lie, and how evenly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from matplotlib.colors import LogNorm
from torch import Tensor, nn
from typer.testing import CliRunner, Result

from tectum.cli.main import app
from tectum.errors import RecipeError
from tectum.frames import Modality, Prompt
from tectum.inspection.balance import SHARES, Balance, Spread
from tectum.inspection.sensitivity import (
    GRID,
    Reading,
    Sensitivity,
    Tuned,
    blocks_of,
    compare,
    reduced,
    sensitivities,
)
from tectum.inspection.sensitivity_sheets import colour_limits, lines, map_sheet
from tectum.networks.vit import ViTConfig
from tectum.systems.base import Batch, CenterMaps, Crops, Group, Losses, System, Template, Views
from tectum.systems.catalogue import build
from tectum.systems.mst import MST, MSTConfig
from tectum.systems.options import Preset
from tectum.systems.ostrack import OSTrackConfig
from tectum.weights import save
from tests.trainings import WORLD

SMALL = MSTConfig(OSTrackConfig(ViTConfig(32, 64, width=16, depth=2, heads=2), head=16), crossed_after=(1,))


class Linear(System):
    """Its loss is `weight · x + frozen x₀ + noise`, where `x` are the boxes, of which there is one."""

    seen: Tensor

    def __init__(self) -> None:
        super().__init__([Modality.RGB], Crops())
        self.weight, self.frozen = nn.Parameter(torch.ones(4)), nn.Parameter(torch.ones(()), requires_grad=False)
        self.register_buffer("seen", torch.zeros(()))
        self.noise: list[float] = []

    @classmethod
    def presets(cls) -> Mapping[str, Preset]:
        return {}

    def embed(self, template: Views, prompt: Prompt) -> Template:
        return {}

    def forward(self, template: Template, search: Views) -> CenterMaps:
        raise NotImplementedError

    def objective(self, batch: Batch) -> Losses:
        assert self.training
        self.seen += 1
        noise = torch.rand(())
        self.noise.append(float(noise))
        return Losses({"l1": (self.weight * batch.boxes[0]).sum() + self.frozen * batch.boxes[0, 0] + noise})

    def trainable(self) -> tuple[Group, ...]:
        return (Group((self.weight,)),)


def boxes(*rows: list[float]) -> list[Batch]:
    return [Batch({}, {}, torch.tensor([row])) for row in rows]


def pairs(count: int) -> list[Batch]:
    """Batches of two pairs of noise for a small MST."""
    generator = torch.Generator().manual_seed(1)
    sides = {sense: torch.randn(2 * count, 3, 64, 64, generator=generator) for sense in ("rgb", "thermal")}
    views = {Modality(sense): image.chunk(count) for sense, image in sides.items()}
    found = torch.tensor([[0.3, 0.4, 0.2, 0.1]]).repeat(2, 1)
    return [
        Batch(
            {sense: images[place][..., :32, :32] for sense, images in views.items()},
            {sense: images[place] for sense, images in views.items()},
            found,
        )
        for place in range(count)
    ]


@pytest.fixture(scope="module")
def mst() -> Sensitivity:
    torch.manual_seed(0)
    before, after = (MST(Modality.THERMAL, SMALL) for _ in range(2))
    return compare(before, ("a small MST", "random weights"), pairs(2), Tuned("others", after.state_dict()))


def test_it_is_the_mean_of_squared_gradients_and_leaves_the_system_as_it_was() -> None:
    system = Linear().eval()
    state = torch.random.get_rng_state()
    batches = boxes([1, 2, 0, -1], [3, 0, 0, 1])
    found = sensitivities(system, {"weight", "frozen"}, batches)
    assert found["weight"].tolist() == [5, 2, 0, 1]
    assert found["frozen"] == 5
    assert not system.training
    assert not system.frozen.requires_grad
    assert system.weight.grad is None
    assert system.seen == 0
    assert torch.equal(state, torch.random.get_rng_state())
    sensitivities(system, {"weight"}, batches)
    assert system.noise[:2] == system.noise[2:]
    assert system.noise[0] != system.noise[1]


def test_a_loss_that_is_no_number_is_refused() -> None:
    with pytest.raises(RecipeError, match="loss of batch 2 is no number"):
        sensitivities(Linear(), {"weight"}, boxes([1, 1, 1, 1], [float("nan"), 1, 1, 1]))


def test_balance_is_told_from_even_to_all_in_one() -> None:
    even, one = (Balance.of(Spread.of(values)) for values in (np.full(1000, 3.0), np.eye(1, 1000)))
    assert (even.mean, even.top, even.gini) == pytest.approx((3, 0.01, 0))
    assert (one.top, one.gini) == pytest.approx((1, 0.999))
    # Of 0, 1, ..., 99 the first holds 99 of 4950, and the Gini coefficient is (n + 1) / 3n about 1/3.
    rising = Balance.of(Spread.of(np.arange(100)))
    assert (rising.top, rising.gini) == pytest.approx((99 / 4950, 101 / 300))
    assert rising.held[-1] == 1
    assert np.isnan(Balance.of(Spread.of(np.zeros(5))).gini)
    # A squared normal number is one of chi-square with one degree, the Gini coefficient of which is 2/π.
    assert Balance.by_chance(1).gini == pytest.approx(2 / np.pi, abs=0.005)
    assert Balance.by_chance(1000).top < 0.0115


def test_balance_is_that_of_a_sort_but_for_little() -> None:
    parts = [np.random.default_rng(seed).gamma(0.3, size=(300, 1000)).astype(np.float32) for seed in range(3)]
    found = Balance.of(Spread.all(map(Spread.of, parts)))
    held = np.sort(np.concatenate(parts).astype(np.float64), axis=None)[::-1].cumsum()
    held /= held[-1]
    assert found.count == len(held)
    assert found.mean == pytest.approx(np.mean(parts, dtype=np.float64), rel=1e-6)
    assert found.top == pytest.approx(held[len(held) // 100 - 1], abs=1e-5)
    assert found.gini == pytest.approx((2 * held.sum() - 1) / len(held) - 1, abs=1e-5)
    np.testing.assert_allclose(found.held, held[np.ceil(SHARES * len(held)).astype(int) - 1], atol=1e-5)


def test_maps_are_means_of_parts_of_a_matrix() -> None:
    matrix = np.arange(4.0 * GRID * GRID, dtype=np.float32).reshape(2 * GRID, 2 * GRID)
    wanted = matrix.reshape(GRID, 2, GRID, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(reduced(matrix), wanted)
    assert reduced(np.ones((4, 2, 3, 3), np.float32)).shape == (GRID, GRID)


@pytest.mark.parametrize(
    ("preset", "stacks"),
    [
        ("nano", {""}),
        ("mst-tiny", {"rgb.blocks", "other.blocks", "cross", ""}),
        ("vipt-tiny", {"backbone.blocks", "prompter.blocks", "prompter.norms", ""}),
    ],
)
def test_every_parameter_is_in_one_block(preset: str, stacks: set[str]) -> None:
    with torch.device("meta"):
        system = build(preset)
    blocks = blocks_of(system)
    assert {block.stack for block in blocks} == stacks
    named = [name for block in blocks for name in block.parameters.values()]
    assert sorted(named) == sorted(name for name, _ in system.named_parameters())
    assert len({block.name for block in blocks}) == len(blocks)


def test_what_a_recipe_freezes_is_seen_but_not_counted(mst: Sensitivity) -> None:
    frozen = [block.name for block in mst.blocks if not mst.trains(block)]
    assert frozen == ["head"]
    assert mst.balances["head"][0].mean > 0
    assert not any(name.startswith("head.") for names in mst.scopes.values() for name in names)
    assert any(line.startswith("head (frozen)") for line in lines(mst))
    assert mst.overall["blocks that train"][0].count == 5 * (12 * 16**2 + 13 * 16)
    assert (mst.pairs, mst.batches) == (4, 2)


def test_before_and_after_are_drawn_in_the_same_colours(mst: Sensitivity) -> None:
    figure = map_sheet(mst, "cross")
    norms = [image.norm for axes in figure.axes for image in axes.get_images()]
    limits = colour_limits(mst)
    assert len(norms) == 2 * 4  # the matrices of the one block, twice
    assert all(isinstance(norm, LogNorm) and (norm.vmin, norm.vmax) == limits for norm in norms)
    labels = [axes.get_ylabel() for axes in figure.axes if axes.get_images()]
    assert labels[:2] == ["before\nattn.qkv", "after\nattn.qkv"]


def test_a_spread_that_becomes_even_is_more_balanced(mst: Sensitivity) -> None:
    before = mst.readings[0]
    even = Reading("after", "even ones", {name: np.ones_like(values) for name, values in before.values.items()})
    verdict, span = lines(replace(mst, readings=(before, even)))[-2:]
    assert verdict.startswith("More balanced")
    assert verdict.endswith(" % of the sensitivity before, 1.0 % after.")
    assert span.endswith("before, 1 times after.")
    same = replace(before, name="after")
    assert lines(replace(mst, readings=(before, same)))[-2].startswith("About as balanced")
    turned = (replace(even, name="before"), replace(before, name="after"))
    assert lines(replace(mst, readings=turned))[-2].startswith("Less balanced")


def test_stored_maps_are_absolute(mst: Sensitivity) -> None:
    held = np.load(BytesIO(mst.arrays()))
    name = "other.blocks.0.mlp.fc1.weight"
    assert held[f"after_map_{name}"].mean() == pytest.approx(mst.readings[1].values[name].mean(), rel=1e-4)
    place = held["blocks"].tolist().index("cross.1")
    assert held["after_top"][place] == mst.balances["cross.1"][1].top
    assert held["trained"].tolist() == [True] * 7 + [False]


def test_the_same_weights_have_the_same_sensitivity() -> None:
    torch.manual_seed(0)
    system = MST(Modality.THERMAL, SMALL)
    state: dict[str, Tensor] = {name: tensor.clone() for name, tensor in system.state_dict().items()}
    found = compare(system, ("a small MST", "random weights"), pairs(1), Tuned("the same", state))
    before, after = (reading.values for reading in found.readings)
    assert all(np.array_equal(before[name], after[name]) for name in before)


VIT = ("width=16", "depth=2", "heads=2", "stem=[]", "template_size=32", "search_size=64")
SETTINGS = [*WORLD, *(f"options.vit.{setting}" for setting in VIT), "options.head=16", "batch.group=2"]


def inspect_sensitivity(settings: list[str], *words: object) -> Result:
    return CliRunner().invoke(app, ["inspect", "sensitivity", "ostrack-tiny", *settings, *map(str, words)])


def test_the_command_draws_what_tuning_changed(tmp_path: Path) -> None:
    torch.manual_seed(3)
    vit = {"width": 16, "depth": 2, "heads": 2, "stem": [], "template_size": 32, "search_size": 64}
    options = {"vit": vit, "head": 16}
    system = build("ostrack-tiny", options=options)
    save(system, tmp_path / "run" / "last.safetensors", "ostrack-tiny", options=options)
    # The weights remember a part of the options that the command does not say.
    told = [setting for setting in SETTINGS if setting != "options.head=16"]
    result = inspect_sensitivity(told, "--pairs", 3, "--weights", tmp_path / "run", "--out", tmp_path / "seen")
    assert result.exit_code == 0, result.output
    assert "the most sensitive 1 % of the parameters in blocks that train hold" in result.stdout
    files = {path.name for path in (tmp_path / "seen").iterdir()}
    assert files == {"sensitivity_backbone.blocks.png", "balance.png", "sensitivity.npz"}
    for name in files - {"sensitivity.npz"}:
        image = cv2.imread(str(tmp_path / "seen" / name))
        assert image is not None
        assert image.std() > 10
    held = np.load(tmp_path / "seen" / "sensitivity.npz")
    assert held["pairs"] == 4  # whole groups
    assert held["blocks"].tolist() == ["backbone.blocks.0", "backbone.blocks.1", "backbone", "head"]
    key = "map_backbone.blocks.1.mlp.fc1.weight"
    assert held[f"before_{key}"].shape == (GRID, GRID)
    assert not np.array_equal(held[f"before_{key}"], held[f"after_{key}"])
    assert held["before_all_that_trains_held"][-1] == pytest.approx(1)
    chance = held["by_chance_held"][held["shares"].searchsorted(0.01 - 1e-9)]
    assert (held["after_top"] > chance).all()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--weights", "gone.safetensors"), "gone.safetensors"),
        (("--device", "toaster"), "no device 'toaster'"),
        (("optim.rates.tail=1",), "no part 'tail'"),
    ],
)
def test_what_cannot_be_is_one_sentence(tmp_path: Path, words: tuple[object, ...], says: str) -> None:
    result = inspect_sensitivity(SETTINGS, "--out", tmp_path / "seen", *words)
    assert result.exit_code == 2
    assert says in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "seen").exists()
