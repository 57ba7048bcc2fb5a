"""A tracker's results as they lie on disk, in any form found in the wild, and what is wrong with them."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tectum.benchmarks.base import Truth
from tectum.benchmarks.numbers import NumbersError, parse_rows, read_rows
from tectum.errors import ResultError
from tectum.evaluation.board import Problem
from tectum.evaluation.boxes import to_xywh
from tectum.evaluation.metrics import overlaps
from tectum.evaluation.protocol import Form, Run
from tectum.evaluation.result_files import Found, RunFiles, find_results, tracker_name

Array = npt.NDArray[np.float64]

NEAR = 2.0
"""Pixels within which a tracker's first box repeats the given one, whatever was rounded on the way."""

STRANGE = 0.2
"""Overlap with the given box below which a tracker's first box is no repetition of it."""

SHOWN = 5
"""How many sequences a sentence names at most."""

LIKELY = 50
"""How many missing sequences are compared with files that belong to none, at most."""

FEW_STRANGERS = 10
"""Files that belong to no sequence and are not worth a word: a read-me, a log, a summary."""

_CODE = re.compile(rb"[012](\.0*)?")
_BINARY = b"\x01\x00"
_CODE_SIZE, _RECTANGLE_SIZE = 5, 17
_COLUMNS = {Form.XYWH: 4, Form.XYXY: 4, Form.CENTER: 4, Form.CORNERS: 8}
_WRITTEN = {Form.XYXY: "x1,y1,x2,y2", Form.CENTER: "centre,w,h"}


@dataclass(frozen=True)
class Results:
    """What a tracker's folder holds for some sequences.

    Attributes:
        folder: where the files lie, the given folder or one inside it.
        runs: by sequence, in the order of the truths; sequences without a usable run are left out.
        problems: what is wrong with them.
        notices: what was guessed.
        fps: frames per second as time files say, the mean over sequences; `None` without them.
    """

    folder: Path
    runs: Mapping[str, tuple[Run, ...]]
    problems: tuple[Problem, ...] = ()
    notices: tuple[str, ...] = ()
    fps: float | None = None


def read_results(
    folder: str | Path,
    truths: Sequence[Truth],
    *,
    tracker: str | None = None,
    aliases: Sequence[str] = (),
    form: Form | None = None,
    abstains: bool = False,
) -> Results:
    """Reads all that a tracker said about some sequences.

    Args:
        folder: its folder; `result_files.py` says which files in it are found.
        truths: the sequences.
        tracker: its name for problems; the folder's by default.
        aliases: what the benchmark is called, for folders and prefixes of that name.
        form: what the columns of boxes mean; by default eight are corner points, and four are `x, y, w, h` unless
            the first boxes of most sequences fit the truth better in another form.
        abstains: whether rows of `nan` are answers.

    Raises:
        ResultError: if there is no such folder, or no file in it belongs to a sequence.
    """
    folder = Path(folder)
    name = tracker or tracker_name(folder)
    anchored = any(truth.anchors is not None for truth in truths)
    found = find_results(folder, [truth.name for truth in truths], aliases, anchored)
    reader = _Reader(name, form, abstains)
    reader.note_rivals(found)
    reader.note_missing([truth.name for truth in truths if truth.name not in found.runs], found)
    read = [(truth, several) for truth in truths if (several := reader.read(truth, found.runs.get(truth.name, ())))]
    shape = form or recognised([(several[0], truth) for truth, several in read]) or Form.XYWH
    runs = {truth.name: reader.checked(truth, several, shape) for truth, several in read}
    reader.note_strange_starts([(runs[truth.name][0], truth) for truth, _ in read], form)
    notices = _notices(name, found, shape if form is None else None)
    return Results(found.folder, runs, tuple(reader.problems), notices, _speed(found))


def read_run(files: RunFiles, form: Form | None = None) -> Run:
    """Reads one run.

    VOT's codes (`0` for no answer, `1` for the initialisation) become rows of `nan`. Four columns are taken as
    `x, y, w, h` and eight as corner points unless `form` says otherwise; one column more is the confidence.

    Raises:
        NumbersError: if a file is no table of numbers.
        ResultError: if it is a table of something else than boxes.
    """
    rows = _trajectory(files.boxes)
    width = rows.shape[1]
    wanted = (_COLUMNS[form],) if form else (4, 8)
    columns = width if width in wanted else width - 1
    if columns not in wanted:
        raise ResultError(
            f"{files.boxes} has {width} columns: boxes take {' or '.join(map(str, wanted))}"
            + (f" in the form {form}" if form else "")
            + ", and one more for a confidence."
        )
    scores = rows[:, columns] if width > columns else None
    if files.confidences is not None:
        scores = _confidences(files.confidences, len(rows))
    shape = form or (Form.CORNERS if columns == _COLUMNS[Form.CORNERS] else Form.XYWH)
    return Run(rows[:, :columns], shape, scores, files.anchor, files.boxes)


@dataclass
class _Reader:
    """Reads one tracker's runs and keeps what is wrong with them."""

    tracker: str
    form: Form | None
    abstains: bool
    problems: list[Problem] = field(default_factory=list)

    def read(self, truth: Truth, files: Sequence[RunFiles]) -> tuple[Run, ...]:
        """The runs that can be used at all."""
        runs = []
        for each in files:
            try:
                runs.append(_with_direction(read_run(each, self.form), truth))
            except (NumbersError, ResultError) as error:
                self._note(f"{error} It is left out.", truth.name)
        return tuple(runs)

    def checked(self, truth: Truth, runs: Sequence[Run], form: Form) -> tuple[Run, ...]:
        """The same runs in the tracker's form, from the first frame on; what is odd with them is noted."""
        return tuple(self._checked(truth, run, form) for run in runs)

    def note_rivals(self, found: Found) -> None:
        """Says which folders were passed over that might as well have been meant."""
        if found.rivals:
            others = ", ".join(map(str, found.rivals[:SHOWN]))
            sentence = (
                f"Results of {self.tracker} lie in several folders; those in {found.folder} are read, not {others}: "
                "name the one that is meant."
            )
            self.problems.append(Problem(sentence, self.tracker))

    def note_missing(self, names: Sequence[str], found: Found) -> None:
        """Says once which sequences have no file, and which files may be theirs."""
        if names:
            listed = ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
            have, are = ("sequence has", "is") if len(names) == 1 else ("sequences have", "are")
            sentence = f"{len(names)} {have} no results of {self.tracker} and {are} left out of its scores: {listed}."
            if likely := found.misspelt(names[:LIKELY]):
                sentence += f" Misspelt, it seems: {', '.join(f'{path.name} for {name}' for name, path in likely)}."
            self.problems.append(Problem(sentence, self.tracker, sequences=tuple(names)))

    def note_strange_starts(self, pairs: Sequence[tuple[Run, Truth]], form: Form | None) -> None:
        """Says so if first boxes hardly touch the given ones in most sequences, for then something else was read."""
        known = [shared for run, truth in pairs if not np.isnan(shared := _shared_at_start(run, truth))]
        if known and np.median(known) < STRANGE:
            how = f"in the form {form}: leave --form out" if form else "in whatever form: name it with --form"
            sentence = (
                f"The first boxes of {self.tracker} are not those of the truth, {how}, or take out columns that are "
                "no box, such as frame numbers."
            )
            self.problems.insert(0, Problem(sentence, self.tracker))

    def _checked(self, truth: Truth, run: Run, form: Form) -> Run:
        if run.form is not form and run.values.shape[1] == _COLUMNS[form]:
            run = replace(run, form=form)
        for sentence in _odd_values(run, self.abstains):
            self._note(sentence, truth.name)
        if _begins_late(truth, run):
            self._note(
                f"{run.path} has no rows for the {truth.start} frames before the target is first seen: they are put "
                "in front, so that its rows belong to the frames after them.",
                truth.name,
            )
            return _padded(run, truth.start)
        for sentence in _odd_length(truth, run):
            self._note(sentence, truth.name)
        return run

    def _note(self, sentence: str, sequence: str) -> None:
        self.problems.append(Problem(sentence, self.tracker, sequence))


def _shared_at_start(run: Run, truth: Truth) -> float:
    """The overlap of a run's first box with the given one; `nan` where it has none or started elsewhere."""
    sparse = truth.images is not None and len(run.values) > len(truth.boxes)
    row = int(truth.images[truth.start]) if truth.images is not None and sparse else truth.start
    said = to_xywh(run.values[row : row + 1], run.form)
    if run.anchor is not None or not np.isfinite(said).all() or not len(said):
        return np.nan
    return float(overlaps(said, truth.boxes[[truth.start]])[0])


def _with_direction(run: Run, truth: Truth) -> Run:
    """Gives an anchored run the sign that its anchor has in the truth."""
    if run.anchor is None or truth.anchors is None:
        return run
    signed = truth.anchors[np.abs(truth.anchors) == run.anchor]
    if not len(signed):
        raise ResultError(f"{run.path} starts from frame {run.anchor}, which is no anchor of {truth.name}.")
    return replace(run, anchor=int(signed[0]))


def _trajectory(path: Path) -> Array:
    """The rows of a results file; those with a code instead of a box are `nan`."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise NumbersError(f"{path} cannot be read ({error.strerror}).") from None
    if content.startswith(_BINARY):
        return _binary(content, path)
    if _CODE.fullmatch(content.split(b"\n", 1)[0].strip()):
        content = _without_codes(content)
    try:
        return parse_rows(content, path)
    except NumbersError:
        filled = _without_codes(content)
        if filled == content:
            raise
        return parse_rows(filled, path)


def _without_codes(content: bytes) -> bytes:
    """Puts as many `nan` in the place of each code as other lines have numbers."""
    lines = content.splitlines()
    coded = [_CODE.fullmatch(line.strip()) is not None for line in lines]
    if not any(coded):
        return content
    box = next((line for line, code in zip(lines, coded, strict=True) if line.strip() and not code), b"0,0,0,0")
    blank = b" ".join([b"nan"] * len(re.split(rb"[\s,;]+", box.strip(b" \t,;"))))
    return b"\n".join(blank if code else line for line, code in zip(lines, coded, strict=True))


def _binary(content: bytes, path: Path) -> Array:
    """The VOT toolkit's binary trajectory: version and length, then for each frame a kind and its numbers."""
    rows: list[tuple[float, ...]] = []
    try:
        (length,) = struct.unpack_from("<I", content, len(_BINARY))
        place = struct.calcsize("<hI")
        while len(rows) < length:
            kind = content[place]
            if kind > 1:
                raise ResultError(f"{path} has a polygon or a mask in row {len(rows) + 1}: only rectangles are scored.")
            rows.append(struct.unpack_from("<4f", content, place + 1) if kind else (np.nan,) * 4)
            place += _RECTANGLE_SIZE if kind else _CODE_SIZE
    except (struct.error, IndexError):
        raise ResultError(f"{path} ends in the middle of a row: copy it again.") from None
    if not rows:
        raise ResultError(f"{path} is empty.")
    return np.array(rows, np.float64)


def _confidences(path: Path, rows: int) -> Array:
    """One confidence a line, `nan` for an empty one; as many as there are boxes."""
    try:
        lines = path.read_bytes().splitlines()
        values = np.array([line.strip() or b"nan" for line in lines], np.bytes_).astype(np.float64)
    except (OSError, ValueError):
        raise ResultError(f"{path} has confidences that cannot be read: it takes one number a line.") from None
    fitted = np.full(rows, np.nan)
    fitted[: len(values)] = values[:rows]
    return fitted


def recognised(pairs: Sequence[tuple[Run, Truth]]) -> Form | None:
    """The form of four columns in which the first rows repeat the given boxes in most sequences; `None` if in none."""
    pairs = [(run, truth) for run, truth in pairs if run.values.shape[1] == _COLUMNS[Form.XYWH]]
    if not pairs:
        return None
    said = np.array([run.values[0] for run, _ in pairs])
    given = np.array([truth.boxes[truth.start] for _, truth in pairs])
    known = np.isfinite(said).all(1)
    places = {Form.XYWH: (0.0, 0.0), Form.XYXY: (0.0, 1.0), Form.CENTER: (0.5, 0.0)}
    for form, (first, second) in places.items():
        position, size = given[:, :2], given[:, 2:]
        written = np.concatenate([position + first * size, size + second * position], axis=1)
        if known.any() and np.median(np.abs(said - written).max(1)[known]) <= NEAR:
            return form
    return None


def _odd_values(run: Run, abstains: bool) -> Iterator[str]:
    """Sentences on numbers that are no boxes."""
    known = np.isfinite(run.values)
    if not known.all():
        bad = np.asarray(~known.all(1))
        if abstains:
            bad &= ~np.isnan(run.values).all(1)
        if bad.any():
            yield f"{run.path} has {_counted(bad)} with nan or infinite numbers: they count as the convention has it."
    with np.errstate(invalid="ignore"):
        negative = np.asarray((_sizes(run) < 0).any(1))
    if negative.any():
        yield f"{run.path} has {_counted(negative)} of negative size: they count as the convention has it."


def _sizes(run: Run) -> Array:
    values = run.values
    if run.form is Form.CORNERS:
        return values[:, [2, 5]] - values[:, :2]
    return values[:, 2:] - values[:, :2] if run.form is Form.XYXY else values[:, 2:]


def _counted(rows: npt.NDArray[np.bool_]) -> str:
    count, first = np.count_nonzero(rows), int(np.argmax(rows)) + 1
    return f"1 box (row {first})" if count == 1 else f"{count} boxes (the first in row {first})"


def _frames(truth: Truth, run: Run) -> tuple[int, int]:
    """The fewest and the most rows that a run should have."""
    rows = len(truth.boxes)
    if run.anchor is not None:
        reached = rows - run.anchor if run.anchor >= 0 else 1 - run.anchor
        return reached, reached
    if truth.images is not None and len(run.values) > rows:
        needed = int(truth.images[-1]) + 1
        return needed, max(needed, truth.length or len(run.values))
    return rows, max(rows, truth.length or rows)


def _begins_late(truth: Truth, run: Run) -> bool:
    """Whether a run has rows only from the frame on in which the target is first seen."""
    whole = run.anchor is None and truth.images is None
    return whole and truth.start > 0 and len(run.values) == len(truth.boxes) - truth.start


def _padded(run: Run, rows: int) -> Run:
    """The run with its first row repeated in front."""
    values = np.concatenate([np.repeat(run.values[:1], rows, axis=0), run.values])
    scores = None if run.scores is None else np.concatenate([np.repeat(run.scores[:1], rows), run.scores])
    return replace(run, values=values, scores=scores)


def _odd_length(truth: Truth, run: Run) -> Iterator[str]:
    fewest, most = _frames(truth, run)
    rows = len(run.values)
    if rows > most:
        yield f"{run.path} has {rows} rows for {most} frames of {truth.name}: surplus rows are not scored."
    elif rows < fewest:
        missing = "1 is" if fewest - rows == 1 else f"{fewest - rows} are"
        yield (
            f"{run.path} has {rows} rows for {fewest} frames of {truth.name}: "
            f"{missing} missing, and they count as the convention has it."
        )


def _notices(tracker: str, found: Found, form: Form | None) -> tuple[str, ...]:
    """Sentences on what was guessed about a tracker's folder."""
    notices = []
    if form in _WRITTEN:
        notices.append(
            f"Boxes of {tracker} are read as {_WRITTEN[form]}, for so they repeat the truth's first boxes: "
            "say --form xywh if that is wrong."
        )
    if len(found.strangers) > FEW_STRANGERS:
        first = ", ".join(path.name for path in found.strangers[:SHOWN])
        notices.append(f"{len(found.strangers)} files in {found.folder} belong to no sequence, such as {first}.")
    return tuple(notices)


def _speed(found: Found) -> float | None:
    """Frames per second, the mean over sequences that have times."""
    speeds = [
        np.mean(rates)
        for runs in found.runs.values()
        if (rates := [rate for run in runs if run.times is not None and (rate := _rate(run.times)) is not None])
    ]
    return float(np.mean(speeds)) if speeds else None


def _rate(path: Path) -> float | None:
    """Frames per second by a file of seconds per frame; `None` where it is none, such as a total alone."""
    try:
        seconds = read_rows(path)
    except NumbersError:
        return None
    seconds = seconds[np.isfinite(seconds) & (seconds > 0)]
    return len(seconds) / float(seconds.sum()) if len(seconds) > 1 else None
