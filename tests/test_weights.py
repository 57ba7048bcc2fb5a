"""Weights: published checkpoints opened safely and strictly, and our own files."""

from __future__ import annotations

import argparse
import os
import pickle
import sys
import types
from collections import OrderedDict
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

import tectum
from tectum import weights
from tectum.cli.initial import named_weights
from tectum.errors import UnknownNameError, WeightsError
from tectum.frames import Modality
from tectum.networks.vit import ViTConfig, resize_positions
from tectum.systems.base import System
from tectum.systems.catalogue import build
from tectum.systems.duo import Duo, DuoConfig
from tectum.systems.options import Preset
from tectum.systems.ostrack import OSTrack, OSTrackConfig
from tectum.training import checkpoint
from tectum.training.folder import RunFolder
from tectum.training.recipe_file import read_recipe, shipped
from tectum.weights import files, origins
from tectum.weights.origins import PUBLISHED

VIT = ViTConfig(template_size=64, search_size=128, width=32, depth=2, heads=2)
CONFIG = OSTrackConfig(vit=VIT, head=16)
LARGER = replace(CONFIG, vit=replace(VIT, template_size=96, search_size=192))


@pytest.fixture(autouse=True)
def _small_presets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Presets small enough to save and load in milliseconds."""
    configs = {"ostrack-s": CONFIG, "ostrack-l": LARGER}
    small = {name: Preset(lambda second, config: OSTrack(config), config) for name, config in configs.items()}
    monkeypatch.setattr(OSTrack, "presets", classmethod(lambda cls: small))
    monkeypatch.setattr(Duo, "presets", classmethod(lambda cls: {"duo-s": Preset(Duo, DuoConfig(CONFIG))}))


@pytest.fixture
def published() -> dict[str, Tensor]:
    """A small OSTrack under the published names."""
    torch.manual_seed(0)
    system = OSTrack(CONFIG)
    names = {name: system.layout.original(name) for name in system.state_dict()}
    state = {names[name]: torch.randn_like(tensor.float()) for name, tensor in system.state_dict().items()}
    state["backbone.cls_token"] = torch.zeros(1, 1, 32)
    state["backbone.pos_embed"] = torch.zeros(1, 197, 32)
    return state


def test_published_names_lead_to_ours_and_back(published: dict[str, Tensor]) -> None:
    assert {"backbone.pos_embed_z", "box_head.conv1_ctr.0.weight", "box_head.conv5_offset.bias"} <= published.keys()
    system = weights.from_published("ostrack-s", published)
    assert torch.equal(system.state_dict()["head.size.conv3.1.bias"], published["box_head.conv3_size.1.bias"])
    assert torch.equal(system.state_dict()["backbone.search_positions"], published["backbone.pos_embed_x"])


@pytest.mark.parametrize("preset", ["ostrack-s", "duo-s"])
def test_misfits_are_listed_under_their_published_names(preset: str, published: dict[str, Tensor]) -> None:
    published["backbone.blocks.9.norm1.bias"] = torch.zeros(32)
    published["box_head.conv5_size.bias"] = torch.zeros(3)
    for name in ("box_head.conv1_ctr.0.bias", "backbone.blocks.0.attn.qkv.bias", "backbone.pos_embed_z"):
        del published[name]
    with pytest.raises(WeightsError) as caught:
        weights.from_published(preset, published)
    message = str(caught.value)
    assert f"'{preset}'" in message
    assert "lacks 3 of the names needed" in message
    assert "box_head.conv5_size.bias is 3, not 2" in message
    for name in ("box_head.conv1_ctr.0.bias", "backbone.blocks.0.attn.qkv.bias", "pos_embed_z", "blocks.9.norm1.bias"):
        assert name in message


def test_long_lists_are_cut() -> None:
    with pytest.raises(WeightsError, match=r"lacks \d+ of the names needed \(.* and \d+ more\)") as caught:
        weights.from_published("ostrack-s", {"epoch": torch.zeros(1)})
    assert len(str(caught.value)) < 700


def test_droptrack_adds_temporal_positions_and_resizes(published: dict[str, Tensor]) -> None:
    temporal = torch.randn(1, 1, 32)
    published["backbone.temporal_pos_embed_z"] = temporal
    published["backbone.temporal_pos_embed_x"] = torch.randn(1, 1, 32)
    same = weights.from_published("ostrack-s", published).state_dict()["backbone.template_positions"]
    torch.testing.assert_close(same, published["backbone.pos_embed_z"] + temporal)
    larger = weights.from_published("ostrack-l", published).state_dict()["backbone.template_positions"]
    torch.testing.assert_close(larger, resize_positions(published["backbone.pos_embed_z"], 36) + temporal)


def test_duo_starts_both_branches_from_one_stream(published: dict[str, Tensor]) -> None:
    duo = weights.from_published("duo-s", published, second="event")
    state = duo.state_dict()
    assert duo.senses == {Modality.RGB, Modality.EVENT}
    for name in ("blocks.1.mlp.fc1.weight", "norm.weight", "patch_embed.proj.bias"):
        assert torch.equal(state[f"rgb.{name}"], published[f"backbone.{name}"])
        assert torch.equal(state[f"other.{name}"], published[f"backbone.{name}"])
    first, second = state["head.score.conv1.0.weight"].chunk(2, dim=1)
    assert torch.equal(first, second)
    assert torch.equal(first, published["box_head.conv1_ctr.0.weight"])


def foreign(module: str, name: str, monkeypatch: pytest.MonkeyPatch, **state: object) -> Any:
    """An object of a class that exists while a file is written, and is gone when it is read."""
    parents = module.split(".")
    for depth in range(1, len(parents) + 1):
        path = ".".join(parents[:depth])
        monkeypatch.setitem(sys.modules, path, sys.modules.get(path, types.ModuleType(path)))
    kind = type(name, (), {"__module__": module})
    monkeypatch.setattr(sys.modules[module], name, kind, raising=False)
    thing = kind()
    thing.__dict__.update(state)
    return thing


@pytest.mark.parametrize("modern", [True, False])
def test_training_leftovers_are_passed_over(
    modern: bool, tmp_path: Path, published: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    stats = foreign("lib.train.admin.stats", "AverageMeter", monkeypatch, avg=np.float64(0.5), history=[1.0])
    settings = foreign("lib.train.admin.settings", "Settings", monkeypatch, device=torch.device("cpu"), env={})
    content = {
        "net": OrderedDict((f"module.{name}", tensor) for name, tensor in published.items()),
        "epoch": 300,
        "stats": OrderedDict(train=OrderedDict(loss=stats)),
        "settings": settings,
        "args": argparse.Namespace(lr=1e-4),
        "optimizer": {"state": {0: torch.zeros(3)}, "param_groups": [{"lr": 1e-4}]},
    }
    path = tmp_path / "OSTrack_ep0300.pth.tar"
    torch.save(content, path, _use_new_zipfile_serialization=modern)
    monkeypatch.undo()
    read = weights.read_published(path)
    assert read.keys() == published.keys()
    assert all(torch.equal(read[name], published[name]) for name in read)


class Hostile:
    """Creates a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("modern", [True, False])
def test_code_in_a_checkpoint_is_refused_and_not_run(
    modern: bool, tmp_path: Path, published: dict[str, Tensor]
) -> None:
    path, mark = tmp_path / "hostile.pth", tmp_path / "ran"
    torch.save({"net": published, "bait": Hostile(mark)}, path, _use_new_zipfile_serialization=modern)
    with pytest.raises(WeightsError, match=r"hostile\.pth asks for code to run"):
        weights.read_published(path)
    path.write_bytes(pickle.dumps({"net": Hostile(mark)}))
    with pytest.raises(WeightsError, match="asks for code to run"):
        weights.read_published(path)
    assert not mark.exists()


def test_calls_of_the_fields_own_functions_are_not_made(tmp_path: Path) -> None:
    path = tmp_path / "call.pth"
    path.write_bytes(b"\x80\x02clib.evil\nrun\nX\x02\x00\x00\x00hi\x85R.")
    with pytest.raises(WeightsError, match=r"call\.pth"):
        weights.read_published(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"not a checkpoint", "is damaged"),
        (b"\x80\x02}q\x00(", "is damaged"),
        (b"PK\x03\x04 cut short", "is damaged"),
    ],
)
@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_broken_files_are_named(content: bytes, reason: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    for opening in (weights.read_published, partial(weights.load, "ostrack-s")):
        with pytest.raises(WeightsError, match=f"{name} {reason}"):
            opening(path)


def test_a_truncated_checkpoint_is_named(tmp_path: Path, published: dict[str, Tensor]) -> None:
    path = tmp_path / "cut.pth"
    for modern in (True, False):
        torch.save({"net": published}, path, _use_new_zipfile_serialization=modern)
        whole = path.read_bytes()
        for share in (0.1, 0.6, 0.99):
            path.write_bytes(whole[: int(len(whole) * share)])
            with pytest.raises(WeightsError, match=r"cut\.pth is damaged"):
                weights.read_published(path)


def test_what_is_no_network_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="is a folder"):
        weights.read_published(tmp_path)
    with pytest.raises(WeightsError, match="There is no file"):
        weights.load("ostrack-s", tmp_path / "missing.pth")
    torch.save({"epoch": 3}, tmp_path / "empty.pth")
    with pytest.raises(WeightsError, match=r"empty\.pth holds no network"):
        weights.read_published(tmp_path / "empty.pth")


def test_the_state_of_a_training_is_told_from_its_weights(tmp_path: Path) -> None:
    path = RunFolder(tmp_path).checkpoint
    state = {**dict.fromkeys(checkpoint.ENTRIES), "system": OSTrack(CONFIG).state_dict(), "optimiser": {"step": 1}}
    checkpoint.write_checkpoint(path, state)
    for opening in (weights.read_published, partial(weights.load, "ostrack-s"), partial(weights.load, None)):
        with pytest.raises(WeightsError, match=r"checkpoint\.pt is the state from .*give best\.safetensors"):
            opening(path)


def equal(first: System, second: System) -> bool:
    ours, theirs = first.state_dict(), second.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    duo = Duo(Modality.DEPTH, DuoConfig(CONFIG))
    path = weights.save(duo, tmp_path / "deep" / "duo.safetensors", "duo-s")
    assert [file.name for file in path.parent.iterdir()] == ["duo.safetensors"]
    again = weights.load("duo-s", path)
    assert again.senses == duo.senses
    assert not again.training
    assert equal(duo, again)
    with pytest.raises(WeightsError, match="for rgb and depth, not for rgb and thermal"):
        weights.load("duo-s", path, second="thermal")


def test_a_runs_folder_stands_for_its_best_weights(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    best, last = OSTrack(CONFIG), OSTrack(CONFIG)
    with pytest.raises(WeightsError, match=r"is a folder without best\.safetensors or last\.safetensors"):
        weights.load("ostrack-s", tmp_path)
    for system, path in ((last, run.last), (best, run.best)):
        weights.save(system, path, "ostrack-s")
        assert equal(weights.load("ostrack-s", tmp_path), system)
    assert weights.read_published(tmp_path).keys() == best.state_dict().keys()
    start = named_weights(read_recipe("ostrack-tiny", [f"initial.weights={tmp_path}"]), None)
    assert start is not None
    assert start.path == run.best


def test_weights_say_of_which_preset_and_sense_they_are(tmp_path: Path, published: dict[str, Tensor]) -> None:
    path = weights.save(Duo(Modality.DEPTH, DuoConfig(CONFIG)), tmp_path / "best.safetensors", "duo-s")
    assert tectum.load(weights=tmp_path).system.senses == {Modality.RGB, Modality.DEPTH}
    assert (files.preset_for(path), files.preset_for(None), files.second_for(path)) == ("duo-s", "nano", "depth")
    weights.save(OSTrack(CONFIG), path, "ostrack-s")
    assert files.second_for(path) is None
    torch.save(published, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=r"other\.pth does not say which system it holds: name its preset"):
        weights.load(weights=tmp_path / "other.pth")


def test_half_precision_files_come_back_as_float32(tmp_path: Path) -> None:
    system = OSTrack(CONFIG)
    whole = weights.save(system, tmp_path / "whole.safetensors", "ostrack-s")
    half = weights.save(system, tmp_path / "half.safetensors", "ostrack-s", half=True)
    assert half.stat().st_size < 0.6 * whole.stat().st_size
    again = weights.load("ostrack-s", half)
    for (name, old), new in zip(system.state_dict().items(), again.state_dict().values(), strict=True):
        assert new.dtype == old.dtype, name
        torch.testing.assert_close(new, old, atol=1e-3, rtol=1e-3)


def test_weights_of_another_system_are_refused(tmp_path: Path, published: dict[str, Tensor]) -> None:
    path = weights.save(OSTrack(CONFIG), tmp_path / "w.safetensors", "ostrack-s")
    with pytest.raises(WeightsError, match=r"w\.safetensors holds weights of 'ostrack-s', not of 'duo-s'"):
        weights.load("duo-s", path)
    with pytest.raises(UnknownNameError, match="There is no preset 'siamfc'"):
        weights.load("siamfc", path)
    other = tmp_path / "other.safetensors"
    save_file({"conv.weight": torch.zeros(1)}, other)
    with pytest.raises(WeightsError, match=r"does not fit 'ostrack-s'.* 1 in all \(conv\.weight\).*the preset that"):
        weights.load("ostrack-s", other)
    save_file(published, other)
    assert not weights.load("ostrack-s", other).training


def test_a_changed_byte_is_noticed(tmp_path: Path) -> None:
    path = weights.save(OSTrack(CONFIG), tmp_path / "w.safetensors", "ostrack-s")
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="do not match its checksum"):
        weights.load("ostrack-s", path)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")
def test_saved_weights_are_as_readable_as_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    path = weights.save(OSTrack(CONFIG), tmp_path / "w.safetensors", "ostrack-s")
    assert path.stat().st_mode == (tmp_path / "other").stat().st_mode


def test_an_older_network_of_the_same_name_is_told_apart(tmp_path: Path) -> None:
    path = weights.save(OSTrack(LARGER), tmp_path / "w.safetensors", "ostrack-s")
    with pytest.raises(WeightsError, match="of another shape than this Tectum builds"):
        weights.load("ostrack-s", path)


def test_bundled_weights_may_be_made_for_a_second_sense(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(origins, "__file__", str(tmp_path / "origins.py"))
    for name in ("nano", "duo-s-thermal", "duo-s-event"):
        (tmp_path / f"{name}.safetensors").touch()
    found = [files.bundled("nano", "depth"), files.bundled("duo-s"), files.bundled("duo-s", Modality.EVENT)]
    assert [path.stem for path in found] == ["nano", "duo-s-thermal", "duo-s-event"]
    with pytest.raises(WeightsError, match="'duo-s' come with Tectum for thermal and event alone, not for depth"):
        files.bundled("duo-s", "depth")


def test_presets_without_bundled_weights_say_what_to_do() -> None:
    with pytest.raises(WeightsError, match="No weights of 'ostrack-s' come with Tectum: download"):
        weights.load("ostrack-s")
    with pytest.raises(UnknownNameError, match="There is no preset 'siamfc': use one of nano"):
        weights.load("siamfc")


@pytest.mark.parametrize(
    ("preset", "second", "way"),
    [
        ("bat-tiny", None, "`tectum train bat-tiny second=thermal --data DIR` makes them"),
        ("mst-tiny", "depth", "`tectum train mst-tiny second=depth --data DIR` makes them"),
        ("mst-b256", "event", "`tectum train mst-event --data DIR` makes them"),
        ("vipt-tiny", "event", "not for event: `tectum train vipt-tiny second=event --data DIR` makes them"),
        ("bat-b256", None, r"download the published checkpoint of BAT \(Cao et al\., AAAI 2024\)"),
        ("duo-b256", None, "train it by a recipe of your own"),
    ],
)
def test_the_way_to_weights_that_do_not_ship_is_one_that_there_is(
    preset: str, second: str | None, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # of the small presets
    with pytest.raises(WeightsError, match=way):
        files.bundled(preset, second)
    command = way.partition("train ")[2].partition(" --data")[0].split()
    if command and command[0] in shipped():
        recipe = read_recipe(command[0], command[1:])
        assert (recipe.system, recipe.second) == (preset, second or "thermal")


def test_published_systems_are_known_by_the_names_of_their_presets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert PUBLISHED.keys() <= {name.partition("-")[0] for name in files.known_presets()}


@pytest.mark.parametrize("written", ["patrack", "PATrack", "patrack-tinny"])
def test_a_misspelt_preset_is_guessed(written: str) -> None:
    with pytest.raises(UnknownNameError, match=rf"no preset '{written}': did you mean [^?]*patrack-tiny[^?]*\?.*nano"):
        build(written)


@pytest.mark.parametrize("opening", [partial(build, "duo-s"), partial(files.bundled, "duo-s")])
def test_the_second_sense_is_one_that_can_stand_beside_rgb(opening: partial[object]) -> None:
    for sense, complaint in (("sound", "no second sense 'sound'"), ("rgb", "second sense cannot be RGB")):
        with pytest.raises(UnknownNameError, match=f"{complaint}: use one of thermal, depth, event"):
            opening(sense)


def test_weights_are_saved_only_as_safetensors(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"ending in \.safetensors"):
        weights.save(OSTrack(CONFIG), tmp_path / "w.pth", "ostrack-s")
