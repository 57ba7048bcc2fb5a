"""Where the annotations of a sequence lie in a download."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tectum.errors import BenchmarkError

FLAT_FOLDERS = ("", "groundtruth", "gt_rect", "annos/gt_rect", "annos")
"""Folders below the root that may hold one annotation file per sequence, as toolkits ship them."""


@dataclass(frozen=True)
class Place:
    """Where a sequence was found.

    Attributes:
        annotation: the file with its boxes.
        folder: its own folder; `None` where there is only one file per sequence.
    """

    annotation: Path
    folder: Path | None


def locate(root: Path, name: str, files: Sequence[str], flat: Sequence[str] = FLAT_FOLDERS) -> Place:
    """Finds a sequence: its folder in the root or one level below, or its file in a flat folder.

    Args:
        root: the folder of the download, of a split, or of annotations alone.
        name: the sequence, maybe with its package or class in front (`Class/name`).
        files: names of the annotation file, the best first.
        flat: folders below the root in which `NAME.txt` is looked for.

    Raises:
        BenchmarkError: if it is not there.
    """
    if not root.is_dir():
        raise BenchmarkError(f"There is no folder {root}: check the path.")
    last = name.rpartition("/")[2]
    folder = next((root / each for each in dict.fromkeys((name, last)) if (root / each).is_dir()), None)
    if folder is None:
        for each in flat:
            if (file := root / each / f"{last}.txt").is_file():
                return Place(file, None)
        folder = _folders_below(root, root.stat().st_mtime_ns).get(last)
    if folder is None:
        file_too = f", nor a file {last}.txt" if flat else ""
        raise BenchmarkError(
            f"There is no folder {last} in {root} or one level below{file_too}: check the path or download it again."
        )
    return Place(_first_file(folder, files), folder)


def toolkit_labels(annotation: Path) -> Path | None:
    """The labels that toolkits of the MATLAB family keep in a folder `absent` near the boxes (1 = absent)."""
    for folder in (annotation.parent, annotation.parent.parent):
        if (file := folder / "absent" / annotation.name).is_file():
            return file
    return None


def _first_file(folder: Path, files: Sequence[str]) -> Path:
    found = next((folder / each for each in files if (folder / each).is_file()), None)
    if found is None:
        raise BenchmarkError(f"Folder {folder} holds no {' or '.join(files)}: download it again.")
    return found


@lru_cache(maxsize=16)
def _folders_below(root: Path, changed: int) -> Mapping[str, Path]:
    """The folders within the folders of the root, by name; a download is listed once until its root changes."""
    found: dict[str, Path] = {}
    for inner in sorted(_folders_in(root)):
        for folder in _folders_in(inner):
            found.setdefault(folder.name, folder)
    return found


def _folders_in(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return [folder / entry.name for entry in entries if entry.is_dir()]
    except OSError:
        return []
