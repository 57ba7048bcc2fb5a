"""Ablation tables as files: what they say, and one sentence with the line for whatever they say wrongly."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from tectum.ablation.grid import budget_label, lay_out
from tectum.ablation.places import check_measures
from tectum.ablation.table import Measure, Trial
from tectum.ablation.table_file import read_table, shipped
from tectum.errors import RecipeError, TectumError
from tectum.systems.catalogue import build
from tectum.training.recipe_file import read_recipe

GOOD = """\
title: A title
recipe: nano
seeds: [1, 2]
budget: 13440
set: [batch.size=16]
variants:
  baseline: []
  + rate: [optim.lr=1e-4]
  no window:
    weights_of: baseline
    evaluate: [decoding.window=0, missing=zero]
measure:
  - benchmark: world-bench
    split: rgbt
    key: SR
  - benchmark: plain
    root: rgb
    key: AO
baseline: baseline
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "some.yaml"
    path.write_text(text)
    return path


def test_a_table_says_what_varies(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, GOOD))
    assert [variant.name for variant in table.variants] == ["baseline", "+ rate", "no window"]
    assert table.variant("no window").trial == Trial("zero", None, {"window": 0.0})
    assert [measure.title for measure in table.measures] == ["SR on world-bench rgbt", "AO on plain rgb"]
    assert (table.seeds, table.budget, table.baseline) == ((1, 2), 13440, "baseline")


def test_every_run_has_a_recipe_and_a_folder(tmp_path: Path) -> None:
    runs = lay_out(read_table(write(tmp_path, GOOD)), tmp_path)
    assert [(run.variant.name, run.seed) for run in runs[:4]] == [
        *(("baseline", 1), ("+ rate", 1), ("no window", 1), ("baseline", 2))
    ]
    assert {run.recipe.seed for run in runs if run.seed == 2} == {2}
    assert runs[1].recipe.optim.lr == 1e-4
    assert runs[2].source == runs[0].folder
    assert len({run.folder for run in runs}) == 6
    assert len({run.digest for run in runs}) == 6


def test_a_budget_shortens_epochs_and_nothing_else(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, GOOD))
    full = read_recipe("nano", ["batch.size=16"])
    run = lay_out(table, tmp_path)[0]
    assert run.recipe.schedule == replace(full.schedule, samples=13440 // full.schedule.epochs)
    assert run.full == full.batches * 16
    assert 0.95 * 13440 <= run.samples <= 13440
    assert budget_label([run]).startswith(f"Reduced budget: {run.samples:,} of ".replace(",", " "))
    whole = lay_out(replace(table, budget=None), tmp_path)[0]
    assert budget_label([whole]) == f"{run.full:,} samples per run.".replace(",", " ")


def test_variants_may_have_recipes_of_their_own_or_weights_that_ship(tmp_path: Path) -> None:
    own = "  own: {recipe: own.yaml, set: [optim.lr=1e-3]}\n  bundled: {weights: ostrack-tiny}\n"
    again = "  again: {weights_of: bundled, evaluate: [decoding.window=0]}\nmeasure"
    (tmp_path / "own.yaml").write_text("system: nano\nbatch: {size: 32}\ndata: {world: {kind: world}}\n")
    table = read_table(write(tmp_path, GOOD.replace("measure", own + again, 1).replace("nano\n", "duo-tiny\n")))
    runs = {run.variant.name: run for run in lay_out(table, tmp_path) if run.seed == 1}
    assert runs["own"].recipe.system == "nano"
    assert runs["own"].recipe.batch.size == 16
    assert (runs["own"].full, runs["own"].samples) == (60_000, 13_440)
    for name in ("bundled", "again"):
        assert (runs[name].recipe.system, runs[name].samples, runs[name].trains) == ("ostrack-tiny", 0, False)
        assert runs[name].source == runs["bundled"].folder
    assert budget_label([runs["bundled"], runs["own"]]) == "Reduced budget: 13 440 of 60 000 samples per run."
    assert budget_label([runs["bundled"]]) == "Nothing is trained."
    shorter = lay_out(replace(table, budget=6720), tmp_path)
    assert [run.digest == runs[run.variant.name].digest for run in shorter if run.seed == 1][3:] == [False, True, True]


def test_measures_may_hide_senses(tmp_path: Path) -> None:
    text = GOOD.replace("    split: rgbt", "    split: rgbt\n    drop: thermal=0.80 rgb=0.5", 1)
    measure = read_table(write(tmp_path, text)).measures[0]
    assert measure.drop == ("rgb=0.5", "thermal=0.8")
    assert measure.title == "SR on world-bench rgbt without rgb=0.5 thermal=0.8"
    assert measure.folder == "on-world-bench-rgbt-without-rgb=0.5-thermal=0.8"


def test_a_recipe_is_found_beside_its_table(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("system: nano\ndata: {world: {kind: world}}\n")
    table = read_table(write(tmp_path, GOOD.replace("recipe: nano", "recipe: own.yaml")))
    assert lay_out(replace(table, budget=None), tmp_path)[0].recipe.schedule.samples == 60_000


@pytest.mark.parametrize("sense", ["thermal", "depth", "event"])
def test_ways_to_adapt_see_as_much_of_the_same(sense: str, tmp_path: Path) -> None:
    runs = lay_out(read_table(f"adapters-{sense}"), tmp_path)
    assert {run.recipe.second for run in runs} == {sense}
    trained = [run.recipe for run in runs if run.trains]
    assert len(trained) == len(runs) - 1 == 5
    assert all(recipe.data == trained[0].data for recipe in trained)
    (alike,) = {(recipe.batches, recipe.batch, recipe.initial.weights) for recipe in trained}
    assert alike[2] == "ostrack-tiny"


def test_each_part_of_patrack_comes_on_top_of_those_before(tmp_path: Path) -> None:
    recipes = [run.recipe for run in lay_out(read_table("patrack-parts"), tmp_path)]
    names = [set(build(recipe.system, recipe.second, recipe.options).state_dict()) for recipe in recipes]
    assert len(names) == 4
    assert all(less < more for less, more in pairwise(names))


@pytest.mark.parametrize("name", ["mst-parts", "mst-coefficients", "mst-sparse"])
def test_ways_to_tune_differ_by_nothing_else(name: str, tmp_path: Path) -> None:
    recipes = [run.recipe for run in lay_out(read_table(name), tmp_path)]
    tunings = {recipe.optim.tuning for recipe in recipes}
    assert len(tunings) == len(recipes)
    tuning = recipes[0].optim.tuning
    assert all(replace(each, optim=replace(each.optim, tuning=tuning)) == recipes[0] for each in recipes)


def test_shipped_tables_can_be_laid_out(tmp_path: Path) -> None:
    assert "nano-senses" in shipped()
    for name in shipped():
        table = read_table(name)
        check_measures([measure for measure in table.measures if measure.root is None], None)
        assert lay_out(table, tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("budget: 13440", "budjet: 5", "line 4: budjet is unknown: use title, recipe"),
        ("budget: 13440", "budget: many", "line 4: budget must be a number of samples"),
        (
            "budget: 13440",
            "budget: 100",
            "line 4: a budget of 100 is less than a batch of 16 in each .* 'baseline' has ",
        ),
        ("[1, 2]", "[]", "line 3: seeds names no seed"),
        ("[1, 2]", "[1, 1]", "line 3: seeds holds 1 twice"),
        ("[1, 2]", "[one]", "line 3: seeds must be a list of whole numbers"),
        ("  + rate:", "  baseline:", "'baseline' stands twice"),
        ("+ rate", "Baseline", "line 8: variants.Baseline is too like 'baseline'"),
        ("baseline: baseline", "baseline: base", "line 19: baseline is 'base', which is no variant"),
        ("recipe: nano\n", "", r"some.yaml lacks recipe: write `recipe: nano`\.$"),
        ("optim.lr=1e-4", "optim.lrr=1e-4", "line 8, variant '. rate': 'optim.lrr=1e-4': optim.lrr"),
        ("optim.lr=1e-4", "faster", "line 8: variants.. rate holds 'faster': write settings as NAME=VALUE"),
        ("weights_of: baseline", "weights_of: other", "line 10: variants.no window.weights_of must name a variant"),
        ("weights_of: baseline", "weights: nani", "line 9, variant 'no window': .*preset 'nani'"),
        ("weights_of: baseline", "weights: bat-b256", "line 9, variant 'no window': No weights of 'bat-b256' come"),
        ("weights_of: baseline", "recipe: nono", "line 9, variant 'no window': There is no recipe 'nono'"),
        ("weights_of: baseline", "recipe: []", r"line 10: variants.no window.recipe must be text"),
        (
            "weights_of: baseline",
            "weights_of: baseline\n    weights: nano",
            "line 11: .*weights stands beside weights_of",
        ),
        (
            "weights_of: baseline",
            "weights: nano\n    recipe: nano",
            "line 11: .*recipe has no effect, for weights trains",
        ),
        (
            "weights_of: baseline",
            "set: [seed=2]\n    weights_of: baseline",
            "line 10: .*set has no effect, for weights_of",
        ),
        ("decoding.window=0", "decoding.windows=0", "line 11: .*decoding.windows, which is unknown: use window"),
        ("missing=zero", "missing=guess", "line 11: .*no policy 'guess'"),
        ("missing=zero", "speed=9", "line 11: .*cannot be read .*speed"),
        ("    key: SR\n", "", r"line 13: measure.0 lacks key: write `- {benchmark: world-bench, spl"),
        (
            "- benchmark: world-bench",
            "- split: rgb\n  -",
            "line 13: measure.0 lacks benchmark and key: write `- {benchmark",
        ),
        ("    split: rgbt", "    slit: rgbt", "line 14: measure.0.slit is unknown"),
        (
            "    split: rgbt",
            "    drop: thermal=2",
            "line 14: measure.0.drop cannot be read: A share of 2 of the frames",
        ),
        ("recipe: nano", "recipe: nono", "no recipe 'nono'"),
        ("seeds: [1, 2]", "seeds: [1, 2", "line 4: this is no YAML"),
    ],
)
def test_mistakes_are_told_with_their_line(tmp_path: Path, old: str, new: str, told: str) -> None:
    assert old in GOOD
    with pytest.raises(RecipeError, match=told):
        lay_out(read_table(write(tmp_path, GOOD.replace(old, new))), tmp_path)


def test_a_table_needs_a_recipe_variants_and_measures_alone(tmp_path: Path) -> None:
    text = "recipe: nano\nvariants: {plain: [], slow: [optim.lr=1e-4]}\nmeasure: [{benchmark: world-bench, key: SR}]\n"
    table = read_table(write(tmp_path, text))
    assert (table.title, table.seeds, table.baseline, table.budget) == ("some", (1,), "plain", None)
    with pytest.raises(RecipeError) as refusal:
        read_table(write(tmp_path, "title: Mine\n"))
    assert "some.yaml lacks recipe, variants and measure: write `recipe: nano`, `variants: {" in str(refusal.value)
    assert "line" not in str(refusal.value)


@pytest.mark.parametrize("measure", ["SR", "[]", "[world-bench SR]"])
def test_what_no_measure_is_is_told_with_one_that_is(tmp_path: Path, measure: str) -> None:
    text = f"recipe: nano\nvariants: {{plain: []}}\nmeasure: {measure}\n"
    with pytest.raises(RecipeError, match=r"line 3: measure.* `- {benchmark: world-bench, split: rgbt, key: SR}`"):
        read_table(write(tmp_path, text))


def test_tables_that_are_not_there_are_told() -> None:
    with pytest.raises(RecipeError, match=r"no table 'nothing', nor a file of that name: use one of .*nano-senses"):
        read_table("nothing")


@pytest.mark.parametrize(
    ("measure", "told"),
    [
        (Measure("world-bench", "SR", "rgbx"), "no split 'rgbx': use one of rgb, rgbt"),
        (Measure("world-bench", "IQ", "rgb"), "has no score 'IQ': use one of SR"),
        (Measure("nowhere", "SR"), "no benchmark 'nowhere'"),
        (Measure("plain", "SR"), "needs root"),
        (Measure("plain", "SR", None, "gone"), "no folder .*gone"),
    ],
)
def test_measures_that_cannot_be_taken_are_told_first(tmp_path: Path, measure: Measure, told: str) -> None:
    with pytest.raises(TectumError, match=told):
        check_measures([measure], tmp_path)
