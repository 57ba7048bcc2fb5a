"""One's own data: a manifest that lists recordings and their boxes."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import yaml

from tectum.benchmarks.annotations import read_boxes
from tectum.errors import RecipeError, SourceError, TectumError
from tectum.frames import Modality
from tectum.sources import list_images
from tectum.sources.videos import open_video
from tectum.training.videos import Clip, FolderImages

FIELDS = ("name", "boxes", "sentence", *Modality)
"""What an entry can say."""

QUALITY = 95
"""Of the JPEGs that a video is unpacked to."""


@dataclass(frozen=True)
class Entry:
    """One recording of a manifest.

    Attributes:
        name: of the recording; by it errors name the entry.
        images: a folder of images or a video for each sense.
        boxes: a file with a line `x,y,w,h` for each frame, in pixels of the first sense, `nan` where the target is
            absent.
        sentence: names the target; may be empty.
    """

    name: str
    images: Mapping[Modality, Path]
    boxes: Path
    sentence: str = ""


class ManifestClips:
    """The recordings of a manifest, as annotated sequences.

    Videos are unpacked once, to JPEGs in the folder `.frames` beside the manifest: training draws frames in any order,
    and a video can only be read from its beginning.

    Args:
        path: a list of entries in YAML or JSON, or a CSV table with the same columns: `name`, `boxes`, `sentence`, and
            a folder or video under `rgb`, `thermal`, `depth` or `event`. Paths are relative to the manifest.

    Raises:
        RecipeError: if it is missing, is no list, or an entry lacks something or has too much.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name
        self.entries = tuple(_entries(path))
        self._clips: dict[int, Clip] = {}

    @property
    def senses(self) -> frozenset[Modality]:
        """Those of all recordings together."""
        return frozenset(sense for entry in self.entries for sense in entry.images)

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> Clip:
        """Opens a recording.

        Raises:
            RecipeError: if something of it is missing or does not fit together; it names the entry.
        """
        if index not in self._clips:
            entry = self.entries[index]
            try:
                self._clips[index] = self._opened(entry)
            except TectumError as error:
                raise RecipeError(f"{self.path}, entry '{entry.name}': {error}") from None
        return self._clips[index]

    def lines(self) -> list[str]:
        """What tells its data from other data: entries, sizes of annotations and videos, counts of images."""
        return [line for index, entry in enumerate(self.entries) for line in self._lines(entry, self[index])]

    def _lines(self, entry: Entry, clip: Clip) -> Iterator[str]:
        yield f"{entry.name} {entry.sentence} {entry.boxes.stat().st_size} {len(clip.boxes)}"
        for sense, path in entry.images.items():
            yield f"{sense} {path.stat().st_size if path.is_file() else len(list_images(path))}"

    def _opened(self, entry: Entry) -> Clip:
        boxes = read_boxes(entry.boxes).astype(np.float32)
        images = {sense: self._images(entry, sense, path) for sense, path in entry.images.items()}
        for sense, found in images.items():
            if len(found.names) != len(boxes):
                raise SourceError(
                    f"{entry.images[sense]} has {len(found.names)} frames and {entry.boxes} {len(boxes)} boxes: "
                    "give a line for each frame, nan,nan,nan,nan where the target is absent."
                )
        boxes[~(boxes[:, 2:] > 0).all(axis=1)] = np.nan
        # A single sense, whichever it is, stands in for colours too.
        first = next(images[sense] for sense in Modality if sense in images)
        return Clip(entry.name, boxes, {Modality.RGB: first, **images}, entry.sentence)

    def _images(self, entry: Entry, sense: Modality, path: Path) -> FolderImages:
        if path.is_dir():
            return _listed(path)
        folder = self.path.parent / ".frames" / f"{entry.name}-{sense}"
        if not folder.is_dir():
            _unpack(path, folder)
        return _listed(folder)


def _listed(folder: Path) -> FolderImages:
    names: npt.NDArray[np.bytes_] = np.array([os.fsencode(path.name) for path in list_images(folder)], np.bytes_)
    return FolderImages(folder, names)


def _unpack(video: Path, folder: Path) -> None:
    """Writes every frame of a video as a JPEG; an interrupted one is never taken for a whole one."""
    partial = folder.with_name(f"{folder.name}.{os.getpid()}.part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    reader, count = open_video(video).open(), 0
    try:
        while (reading := reader.read(count)).image is not None:
            image = cv2.cvtColor(reading.image, cv2.COLOR_RGB2BGR)
            cv2.imwrite(str(partial / f"{count + 1:06d}.jpg"), image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
            count += 1
    finally:
        reader.close()
    if not reading.ended or reading.early:
        raise SourceError(str(reading.reason))
    if folder.is_dir():
        shutil.rmtree(partial)  # another process was faster
    else:
        partial.rename(folder)


def _entries(path: Path) -> Iterator[Entry]:
    said = _said(path)
    if not said:
        raise RecipeError(f"{path} lists no recordings: write entries with rgb and boxes.")
    names: set[str] = set()
    for number, each in enumerate(said, 1):
        entry = _entry(path, number, each)
        if entry.name in names:
            raise RecipeError(f"{path} names two recordings '{entry.name}': give each a name of its own.")
        names.add(entry.name)
        yield entry


def _said(path: Path) -> list[Any]:
    """The entries as they stand in the file."""
    try:
        text = path.read_text("utf-8-sig")
        if path.suffix.lower() == ".csv":
            return list(csv.DictReader(text.splitlines()))
        said = json.loads(text) if path.suffix.lower() == ".json" else yaml.safe_load(text)
    except FileNotFoundError:
        raise RecipeError(f"There is no manifest {path}: check the path, and --data DIR.") from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise RecipeError(f"{path} cannot be read: {str(error).splitlines()[0]}.") from None
    if not isinstance(said, list):
        raise RecipeError(f"{path} holds no list: write an entry for each recording, with rgb and boxes.")
    return said


def _entry(path: Path, number: int, said: Any) -> Entry:
    where = f"{path}, entry {number}"
    if not isinstance(said, Mapping):
        raise RecipeError(f"{where} is no entry: write its settings as NAME: VALUE.")
    told = {str(name): str(value).strip() for name, value in said.items() if value not in (None, "")}
    where = f"{path}, entry '{told['name']}'" if "name" in told else where
    unknown = [name for name in told if name not in FIELDS]
    if unknown:
        raise RecipeError(f"{where} says '{unknown[0]}', which is none of {', '.join(FIELDS)}.")
    images = {sense: path.parent / told[sense] for sense in Modality if sense in told}
    if not images or "boxes" not in told:
        raise RecipeError(f"{where} lacks {'boxes' if images else 'images'}: give boxes and a folder or video for rgb.")
    for file in (*images.values(), path.parent / told["boxes"]):
        if not file.exists():
            raise RecipeError(f"{where} names {file}, which is not there: mend the path.")
    name = told.get("name") or next(iter(images.values())).stem
    return Entry(name, images, path.parent / told["boxes"], told.get("sentence", ""))
