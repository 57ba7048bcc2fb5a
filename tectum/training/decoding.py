"""Stored images, of which only the part that a crop shows is decoded.

Of a JPEG that is the rows that the crop shows, as far as the file allows, and the pixels are exactly those of the
whole image. Where a crop shrinks the image 4 times or more, the decoder shrinks it first by 2, 4 or 8 in the transform
domain, to no less than twice the resolution of the crop, so that it looks as it does in tracking.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from tectum.errors import SourceError
from tectum.frames import Modality
from tectum.geometry import Crop, Image
from tectum.sources import DepthRendering, ThermalRendering
from tectum.sources.alignment import overlay
from tectum.sources.images import decode_image
from tectum.sources.rendering import renderer, three_channels
from tectum.sources.streams import RawImage
from tectum.training.jpeg import Header, Rows, decode_rows, header

SPARE = 2.0
"""How many times the pixels that a crop shows across are left when the decoder shrinks: tracking resamples the rest."""

_PNG_START = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Stored:
    """One image as it is stored: a file, or a section of one.

    Attributes:
        path: the file.
        start: first byte of the section.
        length: its bytes; `None` to the end of the file.
        label: what it is called in messages where that is not the file.
    """

    path: Path
    start: int = 0
    length: int | None = None
    label: str = ""

    @property
    def origin(self) -> str:
        """For messages."""
        return self.label or str(self.path)

    def read(self) -> bytes:
        """The bytes, not decoded.

        Raises:
            SourceError: if the file cannot be read, or ends before the section.
        """
        try:
            with self.path.open("rb", buffering=0) as file:
                file.seek(self.start)
                data = file.read() if self.length is None else file.read(self.length)
        except OSError as error:
            reason = error.strerror or error
            raise SourceError(
                f"Image {self.origin} cannot be read ({reason}): make it readable or remove it."
            ) from None
        if not data or len(data) != (self.length or len(data)):
            raise SourceError(f"Image {self.origin} is empty or ends early: copy it again or remove it.")
        return data


def size_of(data: bytes, origin: str) -> tuple[int, int]:
    """Width and height in pixels; of a JPEG or PNG only the head is read.

    Raises:
        SourceError: if it is no image.
    """
    head = header(data)
    if head is not None:
        return head.width, head.height
    if data.startswith(_PNG_START):
        return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    image = decode(data, origin)
    return image.shape[1], image.shape[0]


def decode(data: bytes, origin: str) -> RawImage:
    """Decodes a whole image without changing its depth.

    Returns:
        `H×W` for one channel or `H×W×3` in RGB order, 8 or 16 bit, or 32-bit float.

    Raises:
        SourceError: if it is cut off or no image.
    """
    head = header(data)
    if head is not None:
        return decode_rows(data, head, 0, head.height, 1, origin).pixels
    return decode_image(data, origin)


def cut(data: bytes, crop: Crop, origin: str) -> RawImage:
    """The crop of an image, equal to that of the decoded image; where it shrinks 4 times or more, up to resampling.

    Args:
        data: the file's content.
        crop: the window, in pixels of the image.
        origin: for messages.

    Returns:
        `S×S` or `S×S×3` in RGB order, of the image's depth.

    Raises:
        SourceError: if the part that is needed is broken.
    """
    head = header(data)
    if head is None:
        return np.asarray(crop.extract(decode_image(data, origin)))
    rows = decode_rows(data, head, crop.top, crop.top + crop.side, _shrinking(crop, head), origin)
    moved = replace(crop, top=crop.top - rows.top)
    return np.asarray(moved.extract(rows.pixels) if rows.factor == 1 else _resampled(rows, moved))


def _shrinking(crop: Crop, head: Header) -> int:
    """By how much the decoder may shrink the image."""
    shrinks = min(crop.side / crop.size / SPARE, head.width / 16, head.height / 16)
    return int(min(8, 2 ** max(0, math.floor(math.log2(max(shrinks, 1))))))


def _resampled(rows: Rows, crop: Crop) -> npt.NDArray[np.uint8]:
    """The crop out of rows that were shrunk; beyond the image it is black."""
    step = crop.side / crop.size / rows.factor
    # Middles of pixels are mapped onto middles of pixels.
    shift = [edge / rows.factor + 0.5 * step - 0.5 for edge in (crop.left, crop.top)]
    window = np.array([[step, 0, shift[0]], [0, step, shift[1]]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(rows.pixels, window, (crop.size, crop.size), flags=flags), np.uint8)


def _broken(origin: str, cause: str) -> SourceError:
    return SourceError(f"Image {origin} cannot be decoded ({cause.strip().rstrip('.')}): copy it again or remove it.")


def look(
    images: Mapping[Modality, Stored], senses: tuple[Modality, ...], crop: Crop, depth: DepthRendering
) -> dict[Modality, Image]:
    """What each sense shows in one window of one moment, in the geometry of RGB.

    Args:
        images: the moment's images, RGB among them.
        senses: which are wanted; one without an image is shown as a copy of RGB.
        crop: the window, in pixels of RGB.
        depth: how depth becomes an image.

    Returns:
        Crops `S×S×3`, 8 bit, RGB order.

    Raises:
        SourceError: if an image is broken.
    """
    rgb = images[Modality.RGB]
    data = rgb.read()
    size = size_of(data, rgb.origin)
    seen: dict[Modality, npt.NDArray[np.uint8]] = {
        sense: _shown(images[sense].read(), sense, crop, size, depth, images[sense].origin)
        for sense in senses
        if sense in images and sense != Modality.RGB
    }
    if len(seen) < len(senses):
        seen[Modality.RGB] = _shown(data, Modality.RGB, crop, size, depth, rgb.origin)
    return {sense: three_channels(seen[sense if sense in seen else Modality.RGB]) for sense in senses}


def _shown(
    data: bytes, sense: Modality, crop: Crop, size: tuple[int, int], depth: DepthRendering, origin: str
) -> npt.NDArray[np.uint8]:
    """One sense's crop; an image that is a measurement, or of another size than RGB, is decoded whole."""
    head = header(data)
    if head is not None and (head.width, head.height) == size and sense != Modality.DEPTH:
        return np.asarray(cut(data, crop, origin), np.uint8)
    image = renderer(sense, depth, ThermalRendering())(decode(data, origin))
    return crop.extract(overlay(image, size, None))
