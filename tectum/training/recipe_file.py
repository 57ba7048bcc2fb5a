"""Recipe files: YAML checked against what a recipe can say, with the line of whatever is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from tectum.errors import OptionError, RecipeError, TectumError, alternatives
from tectum.systems.catalogue import known_presets
from tectum.systems.options import changed
from tectum.training.parts import KINDS, Part, WorldPart
from tectum.training.recipe import Recipe, sense_shares


def read_recipe(name: str | Path, changes: list[str] | None = None) -> Recipe:
    """Reads a recipe by its file or by the name of one that ships with Tectum.

    Args:
        name: path of a YAML file, or a name such as `nano`.
        changes: settings such as `schedule.epochs=5` or `optim.lr=1e-4` that replace the file's.

    Raises:
        RecipeError: if there is no such recipe, or a setting is unknown or makes no sense; it names the line.
    """
    draft = _Draft(*found(str(name)), changes or [])
    recipe = draft.recipe()
    for setting, fault in _faults(recipe):
        raise draft.error(setting, fault)
    return recipe


def shortened(recipe: Recipe) -> Recipe:
    """The same recipe for about a minute, to see that everything works."""
    batch = replace(recipe.batch, size=min(8, recipe.batch.size), micro=None)
    schedule = replace(recipe.schedule, epochs=2, samples=20 * batch.size, warmup=min(1.0, recipe.schedule.warmup))
    parts = {
        name: replace(part, plates=32, things=64) if isinstance(part, WorldPart) else part
        for name, part in recipe.data.items()
    }
    validation = replace(recipe.validation, benchmark=None, best=None)
    return replace(recipe, batch=batch, schedule=schedule, data=parts, validation=validation, expect={})


def shipped(folder: str = "recipes") -> dict[str, str]:
    """The files of a folder that ship with Tectum, by default its recipes: their text by name."""
    files = (resources.files("tectum") / folder).iterdir()
    return {each.name.removesuffix(".yaml"): each.read_text() for each in files if each.name.endswith(".yaml")}


def found(name: str, kind: str = "recipe", folder: str = "recipes") -> tuple[str, str]:
    """Where a YAML file is from, for messages, and its text.

    Args:
        name: its path, or the name of one that ships with Tectum.
        kind: what it holds, for messages.
        folder: of those that ship.

    Raises:
        RecipeError: if there is none.
    """
    path = Path(name)
    if path.is_file():
        return name, path.read_text()
    known = shipped(folder)
    if name in known:
        return f"{name}.yaml", known[name]
    raise RecipeError(f"There is no {kind} '{name}', nor a file of that name: {alternatives(name, sorted(known))}")


@dataclass(frozen=True)
class _Draft:
    """A recipe as its author wrote it.

    Attributes:
        origin: the file, for messages.
        text: what it says.
        changes: what was said on the command line.
    """

    origin: str
    text: str
    changes: list[str]

    def recipe(self) -> Recipe:
        """The values, of the right kinds.

        Raises:
            RecipeError: if a setting is unknown or of the wrong kind.
        """
        said = self._said()
        parts = said.pop("data", None) or {}
        values = self._fitted(Recipe, said, "")
        assert isinstance(values, Recipe)
        if not isinstance(parts, Mapping):
            raise self.error("data", "must hold parts by name, such as `world: {kind: world}`")
        return replace(values, data={str(name): self._part(str(name), part) for name, part in parts.items()})

    def error(self, setting: str, fault: str) -> RecipeError:
        """What is wrong with a setting, and where it was said."""
        return RecipeError(f"{self._place(setting)}: {setting} {fault}.")

    def _said(self) -> dict[str, Any]:
        try:
            merged = OmegaConf.merge(OmegaConf.create(self.text), OmegaConf.from_dotlist(self.changes))
            said = OmegaConf.to_container(merged, resolve=True)
        except yaml.MarkedYAMLError as error:
            line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
            raise RecipeError(f"{self.origin}{line}: this is no YAML ({error.problem}).") from None
        except (OmegaConfBaseException, yaml.YAMLError, ValueError, AttributeError) as error:
            raise RecipeError(f"{self.origin}: {_first_line(error)}: write settings as NAME=VALUE.") from None
        if not isinstance(said, dict):
            raise RecipeError(f"{self.origin} holds no settings: write them as NAME: VALUE, one a line.")
        optim = said.get("optim")
        if isinstance(optim, dict) and isinstance(optim.get("rates"), dict):
            # A part such as backbone.blocks has dots in its name, which the command line reads as sections.
            optim["rates"] = dict(_dotted(optim["rates"]))
        return {str(name): value for name, value in said.items()}

    def _part(self, name: str, said: Any) -> Part:
        known = ", ".join(KINDS)
        if not isinstance(said, Mapping) or "kind" not in said:
            raise self.error(f"data.{name}", f"has no kind: a part of the data is one of {known}")
        kind = said["kind"]
        if kind not in KINDS:
            raise self.error(f"data.{name}.kind", f"is {kind!r}: a part of the data is one of {known}")
        part = self._fitted(KINDS[kind], said, f"data.{name}.")
        assert isinstance(part, Part)
        return part

    def _fitted(self, kind: type, said: Mapping[str, Any], prefix: str) -> object:
        """Values of a kind from what was said."""
        schema = OmegaConf.structured(kind)
        for name, value in said.items():
            if isinstance(schema.get(name), DictConfig) and not isinstance(value, Mapping):
                raise self.error(prefix + name, f"is {value!r}: it takes settings of its own, as NAME: VALUE")
        try:
            return OmegaConf.to_object(OmegaConf.merge(schema, DictConfig(said)))
        except (OmegaConfBaseException, ValueError, TectumError) as error:
            setting = (prefix + str(getattr(error, "full_key", None) or "")).rstrip(".")
            raise self.error(setting, f"cannot be read ({_first_line(error)})") from None

    def _place(self, setting: str) -> str:
        """The word on the command line, or the line of the file, in which a setting stands."""
        for change in self.changes:
            said = change.partition("=")[0]
            if said == setting or said.startswith(f"{setting}."):
                return f"'{change}' on the command line"
        return f"{self.origin}, line {_line_of(self.text, setting.split('.'))}"


def _dotted(sections: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The settings of sections within sections, by their whole names."""
    for name, value in sections.items():
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _line_of(text: str, path: list[str]) -> int:
    """The line, from 1, of a setting, or of the innermost section around it that is there."""
    node, line = yaml.compose(text), 1
    for name in path:
        if not isinstance(node, yaml.MappingNode):
            break
        found = next((pair for pair in node.value if pair[0].value == name), None)
        if found is None:
            break
        line, node = found[0].start_mark.line + 1, found[1]
    return line


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".")


def _faults(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """Settings whose values make no sense, each with what is wrong."""
    at_least_one = (
        "batch.size",
        "batch.group",
        "schedule.epochs",
        "schedule.samples",
        "checkpoint",
        "validation.every",
    )
    yield from _unless(recipe, at_least_one, lambda value: value >= 1, "it must be 1 or more")
    shares = ("optim.settle", "optim.tuning.share", "schedule.floor")
    yield from _unless(recipe, shares, lambda value: 0 <= value <= 1, "it is a share")
    kept = ("optim.ema", "optim.tuning.low", "optim.tuning.high")
    yield from _unless(recipe, kept, lambda value: 0 <= value < 1, "it must be at least 0 and below 1")
    if recipe.optim.tuning.kind in ("update", "weight") and recipe.optim.tuning.low > recipe.optim.tuning.high:
        yield "optim.tuning", f"goes from {recipe.optim.tuning.low} down to {recipe.optim.tuning.high}: it must rise"
    for name, rate in recipe.optim.rates.items():
        if rate < 0:
            yield f"optim.rates.{name}", f"is {rate}: it must not be negative"
    not_negative = ("workers", "optim.clip", "optim.weight_decay", "schedule.warmup", "schedule.drop")
    yield from _unless(recipe, not_negative, lambda value: value >= 0, "it must not be negative")
    yield from _unless(recipe, ("optim.lr",), lambda value: value > 0, "it must be above zero")
    micro = recipe.batch.micro
    if micro is not None and (micro < 1 or (micro < recipe.batch.size and micro % recipe.batch.group)):
        yield "batch.micro", f"is {micro}: it must be a multiple of batch.group, {recipe.batch.group}"
    yield from _sense_faults(recipe)
    yield from _option_faults(recipe)
    if (recipe.elimination.start is None) != (recipe.elimination.warm is None):
        yield "elimination", "takes both start and warm, in epochs, or neither"
    for name, bounds in recipe.expect.items():
        if len(bounds) != 2:
            yield "expect", f"gives {name} as {bounds}: it takes the score and its tolerance, such as [0.50, 0.03]"


def _sense_faults(recipe: Recipe) -> Iterator[tuple[str, str]]:
    for name, share in recipe.senses.items():
        if share < 0:
            yield f"senses.{name}", f"is {share}: it must not be negative"
    try:
        sense_shares(recipe.senses)
    except (TectumError, ZeroDivisionError):
        yield "senses", "must give shares above zero to senses such as rgb or rgb+thermal"
    for name, part in recipe.data.items():
        if part.share < 0:
            yield f"data.{name}.share", f"is {part.share}: it must not be negative"


def _option_faults(recipe: Recipe) -> Iterator[tuple[str, str]]:
    preset = known_presets().get(recipe.system)
    try:
        if preset is not None:
            changed(preset.config, recipe.options)
    except OptionError as error:
        yield f"options.{error.option}", error.fault


def _unless(
    recipe: Recipe, settings: tuple[str, ...], holds: Callable[[float], bool], rule: str
) -> Iterator[tuple[str, str]]:
    """The settings for which a rule does not hold."""
    for setting in settings:
        value: Any = recipe
        for name in setting.split("."):
            value = getattr(value, name)
        if not holds(value):
            yield setting, f"is {value}: {rule}"
