"""The images of a sequence, played in any order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from tectum.sources import list_images
from tectum.sources.folders import ImageFolder
from tectum.sources.images import SUFFIXES, image_size
from tectum.sources.pairing import ABSENT
from tectum.sources.streams import Reading


@dataclass(frozen=True)
class SortedImages(ImageFolder):
    """A stream of the images of a folder, told apart by their place in the sorted folder and not by their numbers.

    Benchmarks number the files of one moment differently in each sense, or with gaps; senses belong together by
    their place.

    Attributes:
        order: the place in `files` of each moment's image, or `ABSENT`.
    """

    order: tuple[int, ...] = ()

    @classmethod
    def of(cls, folder: Path) -> SortedImages:
        """All images of a folder in natural order.

        Raises:
            SourceError: if it holds none.
        """
        return cls.listed(folder, list_images(folder))

    @classmethod
    def listed(cls, folder: Path, files: tuple[Path, ...]) -> SortedImages:
        """The given images of a folder in the given order."""
        return cls(folder, files, order=tuple(range(len(files))))

    @property
    def length(self) -> int:
        """Number of moments that have an image."""
        return sum(place != ABSENT for place in self.order)

    @property
    def numbers(self) -> None:
        """Numbers in file names say nothing here."""
        return

    def played(self, moments: Iterable[int]) -> SortedImages:
        """The same with some of its moments, in their order; one beyond the end has no image."""
        known = len(self.order)
        return replace(self, order=tuple(self.order[each] if each < known else ABSENT for each in moments))

    def open(self) -> SortedImages:
        """Nothing to open: the folder is its own reader."""
        return self

    def read(self, index: int) -> Reading:
        """Decodes the image of a moment."""
        if index >= len(self.order):
            return Reading(None, self.label, f"Folder {self.folder} ends after {len(self.order)} moments.", ended=True)
        if self.order[index] == ABSENT:
            reason = f"Folder {self.folder} has no image for frame {index}: it holds {len(self.files)} images."
            return Reading(None, self.label, reason)
        return super().read(self.order[index])


def size_of_an_image(folder: Path) -> tuple[int, int] | None:
    """Width and height in pixels of one of the images of a folder, `None` where there are none.

    Raises:
        SourceError: if that image cannot be read.
    """
    if not folder.is_dir():
        return None
    some = next((path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES), None)
    return None if some is None else image_size(some)
