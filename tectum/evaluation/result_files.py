"""Which of a folder's files hold a tracker's boxes, confidences and times, however its toolkit names them.

Known forms: `SEQ.txt`, `PREFIXSEQ.txt` with one prefix for all, `SEQ_001.txt` (runs), `SEQ_00000050.txt` (anchors),
each of them also in a folder `SEQ`, and all of that anywhere in the folder, such as in one named after the benchmark
or after VOT's experiment, or parted by classes or packages.
"""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple
from unicodedata import normalize

from tectum.errors import ResultError

DEPTH = 4
"""How many folders deep results are looked for: VOT's are three deep in a tracker's folder."""

BOXES = (".txt", ".csv", ".bin")
"""How names of box files end; where there are several of one stem, the first counts."""

CONFIDENCES = ("_confidence.value", "_confidence.txt", "_confidences.txt", "_score.txt", "_scores.txt")
CONFIDENCE_FOLDERS = ("confidences", "confidence", "scores", "score")
TIMES = ("_time.txt", "_time.value", "_times.txt")
TIME_FOLDERS = ("times", "time")
_ASIDE = (*CONFIDENCE_FOLDERS, *TIME_FOLDERS)

LIKENESS = 0.85
"""The share of letters that a misspelt name has in common with the right one."""

_BESIDE = re.compile(r"_(times?|confidences?|scores?)$", re.IGNORECASE)
_NUMBERED = re.compile(r"(.+)_(\d{8}|\d{3})")
_ANCHOR_DIGITS = 8
_LOOSE = re.compile(r"[\W_]+")

Listing = Mapping[str, Collection[str]]
"""Names of files by folder; both are text, for paths of thousands of files take longer than reading them."""


@dataclass(frozen=True)
class RunFiles:
    """The files of one run over one sequence.

    Attributes:
        boxes: the trajectory.
        confidences: one number a frame, where there is such a file.
        times: seconds a frame, where there is such a file.
        anchor: the position from which an anchored run started, without the sign of its direction.
    """

    boxes: Path
    confidences: Path | None = None
    times: Path | None = None
    anchor: int | None = None


@dataclass(frozen=True)
class Found:
    """What a folder holds.

    Attributes:
        runs: for each sequence that has any, its runs in order.
        folder: where they lie.
        strangers: box files there that belong to no sequence.
        rivals: other folders inside that hold about as many of the sequences, which were passed over.
    """

    runs: Mapping[str, tuple[RunFiles, ...]]
    folder: Path
    strangers: tuple[Path, ...] = ()
    rivals: tuple[Path, ...] = ()

    def misspelt(self, names: Sequence[str]) -> list[tuple[str, Path]]:
        """For sequences without a file, the one that belongs to none and is called nearly like them."""
        stems = {loose(path.stem): path for path in self.strangers}
        close = ((name, get_close_matches(loose(name.rpartition("/")[2]), stems, 1, LIKENESS)) for name in names)
        return [(name, stems[like[0]]) for name, like in close if like]


class _File(NamedTuple):
    """A file that may hold boxes."""

    folder: str
    stem: str
    ending: str

    @property
    def path(self) -> Path:
        return Path(self.folder, self.stem + self.ending)


class _Match(NamedTuple):
    """A box file that belongs to a sequence: `number` is that of a run or an anchor, if it has one."""

    file: _File
    sequence: str
    number: str | None


@dataclass
class _Place:
    """A folder with results of one tracker."""

    matches: list[_Match] = field(default_factory=list)
    strangers: list[_File] = field(default_factory=list)

    @property
    def sequences(self) -> frozenset[str]:
        return frozenset(match.sequence for match in self.matches)


class _Names:
    """Knows a sequence by its name, also in another case or with other signs between the words."""

    def __init__(self, names: Sequence[str]) -> None:
        self._exact = {name.rpartition("/")[2]: name for name in names}
        counts = Counter(map(loose, self._exact))
        self._loose = {key: name for last, name in self._exact.items() if counts[key := loose(last)] == 1}
        self._found: dict[str, str | None] = {}

    def find(self, text: str) -> str | None:
        """The sequence that a text names."""
        if text not in self._found:
            self._found[text] = self._exact.get(text) or self._loose.get(loose(text))
        return self._found[text]

    def is_exact(self, text: str) -> bool:
        """Whether a text is a sequence's name to the letter."""
        return text in self._exact

    def endings(self, stem: str) -> Iterator[tuple[str, str]]:
        """The ways to read a stem that names no sequence as a prefix and a sequence's name."""
        parts = _readings(stem)
        if any(self.find(part) is not None for part in parts):
            return
        for part in parts:
            for cut in range(1, len(part)):
                if (name := self.find(part[cut:])) is not None:
                    yield part[:cut], name


def loose(text: str) -> str:
    """A name without its case, with accents in one piece, and with `_` for all that is no letter or digit."""
    return _LOOSE.sub("_", normalize("NFKC", text).casefold())


def tracker_name(folder: str | Path) -> str:
    """What a tracker's folder is called as it was given, so that links keep names of their own."""
    path = Path(folder)
    return path.name if path.name not in ("", "..") else path.resolve().name


def find_results(folder: Path, names: Sequence[str], aliases: Sequence[str] = (), anchored: bool = False) -> Found:
    """Finds the files of a tracker's runs.

    Args:
        folder: the tracker's folder.
        names: the benchmark's sequences.
        aliases: what the benchmark is called; a folder or a prefix of that name goes before others.
        anchored: whether runs start from anchors, which their names then hold.

    Raises:
        ResultError: if there is no such folder, or no file in it belongs to a sequence.
    """
    if folder.is_file():
        raise ResultError(f"{folder} is a file: name the folder with one results file per sequence that holds it.")
    if not folder.is_dir():
        raise ResultError(f"There is no folder {folder}: name a folder with one results file per sequence.")
    listing = _listing(folder)
    known, titles = _Names(names), frozenset(map(loose, aliases))
    files = list(_box_files(listing, known))
    places = _places(files, str(folder), known, _prefix(files, known, titles), anchored)
    _join_parts(places)
    filled = {Path(each): place for each, place in places.items() if place.matches}
    if not filled:
        raise ResultError(_nothing(folder, names, files, anchored))
    worth = {path: _worth(path, folder, place, titles) for path, place in filled.items()}
    best = max(filled, key=lambda path: worth[path])
    rivals = [path for path in filled if _rival(path, best, worth)]
    strangers = tuple(file.path for file in filled[best].strangers)
    return Found(_runs(filled[best], listing), best, strangers, tuple(rivals))


def _listing(folder: Path) -> dict[str, frozenset[str]]:
    found, top = {}, str(folder)
    for place, folders, files in os.walk(top, followlinks=True):
        if place[len(top) :].count(os.sep) >= DEPTH:
            folders.clear()
        folders.sort()
        found[place] = frozenset(files)
    return found


def _box_files(listing: Listing, known: _Names) -> Iterator[_File]:
    """Files that may hold boxes, hidden ones left out: exact names before others, texts before binary ones."""
    for place, (folder, names) in enumerate(listing.items()):
        # The first is the tracker's own, which may be called anything.
        if place and Path(folder).name.lower() in _ASIDE:
            continue
        seen = (name for name in names if not name.startswith("."))
        files = [_File(folder, stem, ending) for stem, ending in map(os.path.splitext, seen) if ending.lower() in BOXES]
        exact = {file: known.is_exact(file.stem) for file in files}
        for file in sorted(files, key=lambda file: (not exact[file], file.stem, BOXES.index(file.ending.lower()))):
            if exact[file] or not _BESIDE.search(file.stem):
                yield file


def _prefix(files: Sequence[_File], known: _Names, titles: frozenset[str]) -> str:
    """The prefix under which most sequences are found: one that names the benchmark, or that most files have."""
    found: dict[str, set[str]] = defaultdict(set)
    for file in files:
        for prefix, name in known.endings(file.stem):
            found[prefix].add(name)
    common = [
        prefix
        for prefix in found
        if _named(prefix, titles) or 2 * sum(file.stem.startswith(prefix) for file in files) >= len(files)
    ]
    return max(common, key=lambda one: (_named(one, titles), len(found[one]), -len(one)), default="")


def _named(text: str, titles: frozenset[str]) -> bool:
    return loose(text).strip("_") in titles


def _readings(stem: str) -> tuple[str, ...]:
    """A stem as it is, and without the number of a run or an anchor."""
    numbered = _NUMBERED.fullmatch(stem)
    return (stem, numbered[1]) if numbered else (stem,)


def _places(files: Sequence[_File], folder: str, known: _Names, prefix: str, anchored: bool) -> dict[str, _Place]:
    """The files by the folder that holds them or, where that is the sequence's own, by the one above."""
    places: dict[str, _Place] = defaultdict(_Place)
    for file in files:
        above, own = os.path.split(file.folder)
        owner = known.find(own) if file.folder != folder else None
        match = _match(file, owner, known, prefix)
        if match is None:
            places[file.folder].strangers.append(file)
        elif _is_anchor(match.number) == anchored:
            places[above if owner == match.sequence else file.folder].matches.append(match)
    return places


def _match(file: _File, owner: str | None, known: _Names, prefix: str) -> _Match | None:
    """Which sequence a file belongs to; the one that owns its folder goes before what its own name says."""
    readings = _readings(file.stem)
    if owner is not None and known.find(readings[-1]) == owner:
        return _Match(file, owner, _number(file.stem, readings[-1]))
    for start in ("", prefix) if prefix else ("",):
        for part in readings:
            if part.startswith(start) and (name := known.find(part[len(start) :])) is not None:
                return _Match(file, name, _number(file.stem, part))
    return None


def _number(stem: str, part: str) -> str | None:
    return stem[len(part) + 1 :] or None


def _is_anchor(number: str | None) -> bool:
    return number is not None and len(number) == _ANCHOR_DIGITS


def _join_parts(places: dict[str, _Place]) -> None:
    """Folders beside one another that share no sequence are parts of one set: packages of VTUAV, classes of LaSOT."""
    parts: dict[str, list[_Place]] = defaultdict(list)
    for folder, place in places.items():
        if place.matches:
            parts[str(Path(folder).parent)].append(place)
    for parent, together in parts.items():
        together = [*together, places[parent]] if parent in places else together
        counts = Counter(name for place in together for name in place.sequences)
        if len(together) > 1 and max(counts.values()) == 1:
            places[parent] = _Place(
                [match for place in together for match in place.matches],
                [file for place in together for file in place.strangers],
            )


def _worth(path: Path, folder: Path, place: _Place, titles: frozenset[str]) -> tuple[bool, int, int]:
    """What speaks for a folder: the benchmark's name, the number of sequences, and that it lies high up."""
    inside = path.relative_to(folder).parts
    return any(_named(part, titles) for part in inside), len(place.sequences), -len(inside)


def _rival(path: Path, best: Path, worth: Mapping[Path, tuple[bool, int, int]]) -> bool:
    """Whether a folder might as well have been meant, not being a part of the best one or the whole of it."""
    if path == best or best in path.parents or path in best.parents:
        return False
    return worth[path][0] == worth[best][0] and 2 * worth[path][1] >= worth[best][1]


def _runs(place: _Place, listing: Listing) -> dict[str, tuple[RunFiles, ...]]:
    """For each sequence the run without a number or, where there is none, all numbered ones in order."""
    found: dict[str, dict[str | None, _File]] = defaultdict(dict)
    for match in place.matches:
        found[match.sequence].setdefault(match.number, match.file)
    return {
        name: tuple(_run_files(numbers[number], number, listing) for number in _chosen(numbers))
        for name, numbers in found.items()
    }


def _chosen(numbers: Mapping[str | None, _File]) -> list[str | None]:
    return [None] if None in numbers else sorted(numbers, key=lambda number: number or "")


def _run_files(boxes: _File, number: str | None, listing: Listing) -> RunFiles:
    stems = [boxes.stem] if number is None else [boxes.stem, boxes.stem.removesuffix(f"_{number}")]
    return RunFiles(
        boxes.path,
        _beside(boxes.folder, stems, listing, CONFIDENCES, CONFIDENCE_FOLDERS),
        _beside(boxes.folder, stems, listing, TIMES, TIME_FOLDERS),
        int(number) if number is not None and _is_anchor(number) else None,
    )


def _beside(
    folder: str, stems: Sequence[str], listing: Listing, endings: tuple[str, ...], asides: tuple[str, ...]
) -> Path | None:
    """The file that goes with a box file, of this run or else of all: in the same folder or in one inside it."""
    for place, known in ((folder, endings), *((f"{folder}{os.sep}{aside}", (*endings, ".txt")) for aside in asides)):
        names = listing.get(place, ())
        for name in (stem + ending for stem in stems for ending in known if names):
            if name in names:
                return Path(place, name)
    return None


def _nothing(folder: Path, names: Sequence[str], files: Sequence[_File], anchored: bool) -> str:
    first = names[0].rpartition("/")[2]
    there = f", such as {files[0].path.name}" if files else ""
    forms = f"{first}_00000000.txt" if anchored else f"{first}.txt, PREFIX{first}.txt, {first}_001.txt"
    return (
        f"{folder} holds results of none of the {len(names)} sequences (of {len(files)} files that might hold boxes"
        f"{there}): looked for {forms}, with .csv or .bin for .txt, in it, in folders named after sequences or the "
        f"benchmark, and in those down to {DEPTH} below."
    )
