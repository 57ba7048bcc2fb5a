"""What annotation files hold: boxes, labels, a sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from tectum.benchmarks.base import Array
from tectum.benchmarks.numbers import NumbersError, read_rows
from tectum.errors import BenchmarkError


def read_boxes(path: Path) -> Array:
    """Reads boxes.

    Returns:
        Boxes `N×4` as `x, y, w, h` in pixels, as the file has them.

    Raises:
        NumbersError: if the file is no table of four columns.
    """
    rows = read_rows(path)
    if rows.shape[1] != 4:
        raise NumbersError(f"{path} has {rows.shape[1]} columns, but a box has 4: download it again.")
    return rows


def read_corners(path: Path) -> Array:
    """Reads boxes that are written as two opposite corners `x1, y1, x2, y2`; no pixel is added to their size.

    Returns:
        Boxes `N×4` as `x, y, w, h` in pixels.

    Raises:
        NumbersError: if the file is no table of four columns.
    """
    corners = read_boxes(path).reshape(-1, 2, 2)
    low, high = corners.min(axis=1), corners.max(axis=1)
    return np.concatenate([low, high - low], axis=1)


def read_flags(path: Path, count: int) -> npt.NDArray[np.bool_]:
    """Reads labels 0 and 1, one a line or all in one line; what is beyond `count` is left out.

    Returns:
        `count` flags, true for 1.

    Raises:
        NumbersError: if the file is no table of numbers or too short.
    """
    labels = read_rows(path).ravel()
    if len(labels) < count:
        raise NumbersError(f"{path} has {len(labels)} labels for {count} boxes: download it again.")
    return np.asarray(labels[:count] > 0)


def read_sentence(path: Path) -> str | None:
    """Reads the first line whole, commas included; `None` where the file is missing or the line is empty.

    Raises:
        BenchmarkError: if the file cannot be read.
    """
    try:
        content = path.read_text("utf-8-sig", errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BenchmarkError(f"{path} cannot be read ({error.strerror}): make it readable.") from None
    lines = content.strip().splitlines()
    return lines[0].strip() if lines else None
