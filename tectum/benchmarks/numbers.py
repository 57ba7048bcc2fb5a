"""Tables of numbers in text files, in every form in which the field writes boxes, labels and times."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tectum.errors import TectumError

Array = npt.NDArray[np.float64]

_TO_BLANKS = bytes.maketrans(b",;\t", b"   ")
_MARK = b"\xef\xbb\xbf"
_HOLES = (b",,", b"\n,", b";;", b"\n;")
_SHOWN = 40


class NumbersError(TectumError):
    """A text file that is no table of numbers."""


def read_rows(path: Path) -> Array:
    """Reads a table of numbers, one row a line, whatever stands between them.

    Columns may be parted by commas, semicolons, tabs or blanks, lines by any line end; empty lines are skipped, and
    the last line end may be missing. `nan` and `inf` are numbers, an empty field is none.

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
    return parse_rows(content, path)


def parse_rows(content: bytes, path: Path) -> Array:
    """The same for what a file holds.

    Args:
        content: the text, in any encoding that holds ASCII.
        path: the file, for sentences.

    Returns:
        Rows `R×C`, at least one.

    Raises:
        NumbersError: if it is empty, holds what is no number, or rows of unequal length.
    """
    text = content.removeprefix(_MARK)
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    blanked = text.translate(_TO_BLANKS)
    columns = _regular_columns(blanked)
    if not columns:
        _refuse_holes(path, text)
        columns = _columns(path, blanked)
    numbers = _parsed(blanked, np.int64) if b"." not in blanked else None
    if numbers is None:
        numbers = _parsed(blanked, np.float64)
    if numbers is None:
        raise NumbersError(_stranger(path, blanked))
    return numbers.astype(np.float64, copy=False).reshape(-1, columns)


def _refuse_holes(path: Path, text: bytes) -> None:
    """Raises if a field is empty: skipped like a blank, it would shift all that follows."""
    places = [place for hole in _HOLES if (place := text.find(hole)) >= 0]
    if text.startswith((b",", b";")):
        places.append(0)
    if places:
        line = text.count(b"\n", 0, min(places) + 1) + 1
        raise NumbersError(f"{path} has an empty field in line {line}: write nan where there is no number.")


def _parsed(text: bytes, kind: type[np.int64 | np.float64]) -> npt.NDArray[np.int64 | np.float64] | None:
    """All numbers of a text parted by blanks, `None` if any is of another kind; integers are read ten times faster."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)
        try:
            return np.fromstring(text, kind, sep=" ")
        except (DeprecationWarning, ValueError):
            return None


def _regular_columns(text: bytes) -> int:
    """How many numbers each line holds, where one blank follows each and no line is empty; 0 for any other text."""
    letters = np.frombuffer(text, np.uint8)
    blanks = np.flatnonzero(letters <= 32)
    breaks = np.flatnonzero(letters[blanks] == 10)
    if not len(breaks) or blanks[-1] != len(letters) - 1 or breaks[-1] != len(blanks) - 1:
        return 0
    columns = int(breaks[0]) + 1
    alike = blanks[0] > 0 and (blanks[1:] - blanks[:-1] > 1).all() and (breaks[1:] - breaks[:-1] == columns).all()
    return columns if alike else 0


def _columns(path: Path, text: bytes) -> int:
    """How many numbers each line holds; they must agree."""
    letters = np.frombuffer(text, np.uint8)
    ink = letters > 32
    starts = np.flatnonzero(ink & ~np.concatenate([[False], ink[:-1]]))
    if not len(starts):
        raise NumbersError(f"{path} is empty.")
    ends = np.append(np.flatnonzero(letters == 10), len(letters))
    counts = np.diff(np.searchsorted(starts, ends), prepend=0)
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
                advice = ": take it out if it is a header" if number == 1 else ""
                return f"{path} has '{shown}' in line {number}, which is no number{advice}."
    return f"{path} holds what is no table of numbers."
