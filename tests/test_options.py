"""Options change what a system is made of, in recipes and in the weights that these leave."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tectum.errors import OptionError, RecipeError, WeightsError
from tectum.frames import Modality, Prompt
from tectum.networks.adapters import Mixer
from tectum.systems.catalogue import build
from tectum.systems.ckd import CKD
from tectum.systems.distillation import Level
from tectum.systems.patrack import PATrack
from tectum.training.recipe_file import read_recipe
from tectum.weights import load, save


def test_options_reach_into_parts_and_leave_the_rest() -> None:
    system = build("ckd-tiny", options={"masked": 0, "distillation": {"last": 2, "style_level": "token"}})
    plain = build("ckd-tiny")
    assert isinstance(system, CKD)
    assert isinstance(plain, CKD)
    assert (system.config.masked, system.config.distillation.last) == (0.0, 2)
    assert system.config.distillation.style_level is Level.TOKEN
    assert system.config.distillation.style == plain.config.distillation.style
    assert system.config.branch == plain.config.branch


def test_lists_stand_for_tuples_and_names_for_members() -> None:
    system = build("patrack-tiny", Modality.DEPTH, {"mixers": ["average"], "entangled_at": [2], "dependent_at": None})
    assert isinstance(system, PATrack)
    assert system.config.mixers == (Mixer.AVERAGE,)
    assert system.config.entangled_at == (2,)
    assert system.config.dependents == (0, 1, 3, 4)
    assert isinstance(hash(system.config), int)


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"mask": 0.5}, r"option mask is unknown: use one of branch, shared, "),
        ({"distillation": {"stile": 1}}, r"option distillation\.stile is unknown"),
        ({"distillation": {"style_level": "row"}}, r"distillation\.style_level cannot be 'row': .* channel, token"),
        ({"distillation": 1}, r"option distillation cannot be 1: it takes options of its own"),
        ({"masked": "half"}, r"option masked cannot be 'half': it takes a number"),
        ({"shared": 1}, r"option shared cannot be 1: it takes true or false"),
        ({"branch": {"vit": {"depth": 2.5}}}, r"branch\.vit\.depth cannot be 2\.5: it takes a whole number"),
        ({"branch": {"vit": {"eliminate_at": 3}}}, r"eliminate_at cannot be 3: it takes a list"),
        ({"distillation": {"last": 0}}, r"option distillation\.last does not suit the rest: .* give 1 or more"),
    ],
)
def test_an_impossible_option_is_named(options: dict[str, Any], fault: str) -> None:
    with pytest.raises(OptionError, match=fault):
        build("ckd-tiny", options=options)


def test_recipes_take_options_and_name_the_line_of_a_wrong_one(tmp_path: Path) -> None:
    assert read_recipe("ckd-tiny", ["options.distillation.style=0"]).options == {"distillation": {"style": 0}}
    file = tmp_path / "mine.yaml"
    file.write_text("system: ckd-tiny\noptions:\n  masked: 0.5\n  mask: 1\n")
    with pytest.raises(RecipeError, match=r"mine\.yaml, line 4: options\.mask is unknown"):
        read_recipe(file)
    with pytest.raises(RecipeError, match=r"'options\.shared=2' on the command line: options\.shared cannot be 2"):
        read_recipe("ckd-tiny", ["options.shared=2"])


def test_weights_remember_the_options_of_their_system(tmp_path: Path) -> None:
    torch.manual_seed(0)
    options = {"shared": True, "content_only": True}
    system = build("ckd-tiny", "event", options)
    file = save(system, tmp_path / "shared.safetensors", "ckd-tiny", options=options)
    found = load("ckd-tiny", file)
    assert isinstance(found, CKD)
    assert found.config == system.config
    assert found.second is Modality.EVENT
    assert all(torch.equal(tensor, found.state_dict()[name]) for name, tensor in system.state_dict().items())
    with pytest.raises(WeightsError, match="another shape"):
        load("ckd-tiny", file, options={})


def test_a_tracker_of_one_sense_may_see_another(tmp_path: Path) -> None:
    torch.manual_seed(0)
    system = build("ostrack-tiny", options={"sense": "thermal"})
    assert system.senses == {Modality.THERMAL}
    file = save(system, tmp_path / "heat.safetensors", "ostrack-tiny", options={"sense": "thermal"})
    assert load("ostrack-tiny", file).senses == {Modality.THERMAL}
    views = {Modality.THERMAL: torch.rand(1, 3, 64, 64)}
    template = system.embed(views, Prompt())
    assert system(template, {Modality.THERMAL: torch.rand(1, 3, 128, 128)}).score.shape == (1, 1, 8, 8)
