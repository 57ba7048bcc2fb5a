"""One image file: decoded as it is stored, or refused in one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg

from tectum.errors import SourceError
from tectum.sources.streams import RawImage

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".pgm", ".ppm", ".pnm", ".jp2"})
"""File name endings, in lower case, that are taken for images."""

_JPEG_START = b"\xff\xd8\xff"
_PNG_START = b"\x89PNG"
# What must stand near the end of a whole file: OpenCV shows a cut-off one half grey, or prints a warning.
_ENDS = {_JPEG_START: b"\xff\xd9", _PNG_START: b"IEND"}
# Libjpeg warns of these, but every pixel is there all the same.
_HARMLESS = ("extraneous bytes", "Invalid SOS parameters", "Inconsistent progression", "Unknown Adobe color")


def read_image(path: Path) -> RawImage:
    """Decodes one image file without changing its depth.

    The pixels come as they are stored: an orientation noted beside them is not applied.

    Args:
        path: the file; its kind is told by its content, not by its name.

    Returns:
        `H×W` for one channel or `H×W×3` in RGB order (transparency is dropped), 8 or 16 bit, or 32-bit float.

    Raises:
        SourceError: if the file cannot be read, is cut off, or is no image.
    """
    return decode_image(_content(path), path)


def decode_image(data: bytes, origin: Path | str) -> RawImage:
    """The same for what a file holds.

    Args:
        data: the file's content.
        origin: where it is from, for messages.

    Returns:
        As `read_image`.

    Raises:
        SourceError: if it is cut off or is no image.
    """
    if data.startswith(_JPEG_START):
        return _decode_jpeg(data, origin)
    return _decode_other(data, origin)


def image_size(path: Path) -> tuple[int, int]:
    """Width and height of an image file in pixels; of a JPEG only the header is decoded.

    Raises:
        SourceError: if the file cannot be read or is no image.
    """
    data = _content(path)
    header = _jpeg_header(data) if data.startswith(_JPEG_START) else None
    if header is not None:
        return header[0], header[1]
    image = _decode_other(data, path)
    return image.shape[1], image.shape[0]


def _content(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SourceError(
            f"Image {path} cannot be read ({error.strerror or error}): make it readable or remove it."
        ) from None
    if not data:
        raise SourceError(f"Image {path} is an empty file: copy it again or remove it.")
    return data


def _jpeg_header(data: bytes) -> tuple[int, int, str] | None:
    """Width, height and colour space; `None` where simplejpeg does not know the kind, or the header is broken."""
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data, strict=False)
    except (ValueError, KeyError):
        return None
    return width, height, colours


def _decode_jpeg(data: bytes, origin: Path | str) -> RawImage:
    header = _jpeg_header(data)
    if header is None or header[2] in ("CMYK", "YCCK"):
        return _decode_other(data, origin)
    if header[2] == "Gray":
        return _decode_strictly(data, "GRAY", origin)[:, :, 0]
    return _decode_strictly(data, "RGB", origin)


def _decode_strictly(data: bytes, order: str, origin: Path | str) -> npt.NDArray[np.uint8]:
    try:
        return np.asarray(simplejpeg.decode_jpeg(data, order), np.uint8)
    except ValueError as error:
        if not any(words in str(error) for words in _HARMLESS):
            raise _broken(origin, str(error)) from None
    return np.asarray(simplejpeg.decode_jpeg(data, order, strict=False), np.uint8)


def _decode_other(data: bytes, origin: Path | str) -> RawImage:
    for start, end in _ENDS.items():
        if data.startswith(start) and end not in data[-64:]:
            raise _broken(origin, "it is cut off")
    flags = cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image: npt.NDArray[Any] | None = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        image = None
    if image is None:
        raise _broken(origin, "it is cut off or of a kind that OpenCV does not read")
    if image.dtype.kind == "f":
        np.nan_to_num(image, copy=False, posinf=0.0, neginf=0.0)
    if image.ndim == 2:
        return image
    if image.dtype not in (np.uint8, np.uint16):
        raise _broken(origin, f"its colours are stored as {image.dtype}, which is neither 8 nor 16 bit")
    if image.shape[2] == 4:
        return cv2.cvtColor(image, cv2.COLOR_BGRA2RGB)
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image)


def _broken(origin: Path | str, cause: str) -> SourceError:
    cause = cause.strip().rstrip(".")
    return SourceError(f"Image {origin} cannot be decoded ({cause}): copy it again or remove it.")
