"""Tables of numbers in text files, in every form in which the field writes boxes, labels and times."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tectum.errors import TectumError

Array = npt.NDArray[np.float64]

_TO_BLANKS = bytes.maketrans(b",;\t\r", b"  \x20\n")
_MARK = b"\xef\xbb\xbf"
_SHOWN = 40


class NumbersError(TectumError):
    """A text file that is no table of numbers."""


def read_rows(path: Path) -> Array:
    """Reads a table of numbers, one row a line, whatever stands between them.

    Columns may be parted by commas, semicolons, tabs or blanks, lines by any line end; empty lines are skipped and
    a last line end may be missing. `nan` and `inf` are numbers.

    Args:
        path: a text file.

    Returns:
        Rows `R×C`, at least one.

    Raises:
        NumbersError: if the file cannot be read, is empty, holds what is no number, or rows of unequal length.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise NumbersError(f"{path} cannot be read ({error.strerror}).") from None
    text = content.removeprefix(_MARK).translate(_TO_BLANKS)
    columns = _columns(path, text)
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)
        try:
            numbers = np.fromstring(text, np.float64, sep=" ")
        except (DeprecationWarning, ValueError):
            raise NumbersError(_stranger(path, text)) from None
    return numbers.reshape(-1, columns)


def _columns(path: Path, text: bytes) -> int:
    """How many numbers each line holds; they must agree."""
    letters = np.frombuffer(text, np.uint8)
    ink = letters > 32
    starts = np.flatnonzero(ink & ~np.concatenate([[False], ink[:-1]]))
    if not len(starts):
        raise NumbersError(f"{path} is empty.")
    lines = np.searchsorted(np.flatnonzero(letters == 10), starts)
    counts = np.bincount(lines)
    used = np.flatnonzero(counts)
    columns = int(counts[used[0]])
    odd = used[counts[used] != columns]
    if len(odd):
        raise NumbersError(
            f"{path} has {counts[odd[0]]} values in line {odd[0] + 1}, but {columns} in line {used[0] + 1}."
        )
    return columns


def _stranger(path: Path, text: bytes) -> str:
    """Names the first value that is no number."""
    for number, line in enumerate(text.split(b"\n"), start=1):
        for word in line.split():
            try:
                float(word)
            except ValueError:
                shown = word[:_SHOWN].decode("ascii", "replace")
                return f"{path} has '{shown}' in line {number}, which is no number."
    return f"{path} holds what is no table of numbers."
