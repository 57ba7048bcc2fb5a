"""Where to get the weights of a preset that do not ship with Tectum."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import resources

from tectum.frames import Modality

PUBLISHED: Mapping[str, str] = {
    "ostrack": "OSTrack (Ye et al., ECCV 2022) or DropTrack (Wu et al., CVPR 2023)",
    "vipt": "ViPT (Zhu et al., CVPR 2023)",
    "sdstrack": "SDSTrack (Hou et al., CVPR 2024)",
    "bat": "BAT (Cao et al., AAAI 2024)",
    "tbsi": "TBSI (Hui et al., CVPR 2023)",
    "ckd": "CKD (Lu et al., ACM MM 2024)",
    "patrack": "PATrack (Wang et al., 2026)",
}
"""Whose published checkpoint the presets of a system open, by the first word of their names; not the tiny ones."""


def how_to_get(preset: str, second: Modality) -> str:
    """What a user without weights can do, to end a sentence.

    Args:
        preset: a name such as `bat-b256`.
        second: the sense beside RGB, for systems that take one.
    """
    system, *kind = preset.split("-")
    if system not in PUBLISHED or "tiny" in kind:
        return how_to_train(preset, second)
    return (
        f"download the published checkpoint of {PUBLISHED[system]} and give its path as the weights (--weights), or "
        "give weights that you trained"
    )


def how_to_train(preset: str, second: Modality) -> str:
    """The command that makes a preset's weights where a recipe ships, to end a sentence; see `how_to_get`."""
    recipe = _recipe(preset, second)
    if recipe is None:
        return "train it by a recipe of your own and give the run's folder as the weights (--weights)"
    return f"`tectum train {recipe} --data DIR` makes them, and the run's folder is given as the weights (--weights)"


def _recipe(preset: str, second: Modality) -> str | None:
    """The recipe that trains a preset on a second sense, with the setting that says so where it serves several."""
    for name, settings in _recipes().items():
        if settings.get("system") != preset:
            continue
        if name == preset:
            return f"{name} second={second}" if "second" in settings else name
        if settings.get("second") == second:
            return name
    return None


def _recipes() -> dict[str, dict[str, str]]:
    """System and second sense of each recipe that ships, by its name."""
    files = (resources.files("tectum") / "recipes").iterdir()
    texts = {file.name.removesuffix(".yaml"): file.read_text() for file in files if file.name.endswith(".yaml")}
    return {name: dict(re.findall(r"^(system|second): *(\S+)", text, re.MULTILINE)) for name, text in texts.items()}
