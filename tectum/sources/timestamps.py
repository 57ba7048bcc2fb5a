"""Clocks: the seconds at which a sensor took its frames, from a text file beside them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tectum.errors import SourceError

Times = npt.NDArray[np.float64]


def find_timestamps(path: Path) -> Path | None:
    """The timestamp file of a folder or video, `None` if there is none.

    For a folder this is `timestamps.txt` or `timestamps.csv` in it; for both, `NAME_timestamps.txt` or `.csv`
    beside it.
    """
    inside = [path / f"timestamps.{suffix}" for suffix in ("txt", "csv")] if path.is_dir() else []
    beside = [path.parent / f"{path.stem}_timestamps.{suffix}" for suffix in ("txt", "csv")]
    return next((candidate for candidate in (*inside, *beside) if candidate.is_file()), None)


def read_timestamps(path: Path, names: Sequence[str] | int) -> Times:
    """Reads one time per frame.

    A line is a time, or a time and the frame's number or file name in any order, with commas or spaces between;
    lines that begin with `#` and one line of headings are skipped. Where lines name files, they are matched by
    name; otherwise they follow the frames' order.

    Args:
        path: the text file.
        names: the frames' file names in order, or only their count.

    Returns:
        The times `N`, increasing, in the file's unit (seconds, as a rule).

    Raises:
        SourceError: if the file cannot be read, lacks frames, or its times do not increase.
    """
    rows = _rows(path)
    if not isinstance(names, int) and rows and any(_is_name(word) for word in rows[0]):
        times = _by_name(rows, names, path)
    else:
        times = [_time(row, path) for row in rows]
    return checked_times(times, names if isinstance(names, int) else len(names), f"Timestamp file {path}")


def checked_times(times: Sequence[float] | Times, count: int, origin: str) -> Times:
    """Returns the times as an array if there is one per frame and they increase.

    Raises:
        SourceError: otherwise.
    """
    array = np.asarray(times, np.float64).reshape(-1)
    if len(array) != count:
        raise SourceError(f"{origin} has {len(array)} times for {count} frames: give one time per frame.")
    wrong = np.flatnonzero(~(np.diff(array) > 0))
    if not np.isfinite(array).all() or len(wrong):
        place = f" after frame {wrong[0]}" if len(wrong) else ""
        raise SourceError(f"{origin} does not increase{place}: times must be finite and in the frames' order.")
    return array


def _rows(path: Path) -> list[list[str]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise SourceError(f"Timestamp file {path} cannot be read ({reason}): mend it or move it away.") from None
    rows = [re.split(r"[,;\s]+", line.strip().strip(",;")) for line in lines if not _is_empty(line)]
    return rows[1:] if rows and not any(_is_number(word) or _is_name(word) for word in rows[0]) else rows


def _is_empty(line: str) -> bool:
    return not line.strip(" \t,;") or line.lstrip().startswith("#")


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _is_name(word: str) -> bool:
    return "." in word and not _is_number(word)


def _time(row: list[str], path: Path) -> float:
    """The time in a row: the only number, or of two the one that is not a frame's number."""
    numbers = [word for word in row if _is_number(word)]
    if not numbers:
        raise SourceError(f"Timestamp file {path} has the line '{' '.join(row)}', which holds no time: mend it.")
    fractions = [word for word in numbers if not word.lstrip("-").isdecimal()]
    return float(fractions[0] if len(fractions) == 1 else numbers[-1])


def _by_name(rows: list[list[str]], names: Sequence[str], path: Path) -> list[float]:
    times = {Path(word).name: _time(row, path) for row in rows for word in row if _is_name(word)}
    absent = [name for name in names if name not in times]
    if absent:
        raise SourceError(f"Timestamp file {path} has no line for {absent[0]}: give one time per frame.")
    return [times[name] for name in names]
