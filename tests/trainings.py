"""Small trainings on procedural pairs, that tests run in a second or two."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from tectum.networks.vit import ViTConfig
from tectum.systems.base import System
from tectum.systems.ostrack import OSTrack, OSTrackConfig
from tectum.training.loop import Hooks, Training
from tectum.training.recipe import Recipe
from tectum.training.recipe_file import read_recipe

WORLD = [
    "data.clips.share=0",
    "data.stills.share=0",
    *(f"data.world.{setting}" for setting in ("pictures=[]", "cutouts=[]", "plates=4", "things=8")),
]
"""Settings that leave of `nano` what needs no real data."""

SMALL = [
    *WORLD,
    *("schedule.epochs=2", "schedule.samples=4", "schedule.warmup=0", "crops.search_size=128"),
    *("batch.size=2", "workers=0", "precision=fp32", "validation.every=2", "validation.pairs=2"),
]
"""Settings that make of it four batches of two pairs."""

TINY = ViTConfig(template_size=32, search_size=64, patch=16, width=16, depth=2, heads=2, eliminate_at=(1,))


def procedural(*changes: str) -> Recipe:
    return read_recipe("nano", [*SMALL, *changes])


def tiny(recipe: Recipe, drop_path: float = 0.1) -> System:
    """A transformer of a few thousand weights."""
    torch.manual_seed(recipe.seed)
    return OSTrack(OSTrackConfig(replace(TINY, drop_path=drop_path), search_factor=4.0, head=16))


def transformed(*changes: str) -> Recipe:
    """A recipe for `tiny`, with statistics fixed throughout: whole batches and parts of them are then the same."""
    recipe = procedural(
        *("batch.size=16", "batch.group=4", "schedule.samples=48", "schedule.epochs=1", "optim.settle=1"),
        *("data.world.ranges.absent=0", "data.world.ranges.wide=0", "optim.ema=0", *changes),
    )
    return replace(recipe, crops=type(recipe.crops)(), system="ostrack-b256")


def transform(folder: Path, *changes: str) -> dict[str, torch.Tensor]:
    """Trains `tiny`, without anything drawn at random in the network, and returns its weights."""
    training = Training(transformed(*changes), folder, hooks=Hooks(build=partial(tiny, drop_path=0.0)))
    for _ in training.run():
        pass
    return training.system.state_dict()
