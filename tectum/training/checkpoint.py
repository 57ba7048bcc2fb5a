"""The file from which a stopped run goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from tectum.errors import RecipeError

ENTRIES = frozenset({"recipe", "data", "done", "validated", "best", "system", "average", "updates", "optimiser"})
"""What it holds: the run that it is of, how far that is, and every number that training changes."""


def write_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Writes the file; an interruption while writing leaves the previous one whole."""
    partial = path.with_name(path.name + ".part")
    torch.save(state, partial)
    partial.replace(path)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Reads the file without running anything that it holds.

    Raises:
        RecipeError: if it is damaged.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        complete = isinstance(state, dict) and state.keys() >= ENTRIES
    except Exception:  # a damaged file makes the reader fail in any way at all
        complete = False
    if not complete:
        raise RecipeError(f"{path} is damaged: delete it to begin anew, or train into another folder with --out.")
    return state  # type: ignore[no-any-return]
