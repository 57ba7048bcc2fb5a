"""A run is the same however it is stopped, resumed or divided, and says what is wrong with its folder."""

from __future__ import annotations

import itertools
import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tectum.errors import RecipeError
from tectum.frames import Modality
from tectum.networks.vit import ViTConfig
from tectum.systems.base import Crops, System
from tectum.systems.catalogue import build
from tectum.systems.ostrack import OSTrack, OSTrackConfig
from tectum.training.batches import Batches, SenseDraw, divide
from tectum.training.loop import Hooks, Training, sense_draw, usable_crops
from tectum.training.material import Mixture, Part, joined
from tectum.training.optim import Average, build_optimiser, elimination_at, rate_at
from tectum.training.recipe import Elimination, Optim, Recipe, Schedule
from tectum.training.rendered import Rendered
from tectum.training.run import run_training
from tectum.world.pairs import build_stock
from tests.trainings import assert_alike, headstrong, moved, procedural, tiny, transform, transformed


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def make_batches(size: int, processes: int = 1, process: int = 0, micro: int | None = None) -> Batches:
    mixture = Mixture([Part(Rendered(build_stock(1, plates=2, things=4)), 1.0)])
    senses = SenseDraw({(Modality.RGB,): 0.5, (Modality.RGB, Modality.DEPTH): 0.5}, 3)
    division = divide(size, 2, micro, processes, process)
    return Batches(mixture, division, senses, Crops(32, 64, 2.0, 4.0), seed=3, count=4)


@pytest.mark.parametrize(("processes", "micro"), [(2, None), (1, 2), (2, 2)])
def test_processes_and_passes_share_the_pairs_of_one_batch(processes: int, micro: int | None) -> None:
    whole = make_batches(8)[2]
    parts = []
    for process in range(processes):
        batches = make_batches(8, processes, process, micro)
        passes = batches.division.passes
        parts += [batches[2 * passes + number] for number in range(passes)]
    assert whole is not None
    again = joined([part for part in parts if part is not None])
    assert again.search.keys() == whole.search.keys()
    assert all(torch.equal(again.search[sense], whole.search[sense]) for sense in whole.search)
    torch.testing.assert_close(again.boxes, whole.boxes, equal_nan=True)


def test_a_batch_that_cannot_be_divided_is_refused() -> None:
    with pytest.raises(RecipeError, match="multiple of 16"):
        divide(24, 8, None, processes=2)


def test_senses_come_in_their_shares_and_pairs_differ_from_batch_to_batch() -> None:
    batches = make_batches(2)
    shown = [batches.senses(batch) for batch in range(400)]
    assert 150 < sum(len(senses) == 1 for senses in shown) < 250
    first, second = batches[0], batches[1]
    assert first is not None
    assert second is not None
    assert not torch.equal(first.search[Modality.RGB], second.search[Modality.RGB])


@pytest.mark.parametrize("stop", [1, 3])
def test_a_stopped_run_resumes_bit_for_bit(tmp_path: Path, stop: int) -> None:
    whole = Training(procedural(), tmp_path / "whole")
    losses = [{name: float(part) for name, part in step.losses.items()} for step in whole.run()]
    steps = Training(procedural(), tmp_path / "parts").run()
    for _ in range(stop):
        next(steps)
    steps.close()
    second = Training(procedural(), tmp_path / "parts")
    assert second.done == stop
    rest = [{name: float(part) for name, part in step.losses.items()} for step in second.run()]
    assert rest == losses[stop:]
    assert same(whole.system.state_dict(), second.system.state_dict())
    assert same(whole.result.state_dict(), second.result.state_dict())
    assert same(*(dict(each.optimiser.state_dict()["state"][0]) for each in (whole, second)))


def test_dropped_paths_too_resume_bit_for_bit(tmp_path: Path) -> None:
    whole = Training(transformed(), tmp_path / "whole", hooks=Hooks(build=tiny))
    list(whole.run())
    steps = Training(transformed(), tmp_path / "parts", hooks=Hooks(build=tiny)).run()
    next(steps)
    torch.rand(7)
    steps.close()
    second = Training(transformed(), tmp_path / "parts", hooks=Hooks(build=tiny))
    list(second.run())
    assert same(whole.system.state_dict(), second.system.state_dict())


def test_forward_passes_of_parts_equal_one_of_the_whole_batch(tmp_path: Path) -> None:
    whole, parts = transform(tmp_path / "whole"), transform(tmp_path / "parts", "batch.micro=4")
    assert_alike(whole, parts)


def test_a_signal_ends_the_run_after_its_batch_and_the_same_call_goes_on(tmp_path: Path) -> None:
    recipe = procedural()

    def build_and_be_stopped(recipe: Recipe) -> System:
        system = build(recipe.system)
        hook = system.register_forward_hook(lambda *_: stop())

        def stop() -> None:
            hook.remove()
            os.kill(os.getpid(), signal.SIGTERM)

        return system

    before = signal.getsignal(signal.SIGTERM)
    assert run_training(recipe, tmp_path, hooks=Hooks(build=build_and_be_stopped), quiet=True) == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == before
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["done"] == 1
    assert run_training(recipe, tmp_path, quiet=True) == 0


def test_a_validation_that_was_cut_short_is_made_up_for(tmp_path: Path) -> None:
    asked: list[int] = []

    def validate(system: object) -> dict[str, float]:
        asked.append(1)
        if len(asked) == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return {"bench/SR": 0.5}

    hooks, recipe = Hooks(validate=validate), procedural("validation.best=bench/SR")
    with pytest.raises(KeyboardInterrupt):
        run_training(recipe, tmp_path, hooks=hooks, quiet=True)
    assert not (tmp_path / "scores.json").exists()
    assert run_training(recipe, tmp_path, hooks=hooks, quiet=True) == 0
    held = json.loads((tmp_path / "scores.json").read_text())
    assert held["batch"] == 4
    assert held["scores"]["bench/SR"] == 0.5
    assert 0 <= held["scores"]["overlap"] <= 1


def test_the_best_weights_stay(tmp_path: Path) -> None:
    scores, kept = iter([0.3, 0.5, 0.4]), []
    hooks = Hooks(
        validate=lambda system: {"SR": next(scores)}, keep=lambda system, path: kept.append(path.name) or path.touch()
    )
    list(Training(procedural("schedule.epochs=3", "validation.every=1"), tmp_path, hooks=hooks).run())
    assert kept.count("best.safetensors") == 2
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["best"] == 0.5


def test_a_loss_that_is_no_number_stops_the_run_and_leaves_the_checkpoint(tmp_path: Path) -> None:
    training = Training(procedural("checkpoint=1"), tmp_path)
    steps = training.run()
    next(steps)
    with torch.no_grad():
        next(training.system.parameters()).fill_(torch.nan)
    with pytest.raises(RecipeError, match="no number any more at batch 2"):
        next(steps)
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["done"] == 1


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"no checkpoint")
    with pytest.raises(RecipeError, match=r"checkpoint\.pt is damaged"):
        Training(procedural(), tmp_path)


def test_a_folder_of_another_recipe_is_refused_but_workers_may_change(tmp_path: Path) -> None:
    list(Training(procedural("schedule.epochs=1"), tmp_path).run())
    assert Training(procedural("schedule.epochs=1", "workers=3", "checkpoint=7"), tmp_path).done == 2
    with pytest.raises(RecipeError, match="another recipe"):
        Training(procedural("schedule.epochs=2"), tmp_path)


def test_changed_data_are_noticed(tmp_path: Path) -> None:
    recipe = procedural("schedule.epochs=1", "data.world.pictures=[views]")
    folder = tmp_path / "data" / "views" / "rgb"
    folder.mkdir(parents=True)
    write_picture(folder / "1.png")
    list(Training(recipe, tmp_path / "run", tmp_path / "data").run())
    write_picture(folder / "2.png")
    with pytest.raises(RecipeError, match="other data"):
        Training(recipe, tmp_path / "run", tmp_path / "data")
    with pytest.raises(RecipeError, match="--data DIR"):
        Training(recipe, tmp_path / "other")


def write_picture(path: Path) -> None:
    import cv2

    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 255, (96, 96, 3), np.uint8))


def test_statistics_are_fixed_once_the_run_settles(tmp_path: Path) -> None:
    training = Training(procedural("optim.settle=0.5"), tmp_path)
    means = [training.system.state_dict()["head.enter.1.running_mean"].clone() for _ in training.run()]
    assert not torch.equal(means[0], means[1])
    assert torch.equal(means[2], means[3])


def test_only_what_a_system_trains_moves(tmp_path: Path) -> None:
    before = tiny(transformed()).state_dict()
    training = Training(transformed(), tmp_path, hooks=Hooks(build=headstrong))
    list(training.run())
    assert moved(before, training.system.state_dict()) == {"head"}


def test_crops_that_a_system_cannot_take_are_refused() -> None:
    system = OSTrack(OSTrackConfig(ViTConfig(width=24, heads=2, depth=1)))
    with pytest.raises(RecipeError, match="only 128 and 256"):
        usable_crops(system, procedural("system=ostrack-b256"))


def test_a_system_that_needs_its_senses_gets_them_in_every_batch() -> None:
    recipe = procedural()
    assert sense_draw(tiny(recipe), recipe).shares == {(Modality.RGB,): 1.0}
    nano = build("nano")
    assert sense_draw(nano, recipe).shares[Modality.RGB, Modality.THERMAL] == pytest.approx(0.18)
    nano.senses = frozenset({Modality.RGB})
    with pytest.raises(RecipeError, match="depth"):
        sense_draw(nano, recipe)


def test_rates_follow_the_schedule() -> None:
    cosine = Recipe(optim=Optim(lr=2.0), schedule=Schedule(10, 320, "cosine", warmup=1, floor=0.1))
    rates = [rate_at(batch, cosine) for batch in range(100)]
    assert rates[0] == pytest.approx(0.2)
    assert max(rates) == rates[9] == pytest.approx(2.0)
    assert rates[55] == pytest.approx(2.0 * (0.1 + 0.9 * 0.5 * (1 + np.cos(np.pi * 45 / 90))))
    assert all(late <= early for early, late in itertools.pairwise(rates[9:]))
    step = replace(cosine, schedule=Schedule(10, 320, "step", drop_at=[4, 8]))
    assert [round(rate_at(batch, step), 6) for batch in (0, 39, 40, 79, 80)] == [2.0, 2.0, 0.2, 0.2, 0.02]


def test_elimination_warms_up_by_epochs() -> None:
    recipe = Recipe(schedule=Schedule(10, 320), elimination=Elimination(2, 4))
    assert [elimination_at(batch, recipe) for batch in (0, 20, 40, 60, 99)] == [0.0, 0.0, 0.5, 1.0, 1.0]
    assert elimination_at(50, Recipe()) is None


def test_the_average_follows_the_weights() -> None:
    layer = torch.nn.Linear(1, 1, bias=False)
    average = Average(layer, 0.9)
    for value in (1.0, 2.0, 4.0):
        torch.nn.init.constant_(layer.weight, value)
        average.update()
    # Of its past it keeps 2/11 at the second update and 3/12 at the third.
    assert average.values["weight"].item() == pytest.approx(0.25 * (2 * 1 + 9 * 2) / 11 + 0.75 * 4)
    for _ in range(100):
        average.update()
    torch.nn.init.zeros_(layer.weight)
    average.update()
    assert average.values["weight"].item() == pytest.approx(0.9 * 4)


def test_the_average_of_a_short_run_has_left_its_beginning() -> None:
    layer = torch.nn.Linear(1, 1, bias=False)
    average = Average(layer, 0.998)
    for batch in range(100):
        torch.nn.init.constant_(layer.weight, batch)
        average.update()
    assert average.values["weight"].item() == pytest.approx(90, abs=2)


def test_a_system_of_which_nothing_trains_is_refused() -> None:
    system = build("patrack-tiny", options={"dependent_at": [], "entangled_at": [], "head_width": 0})
    with pytest.raises(RecipeError, match=r"Nothing of this system trains"):
        build_optimiser(system, Optim())
