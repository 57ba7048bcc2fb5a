"""Ablation tables as files: YAML, checked, with the line of whatever is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from tectum.ablation.table import Measure, Table, Trial, Variant
from tectum.errors import RecipeError, UnknownNameError
from tectum.evaluation.drops import Drop
from tectum.systems.base import Decoding
from tectum.tracking.views import MissingPolicy
from tectum.training import recipe_file

FOLDER = "ablations"
"""Where in the package the tables are that ship with it."""

TABLE = ("title", "recipe", "seeds", "budget", "set", "variants", "measure", "baseline")
VARIANT = ("recipe", "set", "weights_of", "weights", "evaluate")
MEASURE = ("benchmark", "split", "root", "key", "drop")

SAMPLE = "{benchmark: world-bench, split: rgbt, key: SR}"
"""A measure as refusals show it."""

NEEDED = {
    "recipe": "`recipe: nano`",
    "variants": "`variants: {as it is: [], slower: [optim.lr=1e-4]}`",
    "measure": f"`measure: [{SAMPLE}]`",
}
"""What a table cannot do without, as refusals show it."""

Keys = tuple[str | int, ...]
"""Where a value stands in a document: keys and places in lists, from the outside."""


def read_table(name: str | Path) -> Table:
    """Reads a table by its file or by the name of one that ships with Tectum.

    It must say recipe, variants and measure. The title is the file's name, there is one seed, 1, the baseline is the
    first variant, and runs are as long as their recipes, where nothing else is said.

    Args:
        name: path of a YAML file, or a name such as `nano-senses`.

    Raises:
        RecipeError: if there is no such table, or it says what makes no sense; it names the line.
    """
    document = _Document(*recipe_file.found(str(name), "table", FOLDER))
    document.check_keys((), TABLE)
    _check_needed(document)
    variants = tuple(_variants(document, Path(name)))
    _check_variants(document, variants)
    budget = _budget(document)
    return Table(
        title=document.text(("title",), Path(name).stem),
        recipe=_recipe(document, ("recipe",), Path(name)),
        variants=variants,
        measures=tuple(_measures(document)),
        baseline=_baseline(document, variants),
        seeds=_seeds(document),
        budget=budget,
        budget_origin=document.place(("budget",)) if budget else "",
        changes=document.words(("set",)),
        origin=document.origin,
    )


def shipped() -> dict[str, str]:
    """The tables that ship with Tectum: their text by name."""
    return recipe_file.shipped(FOLDER)


def check_seeds(seeds: Sequence[int]) -> str | None:
    """What is wrong with some seeds; `None` if nothing is."""
    if not seeds:
        return "names no seed: give one or more whole numbers"
    if min(seeds) < 0:
        return f"holds {min(seeds)}: a seed is 0 or more"
    twice = next((seed for seed, count in Counter(seeds).items() if count > 1), None)
    return None if twice is None else f"holds {twice} twice"


class _Document:
    """A YAML file, value by value.

    Args:
        origin: its name, for messages.
        text: what it says.

    Raises:
        RecipeError: if it is no YAML with names at its top, or a name stands twice.
    """

    def __init__(self, origin: str, text: str) -> None:
        self.origin = origin
        loader = yaml.SafeLoader(text)
        try:
            self._root = loader.get_single_node()
            if not isinstance(self._root, yaml.MappingNode):
                raise RecipeError(f"{origin} holds no table: write {_listed(list(NEEDED.values()))}.")
            self._check_unique(self._root)
            self._said = loader.construct_document(self._root)
        except yaml.MarkedYAMLError as error:
            line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
            raise RecipeError(f"{origin}{line}: this is no YAML ({error.problem}).") from None

    def get(self, path: Keys) -> Any:
        """The value at a place; `None` where there is none."""
        value: Any = self._said
        for name in path:
            value = value.get(name) if isinstance(value, Mapping) else value[int(name)]
        return value

    def text(self, path: Keys, default: str | None = None) -> str:
        """Text that must be there, unless there is a default."""
        value = self.get(path)
        if value is None and default is not None:
            return default
        if not isinstance(value, str | int | float) or not str(value).strip():
            raise self.error(path, "must be said" if value is None else "must be text")
        return str(value)

    def maybe(self, path: Keys) -> str | None:
        """Text that may be missing."""
        return None if self.get(path) is None else self.text(path)

    def words(self, path: Keys) -> tuple[str, ...]:
        """A list of settings; none where nothing is said."""
        value = self.get(path)
        if value is None:
            return ()
        if not isinstance(value, list):
            raise self.error(path, "must be a list of settings such as [optim.lr=1e-4]")
        wrong = next((each for each in value if not isinstance(each, str) or "=" not in each), None)
        if wrong is not None:
            raise self.error(path, f"holds {wrong!r}: write settings as NAME=VALUE")
        return tuple(value)

    def check_keys(self, path: Keys, known: Sequence[str]) -> None:
        """Makes sure that names at a place are known ones."""
        value = self.get(path)
        if not isinstance(value, Mapping):
            raise self.error(path, f"must say {', '.join(known)}, each as NAME: VALUE")
        for name in value:
            if name not in known:
                raise self.error((*path, name), f"is unknown: use {', '.join(known)}")

    def error(self, path: Keys, fault: str) -> RecipeError:
        """What is wrong at a place."""
        return RecipeError(f"{self.place(path)}: {'.'.join(map(str, path))} {fault}.")

    def place(self, path: Keys) -> str:
        """File and line of a place, or of the innermost one around it that is there."""
        node, line = self._root, self._root.start_mark.line
        for name in path:
            if isinstance(node, yaml.MappingNode):
                pair = next((pair for pair in node.value if pair[0].value == str(name)), None)
                if pair is None:
                    break
                line, node = pair[0].start_mark.line, pair[1]
            elif isinstance(node, yaml.SequenceNode) and isinstance(name, int):
                node = node.value[name]
                line = node.start_mark.line
        return f"{self.origin}, line {line + 1}"

    def _check_unique(self, node: yaml.Node) -> None:
        if isinstance(node, yaml.MappingNode):
            names = Counter(key.value for key, _ in node.value)
            for key, value in node.value:
                if names[key.value] > 1:
                    raise RecipeError(f"{self.origin}, line {key.start_mark.line + 1}: '{key.value}' stands twice.")
                self._check_unique(value)
        elif isinstance(node, yaml.SequenceNode):
            for each in node.value:
                self._check_unique(each)


def _check_needed(document: _Document) -> None:
    """Makes sure that a table says all that it cannot do without."""
    lacking = [name for name in NEEDED if document.get((name,)) is None]
    if lacking:
        written = _listed([NEEDED[name] for name in lacking])
        raise RecipeError(f"{document.origin} lacks {_listed(lacking)}: write {written}.")


def _listed(words: Sequence[str]) -> str:
    """Such as `recipe, variants and measure`."""
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _recipe(document: _Document, path: Keys, table: Path) -> str:
    """A recipe's name, or its file, which a table names relative to itself."""
    said = document.text(path)
    beside = table.parent / said
    return str(beside) if beside.is_file() else said


def _seeds(document: _Document) -> tuple[int, ...]:
    said = document.get(("seeds",))
    if said is None:
        return (1,)
    if not isinstance(said, list) or not all(type(each) is int for each in said):
        raise document.error(("seeds",), "must be a list of whole numbers such as [1, 2, 3]")
    fault = check_seeds(said)
    if fault:
        raise document.error(("seeds",), fault)
    return tuple(said)


def _budget(document: _Document) -> int | None:
    said = document.get(("budget",))
    if said is not None and (type(said) is not int or said < 1):
        raise document.error(("budget",), "must be a number of samples, 1 or more")
    return said


def _baseline(document: _Document, variants: Sequence[Variant]) -> str:
    names = [variant.name for variant in variants]
    said = document.text(("baseline",), names[0])
    if said not in names:
        raise document.error(("baseline",), f"is '{said}', which is no variant: use one of {', '.join(names)}")
    return said


def _variants(document: _Document, table: Path) -> Iterator[Variant]:
    said = document.get(("variants",))
    if not isinstance(said, Mapping) or not said:
        raise document.error(("variants",), "must hold settings by name, such as `baseline: []`")
    for name, settings in said.items():
        path: Keys = ("variants", name)
        if settings is None or isinstance(settings, list):
            yield Variant(str(name), document.words(path), origin=document.place(path))
            continue
        document.check_keys(path, VARIANT)
        yield Variant(
            str(name),
            document.words((*path, "set")),
            _recipe(document, (*path, "recipe"), table) if "recipe" in settings else None,
            document.maybe((*path, "weights_of")),
            document.maybe((*path, "weights")),
            _trial(document, (*path, "evaluate")),
            document.place(path),
        )


def _trial(document: _Document, path: Keys) -> Trial:
    words = list(document.words(path))
    try:
        said = OmegaConf.merge(OmegaConf.structured(Trial), OmegaConf.from_dotlist(words))
        trial = OmegaConf.to_object(said)
        assert isinstance(trial, Trial)
        MissingPolicy.of(trial.missing)
    except (OmegaConfBaseException, ValueError, UnknownNameError) as error:
        raise document.error(path, f"cannot be read ({str(error).splitlines()[0].rstrip('.')})") from None
    known = [each.name for each in fields(Decoding)]
    wrong = next((name for name in trial.decoding if name not in known), None)
    if wrong is not None:
        raise document.error(path, f"sets decoding.{wrong}, which is unknown: use {', '.join(known)}")
    return trial


def _check_variants(document: _Document, variants: Sequence[Variant]) -> None:
    """Makes sure that each variant has a folder of its own, and weights."""
    folders: dict[str, str] = {}
    owners = [variant.name for variant in variants if variant.weights_of is None]
    for variant in variants:
        path: Keys = ("variants", variant.name)
        other = folders.setdefault(variant.folder.lower(), variant.name)
        if other != variant.name:
            raise document.error(path, f"is too like '{other}': their folders would have the same name, so rename one")
        if variant.weights_of is not None and variant.weights_of not in owners:
            known = ", ".join(owners) or "none"
            raise document.error((*path, "weights_of"), f"must name a variant with its own weights, one of {known}")
        if variant.borrowed is not None:
            _check_untrained(document, path, variant)


def _check_untrained(document: _Document, path: Keys, variant: Variant) -> None:
    """Makes sure that a variant which trains nothing does not say how to train."""
    source = "weights_of" if variant.weights_of is not None else "weights"
    for name, said in (("set", variant.changes), ("recipe", variant.recipe)):
        if said:
            raise document.error((*path, name), f"has no effect, for {source} trains nothing: leave one out")
    if variant.weights_of is not None and variant.weights is not None:
        raise document.error((*path, "weights"), "stands beside weights_of: leave one out")


def _drop(document: _Document, path: Keys) -> tuple[str, ...]:
    """What is hidden of every sequence: drops with blanks between them, in one order."""
    try:
        return tuple(sorted({str(Drop.of(text)) for text in (document.maybe(path) or "").split()}))
    except UnknownNameError as error:
        raise document.error(path, f"cannot be read: {str(error).rstrip('.')}") from None


def _check_measure(document: _Document, path: Keys) -> None:
    """Makes sure that a measure has a benchmark, a key and nothing unknown."""
    said = document.get(path)
    if not isinstance(said, Mapping):
        raise document.error(path, f"names no benchmark and key: write `- {SAMPLE}`")
    document.check_keys(path, MEASURE)
    lacking = [name for name in ("benchmark", "key") if said.get(name) is None]
    if lacking:
        raise document.error(path, f"lacks {_listed(lacking)}: write `- {SAMPLE}`")


def _measures(document: _Document) -> Iterator[Measure]:
    said = document.get(("measure",))
    if not isinstance(said, list) or not said:
        raise document.error(("measure",), f"must be a list of benchmarks, each with its key: write `- {SAMPLE}`")
    seen: dict[str, Measure] = {}
    for number in range(len(said)):
        path: Keys = ("measure", number)
        _check_measure(document, path)
        measure = Measure(
            benchmark=document.text((*path, "benchmark")),
            key=document.text((*path, "key")),
            split=document.maybe((*path, "split")),
            root=document.maybe((*path, "root")),
            drop=_drop(document, (*path, "drop")),
            origin=document.place(path),
        )
        if measure.title in seen:
            raise document.error(path, f"is measured twice ({measure.title})")
        alike = next((each for each in seen.values() if each.folder == measure.folder), measure)
        if (alike.split, alike.root) != (measure.split, measure.root):
            raise document.error(path, "has the name of another measure, but other sequences: name its split")
        seen[measure.title] = measure
        yield measure
