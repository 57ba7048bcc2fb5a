"""`tectum train` from a recipe to weights that load; and a training that learns."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest
import torch
from typer.testing import CliRunner

from tectum.cli.initial import initial_system, named_weights
from tectum.cli.main import app
from tectum.cli.validation import validator
from tectum.errors import RecipeError, WeightsError
from tectum.frames import Modality
from tectum.networks.vit import JointViT, ViTConfig
from tectum.systems.catalogue import build
from tectum.training.loop import Training
from tectum.training.recipe_file import read_recipe
from tectum.weights import load, save
from tectum.weights.foundation import start_from
from tests.footage import SIDE, ground, place
from tests.trainings import SMALL, procedural, tiny

SETTINGS = [*SMALL, "schedule.epochs=1", "validation.benchmark=null"]


def train(*words: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["train", *words, "--quiet"])
    return result.exit_code, result.stdout, result.stderr


def test_the_command_leaves_weights_that_load_a_log_and_what_it_was(tmp_path: Path) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("{}")
    out = ["--out", str(tmp_path / "run")]
    code, told, _ = train("nano", *SETTINGS, "expect={overlap: [0.0, 1.0]}", *out)
    assert code == 0
    overlap, weights = told.splitlines()
    assert "last.safetensors" in weights
    run = tmp_path / "run"
    head, last = (run / "log.csv").read_text().splitlines()
    assert head.startswith("batch,focal,")
    assert head.endswith(",rate,speed,overlap")
    assert last.startswith("2,")
    assert overlap == f"overlap with the truth on held-out pairs: {float(last.split(',')[-1]):.3f}, of at most 1"
    assert list(run.glob("events.out.tfevents*"))
    for name in ("last", "best"):
        assert load("nano", run / f"{name}.safetensors").senses == frozenset(Modality)
    kept = json.loads((run / "environment.json").read_text())
    assert kept["packages"]["torch"] == torch.__version__
    assert len(kept["data"]) == 64
    assert read_recipe(run / "recipe.yaml") == read_recipe("nano", [*SETTINGS, "expect={overlap: [0.0, 1.0]}"])
    assert train("nano", *SETTINGS, "expect={overlap: [0.0, 1.0]}", *out, "--check")[0] == 0
    code, told, _ = train("nano", *SETTINGS, "expect={overlap: [2.0, 0.1]}", *out, "--check")
    assert code == 2
    assert "missed" in told


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nano", *SETTINGS, "--device", "toaster"], "no device 'toaster'"),
        (["nano", *SETTINGS, "--out", __file__], "cannot be made (it is a file)"),
        (["nano", "--out", "never"], "--data DIR"),
        (["nano", *SETTINGS, "data.world.share=0"], "no pairs to draw"),
        (["nano", *SETTINGS, "initial.weights=none.safetensors"], "There is no file none.safetensors"),
        (["nano", *SETTINGS, "initial={weights: nano, sha256: abc}"], "not the file that the recipe starts from"),
        (["nano", *SETTINGS, "--check", "--out", "never"], "never holds no scores of a run"),
        (["nano", *SETTINGS, "--data", "never"], "There is no folder never"),
        (["nano", "--dry-run", "--data", "never"], "There is no folder never"),
        (["nano", "--dry-run", "--data", "."], "names the folder pairs/roadscene_dev, which is not there"),
        (["nano", "--dry-run", "validation.benchmark=lasher"], "say with validation.root where it lies"),
        (["ostrack-tiny", "--dry-run", "optim.rates={backbone: 0, head: 0}"], "Nothing of this system trains"),
    ],
)
def test_mistakes_are_one_sentence(
    words: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, told, error = train(*words)
    assert code == 2
    assert told == ""
    assert sentence in error
    assert "Traceback" not in error


def test_a_dry_run_tells_what_trains_and_writes_nothing(tmp_path: Path) -> None:
    code, told, _ = train("ostrack-tiny", "--dry-run", "--out", str(tmp_path / "run"))
    assert code == 0
    system = build("ostrack-tiny")
    total = sum(parameter.numel() for parameter in system.parameters())
    row = next(line for line in told.splitlines() if line.startswith("in all"))
    assert row.split()[2:] == [f"{total:,}", "0"]
    assert "memory: about 0." in told
    assert "kind: cosine" in told
    assert "tuning:" not in told.partition("in all")[2]
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (("kind=sparse", "share=0.1"), "tuning: sparse, of what is trained the most sensitive 10 % moves"),
        (("kind=weight", "low=0.8", "high=0.85"), "tuning: weight, coefficients from 0.8 to 0.85 by sensitivity"),
    ],
)
def test_a_dry_run_tells_how_steps_are_tuned(settings: tuple[str, ...], sentence: str) -> None:
    code, told, _ = train("nano", *SETTINGS, *(f"optim.tuning.{setting}" for setting in settings), "--dry-run")
    assert code == 0
    assert sentence in told.splitlines()
    assert "length: 2 batches of 2 pairs, 2 in an epoch" in told


def test_a_run_starts_from_the_weights_that_it_names(tmp_path: Path) -> None:
    code, _, _ = train("nano", *SETTINGS, "initial.weights=nano", "optim.lr=1e-12", "--out", str(tmp_path))
    assert code == 0
    bundled, trained = load("nano").state_dict(), load("nano", tmp_path / "last.safetensors").state_dict()
    assert torch.equal(bundled["key.weight"], trained["key.weight"])
    kept = json.loads((tmp_path / "environment.json").read_text())
    assert kept["initial"]["weights"].endswith("nano.safetensors")


def test_a_network_starts_from_the_one_that_it_grew_from(tmp_path: Path) -> None:
    single = build("ostrack-tiny")
    path = save(single, tmp_path / "single.safetensors", "ostrack-tiny", half=True)
    recipe = read_recipe("duo-tiny", [f"initial.weights={path}", "second=depth"])
    duo = initial_system(recipe, named_weights(recipe, None))
    assert duo.training
    assert Modality.DEPTH in duo.senses
    state, kernel = duo.state_dict(), single.state_dict()["head.score.conv1.0.weight"].half().float()
    assert torch.equal(state["head.score.conv1.0.weight"], torch.cat([kernel, kernel], dim=1))
    for branch in ("rgb", "other"):
        assert torch.equal(state[f"{branch}.norm.weight"], single.state_dict()["backbone.norm.weight"])


def test_what_was_learnt_from_one_sense_starts_another() -> None:
    recipe = read_recipe("mst-tiny", ["system=ostrack-tiny", "options.sense=thermal"])
    system = initial_system(recipe, named_weights(recipe, None))
    assert system.senses == {Modality.THERMAL}
    assert system.training
    colour = load("ostrack-tiny").state_dict()
    assert all(torch.equal(tensor, colour[name]) for name, tensor in system.state_dict().items())


def test_an_image_network_starts_the_transformer(tmp_path: Path) -> None:
    system, recipe = tiny(procedural()), procedural()
    donor = JointViT(ViTConfig(template_size=64, search_size=64, patch=16, width=16, depth=2, heads=2))
    torch.nn.init.normal_(donor.search_positions)
    tensors = {name: tensor for name, tensor in donor.state_dict().items() if not name.endswith("_positions")}
    tensors["pos_embed"] = torch.cat([torch.zeros(1, 1, 16), donor.search_positions.detach()], dim=1)
    start_from(system, tensors, tmp_path)
    started = system.state_dict()
    assert torch.equal(started["backbone.blocks.1.mlp.fc1.weight"], tensors["blocks.1.mlp.fc1.weight"])
    assert torch.equal(started["backbone.search_positions"], donor.search_positions)
    assert started["backbone.template_positions"].shape == (1, 4, 16)
    with pytest.raises(WeightsError, match="does not fit"):
        start_from(tiny(recipe), {**tensors, "norm.weight": torch.zeros(7)}, tmp_path)


def test_a_benchmark_scores_what_trains(tmp_path: Path) -> None:
    folder = tmp_path / "bench" / "square"
    (folder / "rgb").mkdir(parents=True)
    for frame in range(8):
        image, (x, y) = ground(0, (160, 120)), place(frame)
        image[y : y + SIDE, x : x + SIDE] = 255
        cv2.imwrite(str(folder / "rgb" / f"{frame}.png"), image)
    lines = (f"{x},{y},{SIDE},{SIDE}\n" for x, y in map(place, range(8)))
    (folder / "groundtruth.txt").write_text("".join(lines))
    recipe = procedural("validation.benchmark=plain", "validation.root=bench")
    scores = validator(recipe, tmp_path, "cpu")(load("nano"))
    assert scores["plain/SR"] > 0.6
    with pytest.raises(RecipeError, match=r"validation\.root"):
        validator(procedural("validation.benchmark=lasher"), tmp_path, "cpu")


def test_a_short_training_halves_its_loss_and_finds_targets(tmp_path: Path) -> None:
    ranges = ("absent=0", "hidden=0", "alike=0", "region=0", "moved=0", "loose=0", "turn=0", "spun=0", "zoom=0.1")
    recipe = procedural(
        *("batch.size=4", "schedule.samples=480", "schedule.epochs=1", "schedule.kind=cosine", "schedule.warmup=0.1"),
        *("optim.lr=0.003", "optim.ema=0", "optim.settle=0", "senses={rgb: 1}", "checkpoint=1000"),
        *("crops.template_size=32", "crops.search_size=64", "data.world.plates=16", "data.world.things=32"),
        *(f"data.world.ranges.{setting}" for setting in (*ranges, "wide=1", "reach=1.1")),
        "validation.pairs=96",
    )
    steps = list(Training(recipe, tmp_path).run())
    losses = [sum(float(part) for part in step.losses.values()) for step in steps]
    assert len(losses) == 120
    assert sum(losses[-20:]) / 20 < 0.5 * sum(losses[:3]) / 3
    # Where all search crops are black the loss halves too, but the overlap stays near 0.05: only who looks finds it.
    assert steps[-1].scores["overlap"] > 0.2
