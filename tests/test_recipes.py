"""Recipes state everything, and whatever is wrong in one is named with its line."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tectum.errors import RecipeError
from tectum.frames import Modality
from tectum.systems.base import Crops
from tectum.systems.catalogue import build
from tectum.training.expectation import findings
from tectum.training.loop import sense_draw, usable_crops
from tectum.training.optim import rate_at
from tectum.training.parts import VideosPart, WorldPart
from tectum.training.recipe import CropSizes, Recipe, sense_shares, written
from tectum.training.recipe_file import read_recipe, shipped, shortened

RECIPE = """\
system: nano
batch:
  size: 8
data:
  world:
    kind: world
    ranges:
      absent: 0.1
optim:
  lr: 0.001
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(RECIPE)
    return path


@pytest.mark.parametrize("name", sorted(shipped()))
def test_shipped_recipes_suit_their_systems_and_survive_being_written(name: str, tmp_path: Path) -> None:
    recipe = read_recipe(name)
    path = tmp_path / "again.yaml"
    path.write_text(written(recipe))
    assert read_recipe(path) == recipe
    with torch.device("meta"):
        system = build(recipe.system, recipe.second)
    assert sense_draw(system, recipe).shares
    assert usable_crops(system, recipe).search_size <= 256


def test_the_base_recipe_has_the_published_settings() -> None:
    recipe = read_recipe("ostrack-b256")
    assert recipe.epoch * recipe.batch.size == pytest.approx(60_000, rel=0.002)
    assert rate_at(0, recipe) == pytest.approx(4e-4)
    assert rate_at(240 * recipe.epoch, recipe) == pytest.approx(4e-5)
    assert (recipe.optim.weight_decay, recipe.optim.clip, recipe.batch.size) == (1e-4, 0.1, 128)
    lasot = recipe.data["lasot"]
    assert isinstance(lasot, VideosPart)
    assert (lasot.sampling.gap, lasot.sampling.causal) == (200, True)
    assert (lasot.jitter.center, lasot.jitter.scale) == (3, 0.25)


def test_words_on_the_command_line_replace_settings(file: Path) -> None:
    recipe = read_recipe(file, ["optim.lr=1e-4", "data.world.ranges.absent=0", "data.world.plates=7", "batch.micro=8"])
    world = recipe.data["world"]
    assert isinstance(world, WorldPart)
    assert (recipe.optim.lr, world.ranges.absent, world.plates, recipe.batch.micro) == (1e-4, 0.0, 7, 8)


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("  lr: 0.001", "  lrr: 0.001", r"line 10: optim\.lrr .*'lrr'"),
        ("  size: 8", "  size: many", r"line 3: batch\.size .*many"),
        ("  size: 8", "  size: 0", r"line 3: batch\.size is 0: it must be 1 or more"),
        ("      absent: 0.1", "      abscent: 0.1", r"line 8: data\.world\.ranges\.abscent"),
        ("kind: world", "kind: moon", r"line 6: data\.world\.kind is 'moon': .* videos"),
        ("system: nano", "precision: fp7", r"line 1: precision .*fp7"),
        ("system: nano", "senses: {rgb+smell: 1}", r"line 1: senses must"),
        ("system: nano", "senses: {rgb: -1}", r"line 1: senses\.rgb is -1"),
        ("system: nano", "colour: red", r"line 1: colour .*not in"),
        ("system: nano", "elimination: {start: 20}", r"line 1: elimination takes both"),
        ("system: nano", "expect: {SR: [0.5]}", r"line 1: expect gives SR"),
        ("system: nano", "batch: {", r"line \d+: this is no YAML"),
        ("optim:\n  lr: 0.001", "optim: 5", r"line 9: optim is 5: it takes settings"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(file: Path, old: str, new: str, place: str) -> None:
    file.write_text(RECIPE.replace(old, new))
    with pytest.raises(RecipeError, match=rf"mine\.yaml, {place}"):
        read_recipe(file)


def test_what_is_wrong_on_the_command_line_is_named_there(file: Path) -> None:
    with pytest.raises(RecipeError, match=r"'optim\.lr=-1' on the command line: optim\.lr is -1"):
        read_recipe(file, ["optim.lr=-1"])
    with pytest.raises(RecipeError, match=r"'data\.sea\.share=1' on the command line: data\.sea has no kind"):
        read_recipe(file, ["data.sea.share=1"])


def test_an_unknown_recipe_names_the_known_ones() -> None:
    with pytest.raises(RecipeError, match=r"did you mean nano\? There are also .*duo-tiny"):
        read_recipe("nana")


def test_senses_are_shares_by_name() -> None:
    assert sense_shares({"thermal+rgb": 1, "event": 3, "depth": 0}) == {
        (Modality.RGB, Modality.THERMAL): 0.25,
        (Modality.EVENT,): 0.75,
    }
    assert sense_shares({}) == {(Modality.RGB,): 1.0}


def test_crops_left_unsaid_are_the_systems() -> None:
    assert CropSizes(search_size=96).over(Crops(64, 128, 2.0, 4.0)) == Crops(64, 96, 2.0, 4.0)


def test_a_smoke_run_is_short_and_cheap() -> None:
    short = shortened(read_recipe("nano"))
    assert short.batches * short.batch.size <= 500
    assert short.validation.benchmark is None


def test_scores_are_compared_within_their_tolerance() -> None:
    recipe = Recipe(expect={"a": [0.50, 0.03], "b": [0.50, 0.03], "c": [0.5, 0.03]})
    found = findings(recipe, recipe.batches, {"a": 0.529, "b": 0.46})
    assert [each.verdict for each in found] == ["holds", "missed", "not scored"]
    with pytest.raises(RecipeError, match=r"none of the scores .* \(a, b, c\): name those .* \(d\)"):
        findings(recipe, recipe.batches, {"d": 0.5})
    with pytest.raises(RecipeError, match="finish it"):
        findings(recipe, recipe.batches - 1, {})
    with pytest.raises(RecipeError, match="expects no scores"):
        findings(Recipe(), 0, {})
