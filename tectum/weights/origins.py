"""Where to get the weights of a preset that do not ship with Tectum."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from tectum.frames import Modality
from tectum.systems.catalogue import known_presets

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


@dataclass(frozen=True)
class Origin:
    """Where weights of a preset are to be had.

    Attributes:
        preset: its name.
        bundled: what the files that ship are for: second senses, or `all that it sees` where one serves; may be empty.
        published: whose checkpoint it opens; empty if none.
        recipes: that train it, of those that ship.
    """

    preset: str
    bundled: tuple[str, ...]
    published: str
    recipes: tuple[str, ...]


def origins() -> Iterator[Origin]:
    """Those of all presets, in the order of the catalogue."""
    recipes = sorted(_recipes().items())
    for preset in known_presets():
        trains = tuple(name for name, settings in recipes if settings.get("system") == preset)
        bundled = ("all that it sees",) if bundled_file(preset).is_file() else tuple(bundled_senses(preset))
        yield Origin(preset, bundled, _published(preset), trains)


def bundled_file(preset: str, second: Modality | None = None) -> Path:
    """Where the weights of a preset lie if they ship: those for one second sense, or for all that it sees."""
    return Path(__file__).parent / f"{preset if second is None else f'{preset}-{second}'}.safetensors"


def bundled_senses(preset: str) -> list[str]:
    """The second senses for each of which weights of a preset ship."""
    return [sense.value for sense in Modality if bundled_file(preset, sense).is_file()]


def _published(preset: str) -> str:
    """Whose checkpoint a preset opens; empty if none."""
    system, *kind = preset.split("-")
    return "" if "tiny" in kind else PUBLISHED.get(system, "")


def how_to_get(preset: str, second: Modality) -> str:
    """What a user without weights can do, to end a sentence.

    Args:
        preset: a name such as `bat-b256`.
        second: the sense beside RGB, for systems that take one.
    """
    published = _published(preset)
    if not published:
        return how_to_train(preset, second)
    return (
        f"download the published checkpoint of {published} and give its path as the weights (--weights), or "
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
