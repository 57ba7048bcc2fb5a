"""Pairs are repeatable and true; a run resumes to the same weights; nano copes with any senses."""

from __future__ import annotations

import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from tectum.cli.main import app
from tectum.errors import RecipeError, SourceError
from tectum.frames import Modality, Prompt
from tectum.networks.vit import ViTConfig
from tectum.systems.base import Batch, CenterMaps, Crops
from tectum.systems.nano import Nano, dense_center_objective, target_places
from tectum.systems.ostrack import OSTrack, OSTrackConfig
from tectum.training.augmentation import Strengths
from tectum.training.batches import PairBatches
from tectum.training.footage import Footage, read_clip, read_footage
from tectum.training.loop import Training, check_crops, rate_at
from tectum.training.pairs import Mixture, PairMaker
from tectum.training.recipe import Optimiser, Recipe, read_recipe
from tectum.training.run import rows_until
from tectum.weights import load

SMALL = ["batches=4", "batch_size=2", "workers=0", "precision=fp32", "checkpoint_every=100", "search_size=128"]


def procedural(*changes: str) -> Recipe:
    return read_recipe("nano", [*SMALL, "footage.stills=[]", "footage.clips=[]", *changes])


def batches(seed: int = 3, lone: float = 0.0, mixture: Mixture | None = None) -> PairBatches:
    maker = PairMaker(Footage(), mixture or Mixture(), Crops(128, 192, 2.0, 3.0))
    return PairBatches(maker, Strengths(), 4, 10, seed, lone)


def write_clip(folder: Path, frames: int = 4) -> Path:
    """A white square that moves 10 px a frame on a grey ground."""
    lines = []
    for kind in ("rgb", "mask"):
        (folder / kind).mkdir(parents=True)
    for index in range(frames):
        image, mask = np.full((90, 160, 3), 80, np.uint8), np.zeros((90, 160), np.uint8)
        window = (slice(30, 60), slice(20 + 10 * index, 50 + 10 * index))
        image[window], mask[window] = 255, 255
        cv2.imwrite(str(folder / "rgb" / f"{index}.png"), image)
        cv2.imwrite(str(folder / "mask" / f"{index}.png"), mask)
        lines.append(f"{20 + 10 * index},30,30,30\n")
    (folder / "groundtruth.txt").write_text("".join(lines))
    return folder


def test_a_batch_is_the_same_whenever_it_is_made() -> None:
    first, again = batches()[5], batches()[5]
    assert first.search.keys() == again.search.keys()
    for sense in first.search:
        assert torch.equal(first.search[sense], again.search[sense])
        assert torch.equal(first.template[sense], again.template[sense])
    torch.testing.assert_close(first.boxes, again.boxes, equal_nan=True)
    assert not torch.equal(first.template_boxes, batches()[6].template_boxes)


def test_template_boxes_lie_in_the_middle_with_half_the_crops_extent() -> None:
    boxes = torch.cat([batches()[index].template_boxes for index in range(5)])
    middle = boxes[:, :2] + boxes[:, 2:] / 2
    torch.testing.assert_close(middle, torch.full_like(middle, 0.5), atol=0.02, rtol=0)
    extent = (boxes[:, 2] * boxes[:, 3]).sqrt()
    torch.testing.assert_close(extent, torch.full_like(extent, 0.5), atol=0.02, rtol=0)


def test_a_clips_pairs_show_the_target_where_their_box_says(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip")
    footage = read_footage([], [clip])
    maker = PairMaker(footage, Mixture(clip=1, cutout=0, shape=0, region=0), Crops(128, 192, 2.0, 3.0))
    rng = np.random.default_rng(0)
    for _ in range(10):
        for shot in maker.pair(rng):
            assert shot.box is not None
            rows, columns = np.nonzero(shot.image[..., 0] > 170)
            found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            x, y, w, h = shot.box
            side = shot.image.shape[0]
            told = np.clip([x, y, x + w, y + h], 0, side)
            np.testing.assert_allclose(found, told, atol=2.0)


def test_absent_targets_have_no_box() -> None:
    assert batches(mixture=Mixture(shape=1, absent=1))[0].boxes.isnan().all()


def test_a_clip_whose_boxes_are_too_few_is_refused(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip")
    (clip / "groundtruth.txt").write_text("20,30,30,30\n")
    with pytest.raises(SourceError, match="4 frames, 1 boxes"):
        read_clip(clip)


def test_a_stopped_run_resumes_to_the_same_weights(tmp_path: Path) -> None:
    whole = Training(procedural(), tmp_path / "whole")
    assert len(list(whole.run())) == 4
    first = Training(procedural(), tmp_path / "parts").run()
    assert next(first).batch == 1
    assert next(first).batch == 2
    first.close()
    second = Training(procedural(), tmp_path / "parts")
    assert second.done == 2
    assert [step.batch for step in second.run()] == [3, 4]
    for one, other in zip(whole.result.state_dict().values(), second.result.state_dict().values(), strict=True):
        torch.testing.assert_close(one, other)


def test_the_command_leaves_weights_that_load_and_a_log(tmp_path: Path) -> None:
    words = ["train", "nano", *SMALL, "footage.stills=[]", "footage.clips=[]", "--quiet", "--out", str(tmp_path)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    head, *_, last = (tmp_path / "log.csv").read_text().splitlines()
    assert head.startswith("batch,focal,")
    assert head.endswith(",overlap,rate,speed")
    assert last.startswith("4,")
    assert list(tmp_path.glob("events.out.tfevents*"))
    assert load("nano", tmp_path / "nano.safetensors").senses == frozenset(Modality)
    refused = CliRunner().invoke(app, [*words, "--device", "toaster"])
    assert refused.exit_code == 2
    assert "no device 'toaster'" in refused.stderr
    occupied = CliRunner().invoke(app, [*words[:-1], str(tmp_path / "log.csv")])
    assert occupied.exit_code == 2
    assert "log.csv cannot be made" in occupied.stderr


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"no checkpoint")
    with pytest.raises(RecipeError, match=r"checkpoint\.pt is damaged"):
        Training(procedural(), tmp_path)


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    with pytest.raises(RecipeError, match="is a file"):
        Training(procedural(), tmp_path / "run")


def test_a_mixture_without_pairs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no pairs"):
        Training(procedural("mixture.shape=0"), tmp_path)


def test_footage_may_move_between_two_parts_of_a_run(tmp_path: Path) -> None:
    list(Training(procedural("batches=1", "footage.root=here"), tmp_path).run())
    assert Training(procedural("batches=1", "footage.root=there"), tmp_path).done == 1


def test_a_log_forgets_what_came_after_the_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("batch,loss\n20,3\n40,2\n60,1\n")
    assert rows_until(tmp_path / "log.csv", 40) == ["batch,loss\n", "20,3\n", "40,2\n"]
    assert rows_until(tmp_path / "log.csv", 0) == []


def test_a_system_that_needs_two_senses_gets_them_in_every_batch() -> None:
    maker = PairMaker(Footage(), Mixture(), Crops(128, 192, 2.0, 3.0))
    pairs = PairBatches(maker, Strengths(), 1, 4, 3, 0.5, frozenset({Modality.DEPTH, Modality.RGB}))
    assert all(set(pairs[index].search) == {Modality.RGB, Modality.DEPTH} for index in range(4))


def test_crops_that_a_system_cannot_take_are_refused() -> None:
    system = OSTrack(OSTrackConfig(ViTConfig(width=24, heads=2, depth=1)))
    with pytest.raises(RecipeError, match="only 128 and 256"):
        check_crops(system, procedural("system=ostrack-b256"))


def test_statistics_are_fixed_once_the_run_settles(tmp_path: Path) -> None:
    training = Training(procedural("settle=0.5"), tmp_path)
    means = [training.system.state_dict()["head.enter.1.running_mean"].clone() for _ in training.run()]
    assert not torch.equal(means[0], means[1])
    assert torch.equal(means[2], means[3])


def test_a_folder_of_another_recipe_is_refused(tmp_path: Path) -> None:
    list(Training(procedural("batches=1"), tmp_path).run())
    with pytest.raises(RecipeError, match="another recipe"):
        Training(procedural("batches=2"), tmp_path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [(["colour=red"], "colour"), (["batches=many"], "batches"), (["precision=fp7"], "fp7"), (["batches=0"], "batches")],
)
def test_settings_that_make_no_sense_are_named(changes: list[str], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        read_recipe("nano", changes)


def test_an_unknown_recipe_names_the_known_ones() -> None:
    with pytest.raises(RecipeError, match=r"one of nano"):
        read_recipe("nana")


def test_footage_must_be_given_a_place() -> None:
    with pytest.raises(RecipeError, match="--footage"):
        read_recipe("nano").read_footage()


def test_the_learning_rate_rises_then_falls_to_its_floor() -> None:
    optimiser = Optimiser(warmup=10, floor=0.1)
    rates = [rate_at(step, 100, optimiser) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[9] == pytest.approx(1.0)
    assert rates[100] == pytest.approx(0.1)
    assert all(late <= early for early, late in itertools.pairwise(rates[9:]))


def test_target_places_follow_the_box() -> None:
    inside, across, down, _ = target_places(torch.tensor([[0.25, 0.5, 0.5, 0.25]]), 8)[0]
    assert inside[4:6, 2:6].min() == 1
    assert inside.sum() == 8
    torch.testing.assert_close(across[4, 2:6], torch.tensor([-0.75, -0.25, 0.25, 0.75]))
    torch.testing.assert_close(down[4:6, 3], torch.tensor([-0.5, 0.5]))


def test_a_perfect_answer_costs_nothing_but_focus() -> None:
    boxes = torch.tensor([[0.3, 0.4, 0.2, 0.1]])
    cells = torch.stack(torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="xy"))
    center = torch.tensor([0.4, 0.45]) * 32
    maps = CenterMaps(
        torch.full((1, 1, 32, 32), 0.5),
        torch.tensor([0.2, 0.1]).view(1, 2, 1, 1).expand(1, 2, 32, 32),
        (center.view(2, 1, 1) - cells)[None],
    )
    losses = dense_center_objective(maps, boxes)
    assert losses.parts["giou"] == pytest.approx(0, abs=1e-5)
    assert losses.parts["place"] == pytest.approx(0, abs=1e-6)
    assert losses.parts["size"] == pytest.approx(0, abs=1e-6)
    assert losses.total.isfinite()
    absent = dense_center_objective(maps, torch.full((1, 4), torch.nan))
    assert absent.parts["giou"] == 0
    assert absent.total.isfinite()


def test_small_targets_weigh_as_much_as_large_ones() -> None:
    boxes = torch.tensor([[0.4, 0.4, 0.1, 0.1], [0.2, 0.2, 0.6, 0.6]])
    size = torch.full((2, 2, 32, 32), 0.2, requires_grad=True)
    maps = CenterMaps(torch.full((2, 1, 32, 32), 0.5), size, torch.zeros(2, 2, 32, 32))
    dense_center_objective(maps, boxes).parts["size"].backward()
    assert size.grad is not None
    small, large = size.grad.sum(dim=(1, 2, 3))
    assert small.item() == pytest.approx(-large.item(), rel=1e-4)


def test_nano_takes_any_senses_and_stays_small() -> None:
    torch.manual_seed(0)
    nano = Nano().eval()
    assert sum(parameter.numel() for parameter in nano.parameters()) < 3_000_000
    templates = {sense: torch.randn(2, 3, 128, 128) for sense in Modality}
    searches = {sense: torch.randn(2, 3, 256, 256) for sense in Modality}
    for senses in ([Modality.RGB], [Modality.THERMAL], [Modality.RGB, Modality.DEPTH], list(Modality)):
        template = nano.embed({sense: templates[sense] for sense in senses}, Prompt())
        maps = nano(template, {sense: searches[sense] for sense in senses})
        assert maps.score.shape == (2, 1, 32, 32)
        assert maps.size.shape == maps.offset.shape == (2, 2, 32, 32)


def test_nano_measures_the_template_exactly() -> None:
    torch.manual_seed(0)
    nano, view = Nano().eval(), {Modality.RGB: torch.randn(2, 3, 128, 128)}
    torch.nn.init.normal_(nano.head.box.bias, std=0.3)
    box = torch.tensor([[0.3, 0.2, 0.4, 0.6], [0.25, 0.25, 0.5, 0.5]])
    maps = nano(nano.embed(view, Prompt(box=box)), view)
    measured = maps.size[..., 7:9, 7:9].log().mean(dim=(2, 3)).exp()
    torch.testing.assert_close(measured, box[:, 2:], rtol=1e-4, atol=0)


def test_nano_learns_from_every_sense() -> None:
    torch.manual_seed(0)
    nano = Nano()
    senses = [Modality.RGB, Modality.EVENT]
    views = [{sense: torch.randn(2, 3, size, size) for sense in senses} for size in (128, 128)]
    batch = Batch(views[0], views[1], torch.tensor([[0.3, 0.4, 0.2, 0.1], [0.5, 0.4, 0.2, 0.3]]))
    nano.objective(batch).total.backward()
    learning = {name for name, parameter in nano.named_parameters() if parameter.grad is not None}
    assert any("stems.rgb" in name for name in learning)
    assert any("stems.event" in name for name in learning)
    assert not any("stems.depth" in name for name in learning)
    assert any("gate" in name for name in learning)
