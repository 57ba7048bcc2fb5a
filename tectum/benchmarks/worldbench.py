"""World-bench: sixty rendered sequences with exact truth, which need no download."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tectum.benchmarks.plain import Plain
from tectum.errors import BenchmarkError, UnknownNameError

_CONTENTS = "contents.json"


class WorldBench(Plain):
    """The plain layout, in a folder for each pairing of senses: `ROOT/PAIRING/NAME`.

    `contents.json` in the root says which version of the benchmark lies there and which sequences each split, one for
    each pairing, has; the split `all` has those of all pairings. Pairings stand among the attributes.
    """

    name = "world-bench"
    title = "world-bench"
    source = "Tectum's procedural world"

    def version(self, root: Path) -> str:
        """Eight hexadecimal digits that stand for every pixel; see `Benchmark.version`."""
        return str(_contents(root)["version"])

    def names(self, root: Path, split: str | None = None) -> tuple[str, ...]:
        """The sequences of a split in order, whether or not they are there; see `Benchmark.names`."""
        splits = self._pairings(root)
        splits[self.split] = tuple(name for names in splits.values() for name in names)
        wanted = split or self.split
        if wanted not in splits:
            raise UnknownNameError(f"{self.title} has no split '{wanted}': use one of {', '.join(splits)}.")
        return splits[wanted]

    def attributes(self, root: Path) -> Mapping[str, frozenset[str]]:
        """The sequences of each pairing, then those of each label of the world in alphabetical order."""
        pairings = {pairing: frozenset(names) for pairing, names in self._pairings(root).items()}
        return {**pairings, **super().attributes(root)}

    def _pairings(self, root: Path) -> dict[str, tuple[str, ...]]:
        return {pairing: tuple(map(str, names)) for pairing, names in _contents(root)["splits"].items()}


def _contents(root: Path) -> dict[str, Any]:
    """The version and the sequences of each split."""
    path = root / _CONTENTS
    try:
        held = json.loads(path.read_text("utf-8"))
        if isinstance(held["version"], str) and isinstance(held["splits"], dict):
            return dict(held)
    except (OSError, ValueError, TypeError, KeyError):
        pass
    raise BenchmarkError(f"{path} does not say what of world-bench lies there: name a folder of `tectum world bench`.")
