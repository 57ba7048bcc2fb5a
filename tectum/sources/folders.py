"""Folders of images: which files are the frames, in which order, and which sub-folder is which sense."""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tectum.errors import SourceError
from tectum.frames import Modality
from tectum.sources.images import SUFFIXES, image_size, read_image
from tectum.sources.streams import Reading

SENSE_NAMES: dict[Modality, tuple[str, ...]] = {
    Modality.RGB: ("rgb", "visible", "color", "colour", "img", "imgs", "images", "vis_imgs", "aps"),
    Modality.THERMAL: ("thermal", "infrared", "ir", "lwir"),
    Modality.DEPTH: ("depth",),
    Modality.EVENT: ("event", "event_imgs", "events", "dvs"),
}
"""The names, in lower case, by which a sub-folder or a video file is known as one sense."""

_ENDINGS = tuple(SUFFIXES)
_PROBED = 10


def natural_key(name: str) -> tuple[tuple[int, int | str], ...]:
    """Sorts `2.jpg` before `10.jpg`: digits compare as numbers, the rest as text without case."""
    parts = re.split(r"([0-9]+)", name.lower())
    return tuple((0, int(part)) if part.isdecimal() else (1, part) for part in parts if part)


def list_images(folder: Path) -> tuple[Path, ...]:
    """The images of a folder in natural order; other files and hidden ones are left out.

    Raises:
        SourceError: if there is no such folder, if it holds no image, or two images for one frame.
    """
    if not folder.exists():
        raise SourceError(f"There is no folder {folder}: check the path.")
    if not folder.is_dir():
        raise SourceError(f"{folder} is a file, but a folder of images was expected: give the folder that holds it.")
    images = images_in(folder)
    if not images:
        raise SourceError(f"Folder {folder} holds no images: {_way_out(folder)}.")
    _refuse_twins(folder, images)
    return images


def images_in(folder: Path) -> tuple[Path, ...]:
    """Like `list_images`, but empty where a folder holds no image, and without checks."""
    try:
        # Unlike a path, an entry knows what it is: data sets have a million images, too many to ask each one.
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if _is_image_name(entry.name) and not entry.is_dir()]
    except OSError as error:
        raise _unlisted(folder, error) from None
    return tuple(folder / name for name in sorted(names, key=lambda name: (natural_key(name), name)))


def sense_of(name: str, recording: str = "") -> Modality | None:
    """The sense that a folder or file stem names, `None` if none.

    Args:
        name: such as `thermal`, in upper or lower case.
        recording: name of the folder around it, which some data sets repeat in front (`dog_aps`, `dog_dvs`).
    """
    stem = name.lower().removeprefix(f"{recording.lower()}_")
    return next((sense for sense, names in SENSE_NAMES.items() if stem in names), None)


def sense_entries(folder: Path, video_suffixes: frozenset[str] = frozenset()) -> dict[Modality, Path]:
    """The sub-folders (and video files) of a recording that are named after a sense.

    Raises:
        SourceError: if two of them stand for the same sense.
    """
    found: dict[Modality, Path] = {}
    recording = folder.resolve().name
    for entry in _entries(folder):
        is_video = entry.suffix.lower() in video_suffixes and entry.is_file()
        sense = sense_of(entry.stem if is_video else entry.name, recording)
        if sense is None or not (is_video or entry.is_dir()):
            continue
        if sense in found:
            raise SourceError(
                f"Folder {folder} has both '{found[sense].name}' and '{entry.name}' for {sense}: "
                f"name the one to use, as in --{sense} {entry}."
            )
        found[sense] = entry
    return {sense: found[sense] for sense in Modality if sense in found}


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise _unlisted(folder, error) from None


def _unlisted(folder: Path, error: OSError) -> SourceError:
    return SourceError(f"Folder {folder} cannot be listed ({error.strerror or error}): make it readable.")


def _is_image_name(name: str) -> bool:
    return not name.startswith(".") and name.lower().endswith(_ENDINGS)


def _refuse_twins(folder: Path, images: tuple[Path, ...]) -> None:
    """Two files of one frame (say an image and its mask) would silently double the recording."""
    stem, count = Counter(path.stem for path in images).most_common(1)[0]
    if count > 1:
        twins = " and ".join(path.name for path in images if path.stem == stem)
        raise SourceError(f"Folder {folder} holds {twins}, two images for one frame: keep one kind in the folder.")


def _way_out(folder: Path) -> str:
    """What the user may have meant by a folder without images."""
    inner = [entry for entry in _entries(folder) if entry.is_dir() and not entry.name.startswith(".")]
    recordings = [entry for entry in inner if sense_entries(entry) or images_in(entry)]
    if recordings:
        return f"it looks like a folder of recordings, so give one of them, such as {recordings[0]}"
    if inner and not any(entry.is_file() for entry in _entries(folder)):
        return f"name its sub-folders after senses (rgb, thermal, depth, event), or give one, such as {inner[0]}"
    if _entries(folder):
        return f"frames are files that end in {', '.join(sorted(SUFFIXES))}"
    return "it is empty, so put the frames there or name another folder"


@dataclass(frozen=True)
class ImageFolder:
    """A stream whose frames are the images of a folder.

    Attributes:
        folder: where the images lie.
        files: the images in their order.
        times: seconds of each image, where a clock is known.
    """

    folder: Path
    files: tuple[Path, ...]
    times: npt.NDArray[np.float64] | None = None

    @property
    def label(self) -> str:
        """For messages."""
        return f"folder {self.folder}"

    @property
    def length(self) -> int:
        """Number of images."""
        return len(self.files)

    @property
    def live(self) -> bool:
        """Files wait until they are read."""
        return False

    @cached_property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels of the first image that can be read.

        Raises:
            SourceError: if none of the first images can be read.
        """
        problem = SourceError(f"Folder {self.folder} holds no images.")
        for path in self.files[:_PROBED]:
            try:
                return image_size(path)
            except SourceError as error:
                problem = error
        raise problem

    @property
    def numbers(self) -> npt.NDArray[np.float64] | None:
        """The last number in each file name, if these numbers only increase."""
        found = [re.findall(r"[0-9]+", path.stem) for path in self.files]
        if not all(found):
            return None
        numbers = np.array([float(digits[-1]) for digits in found])
        return numbers if bool(np.all(np.diff(numbers) > 0)) else None

    def open(self) -> ImageFolder:
        """Nothing to open: the folder is its own reader."""
        return self

    def close(self) -> None:
        """Nothing to close: each file is closed when it is read."""

    def read(self, index: int) -> Reading:
        """Decodes the image at `index`."""
        if index >= len(self.files):
            reason = f"Folder {self.folder} has no frame {index}: it ends after {len(self.files)} images."
            return Reading(None, self.label, reason, ended=True)
        path = self.files[index]
        try:
            return Reading(read_image(path), f"image {path}")
        except SourceError as error:
            return Reading(None, f"image {path}", str(error))
