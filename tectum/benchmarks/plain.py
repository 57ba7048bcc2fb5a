"""Our own layout, for the recordings of users and of the procedural world."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from tectum.benchmarks.base import Lists, Truth
from tectum.benchmarks.folder import FolderBenchmark
from tectum.benchmarks.images import SortedImages
from tectum.benchmarks.layout import Place
from tectum.errors import BenchmarkError, UnknownNameError
from tectum.frames import Frame, Modality, Sequence
from tectum.sources import natural_key
from tectum.sources.folders import ImageFolder, images_in, sense_entries
from tectum.sources.pairing import pair

_TRUTH = "groundtruth.txt"
_META = "meta.json"


class Plain(FolderBenchmark):
    """A folder for each sequence, with the images of each sense in a folder named after it.

    `ROOT/NAME/{rgb,thermal,depth,event}/` hold the images and `groundtruth.txt` a line `x,y,w,h` for each RGB
    image, `nan,nan,nan,nan` where the target is absent or not annotated; lines may be missing at the end.
    `meta.json`, where there is one, holds `attributes`, a list of names, and `language`, a sentence. Where a sense
    lacks images, the numbers in the file names say which.
    """

    name = "plain"
    title = "Plain"
    senses = tuple(Modality)
    convention = "plain"
    split = "all"
    source = "Tectum's own layout"
    annotation = (_TRUTH,)
    flat = ()

    @property
    def lists(self) -> Lists:
        """There are no official lists."""
        return Lists()

    def names(self, root: Path, split: str | None = None) -> tuple[str, ...]:
        """The folders with a ground truth in natural order; or the root, if it is itself such a folder."""
        if split not in (None, self.split):
            raise UnknownNameError(f"{self.title} has no split '{split}': use {self.split}.")
        if not root.is_dir():
            raise BenchmarkError(f"There is no folder {root}: check the path.")
        if (root / _TRUTH).is_file():
            return (root.resolve().name,)
        found = (folder.name for folder in root.iterdir() if (folder / _TRUTH).is_file())
        return tuple(sorted((name for name in found if not name.startswith(".")), key=natural_key))

    def attributes(self, root: Path) -> Mapping[str, frozenset[str]]:
        """For each attribute in any `meta.json`, in alphabetical order, the sequences that have it."""
        held = {name: self._known_attributes(root, name) for name in self.names(root)}
        every = sorted(frozenset[str]().union(*held.values()))
        return {each: frozenset(name for name, attributes in held.items() if each in attributes) for each in every}

    def _known_attributes(self, root: Path, name: str) -> frozenset[str]:
        """Those of one sequence; none if its description is damaged, which its truth says."""
        try:
            return _attribute_names(self._place(root, name).annotation.parent)
        except BenchmarkError:
            return frozenset()

    def _place(self, root: Path, name: str) -> Place:
        if (root / _TRUTH).is_file() and root.resolve().name == name:
            return Place(root / _TRUTH, root)
        return super()._place(root, name)

    def _read_truth(self, place: Place, name: str) -> Truth:
        truth = super()._read_truth(place, name)
        folder = place.annotation.parent
        _attribute_names(folder)
        images = sense_entries(folder).get(Modality.RGB)
        count = len(truth.boxes) if images is None else len(images_in(images))
        return truth if count == len(truth.boxes) else replace(truth, length=count)

    def _streams(self, folder: Path, name: str) -> dict[Modality, SortedImages]:
        found = sense_entries(folder)
        if Modality.RGB not in found:
            raise BenchmarkError(f"Folder {folder} has no folder rgb with its images.")
        streams = {sense: SortedImages.of(path) for sense, path in found.items()}
        schedule = pair([ImageFolder(stream.folder, stream.files) for stream in streams.values()])
        if schedule is None:
            return streams
        columns = zip(streams.items(), schedule.frames.T.tolist(), strict=True)
        return {sense: replace(stream, order=tuple(column)) for (sense, stream), column in columns}

    def _text(self, root: Path, folder: Path, name: str) -> str | None:
        return str(_meta(folder).get("language") or "").strip() or None

    def _attributes(self, root: Path, folder: Path, name: str) -> frozenset[str]:
        return _attribute_names(folder)


def write_sequence(root: Path, sequence: Sequence, suffix: Literal[".png", ".jpg"] = ".png") -> Path:
    """Stores a sequence in the plain layout.

    It is written under a hidden name first, so that an interrupted write is never taken for a sequence. A sense that
    is missing from a frame has no file there.

    Args:
        root: the folder of all sequences; it is made where it is missing.
        sequence: its recording is played once.
        suffix: `.png` keeps the images exactly, `.jpg` is smaller.

    Returns:
        The folder of the sequence, `ROOT/NAME`.

    Raises:
        BenchmarkError: if it exists already, cannot be written, or has a frame without an RGB image.
        SourceError: if the recording cannot be played.
    """
    folder, partial = root / sequence.name, root / f".{sequence.name}.partial"
    if folder.exists():
        raise BenchmarkError(f"{folder} exists already: remove it, or write to another folder.")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        for frame in sequence.recording:
            _write_frame(partial, frame, suffix)
        meta = {"attributes": sorted(sequence.attributes), "language": sequence.text}
        (partial / _META).write_text(json.dumps(meta, indent=1, ensure_ascii=False) + "\n", "utf-8")
        rows = (",".join(map(repr, row)) for row in np.asarray(sequence.boxes, np.float64).tolist())
        (partial / _TRUTH).write_text("".join(f"{row}\n" for row in rows))
        return partial.rename(folder)
    except OSError as error:
        raise BenchmarkError(f"Sequence {sequence.name} cannot be written to {root} ({error.strerror}).") from None


def _write_frame(folder: Path, frame: Frame, suffix: str) -> None:
    if frame.images.get(Modality.RGB) is None:
        raise BenchmarkError(f"Frame {frame.index} has no RGB image, without which its place would be lost.")
    for sense, image in frame.images.items():
        if image is None:
            continue
        (folder / sense).mkdir(exist_ok=True)
        _, encoded = cv2.imencode(suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        (folder / sense / f"{frame.index + 1:06d}{suffix}").write_bytes(encoded.tobytes())


def _meta(folder: Path) -> dict[str, Any]:
    """What `meta.json` says, as far as it is a table at all."""
    path = folder / _META
    try:
        held = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    except (OSError, ValueError) as error:
        raise BenchmarkError(f"{path} is no JSON file ({error}): mend or remove it.") from None
    if not isinstance(held, dict):
        raise BenchmarkError(f"{path} holds no JSON object: mend or remove it.")
    return held


def _attribute_names(folder: Path) -> frozenset[str]:
    return frozenset(str(each) for each in _meta(folder).get("attributes") or ())
