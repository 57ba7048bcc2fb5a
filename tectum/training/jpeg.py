"""JPEGs of which only some rows are decoded, by cutting the file before the decoder sees it.

What lies below the wanted rows is cut off by giving the file the height of the last of them. What lies above can be
left out where the file has restart markers between its rows, as frames have that ffmpeg writes with several threads
and those in our shards: decoding may begin at any of them. Either way the rows are exactly those of the whole image.

The layout of files is that of ITU-T T.81, annex B.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import simplejpeg

from tectum.errors import SourceError

_SEQUENTIAL = (0xC0, 0xC1)
_OTHER_FRAMES = frozenset(range(0xC2, 0xD0)) - {0xC4, 0xC8, 0xCC}
_START_OF_SCAN, _RESTART_INTERVAL = 0xDA, 0xDD
_END = b"\xff\xd9"
# Interpolating the colours between their samples looks two rows further.
_CONTEXT = 2
# The rest of a file cut short by us is extraneous; the others leave every pixel as it is.
_HARMLESS = ("extraneous bytes", "Invalid SOS parameters", "Inconsistent progression", "Unknown Adobe color")


@dataclass(frozen=True)
class Header:
    """What the head of a JPEG says whose rows are stored one after the other.

    Attributes:
        width: of the image in pixels.
        height: the same.
        grey: whether it has a single channel.
        block: pixel rows that are stored together.
        place: where in the file the height is written, two bytes.
        scan: where the rows begin.
        band: pixel rows between two restart markers; 0 where there are none, or not at the ends of rows.
    """

    width: int
    height: int
    grey: bool
    block: int
    place: int
    scan: int = 0
    band: int = 0


@dataclass(frozen=True)
class Rows:
    """Some rows of an image.

    Attributes:
        pixels: `H×W` or `H×W×3` in RGB order, 8 bit; shrunk by `factor`.
        top: the first of them in the image, before shrinking.
        factor: 1, 2, 4 or 8.
    """

    pixels: npt.NDArray[np.uint8]
    top: int
    factor: int


def header(data: bytes) -> Header | None:
    """Reads the head of a JPEG; `None` for other files and for kinds that must be decoded whole.

    Those are progressive JPEGs, whose rows come in several passes, four-channel ones, and files with a scan for each
    channel.
    """
    if not data.startswith(b"\xff\xd8"):
        return None
    found, interval = None, 0
    for marker, place, length in segments(data):
        if marker in _OTHER_FRAMES:
            return None
        if marker in _SEQUENTIAL:
            found = place
        elif marker == _RESTART_INTERVAL:
            interval = int.from_bytes(data[place + 4 : place + 6], "big")
        elif marker == _START_OF_SCAN and found is not None:
            return _header(data, found, place, place + 2 + length, interval)
    return None


def segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Walks through the segments of a JPEG's head.

    Yields:
        Marker, place of its first byte and length without the marker's two bytes; the first scan's is the last.
    """
    place, marker = 2, 0
    while marker != _START_OF_SCAN and place + 9 < len(data) and data[place] == 0xFF:
        marker, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4], "big")
        # A marker may be padded with bytes of ones.
        if marker == 0xFF:
            place += 1
            continue
        yield marker, place, length
        place += 2 + length


def _header(data: bytes, place: int, scan_header: int, scan: int, interval: int) -> Header | None:
    bits, channels = data[place + 4], data[place + 9]
    height, width = (int.from_bytes(data[place + start : place + start + 2], "big") for start in (5, 7))
    if bits != 8 or channels not in (1, 3) or not height or data[scan_header + 4] != channels:
        return None
    # A single channel is stored block by block, whatever its sampling says.
    samples = [data[place + 11 + 3 * channel] if channels == 3 else 0x11 for channel in range(channels)]
    if not all(each >> 4 and each & 15 for each in samples):
        return None
    across, down = max(each >> 4 for each in samples), max(each & 15 for each in samples)
    in_a_row = -(-width // (8 * across))
    band = 8 * down * (interval // in_a_row) if interval and interval % in_a_row == 0 else 0
    return Header(width, height, channels == 1, 8 * down, place + 5, scan, band)


def decode_rows(data: bytes, head: Header, first: int, last: int, factor: int, origin: str) -> Rows:
    """Decodes at least the rows from `first` to before `last`, and no more than it must.

    Args:
        data: the file's content.
        head: what `header` says of it.
        first: first row, may be negative.
        last: the row after the last, may be beyond the image.
        factor: 1, 2, 4 or 8, by which the image is shrunk in the transform domain.
        origin: for messages.

    Raises:
        SourceError: if the rows are broken.
    """
    bottom = min(-(-(max(last, 1) + _CONTEXT) // head.block) * head.block, head.height)
    top = 0
    content: bytes | None = data
    if head.band:
        top = max(0, min(first, bottom - 1) - _CONTEXT) // head.band * head.band
        content = _bands(data, head, top, bottom)
    elif bottom < head.height:
        content = _with_height(data, head, bottom)
    if content is None:
        raise _broken(origin, "a restart marker is missing")
    return Rows(_decoded(content, head, bottom - top, factor, origin), top, factor)


def _with_height(data: bytes, head: Header, height: int) -> bytes:
    return data[: head.place] + height.to_bytes(2, "big") + data[head.place + 2 :]


def _bands(data: bytes, head: Header, top: int, bottom: int) -> bytes | None:
    """The file with only the bands that hold some rows, numbered anew; `None` if a marker is missing."""
    starts, count = [head.scan], -(-bottom // head.band)
    for band in range(count - 1):
        marker = data.find(bytes((0xFF, 0xD0 + band % 8)), starts[-1])
        if marker < 0:
            return None
        starts.append(marker + 2)
    end = data.find(bytes((0xFF, 0xD0 + (count - 1) % 8)), starts[-1]) if bottom < head.height else len(data)
    kept = starts[top // head.band :]
    if end < 0:
        return None
    scan = bytearray(data[kept[0] : end])
    for number, start in enumerate(kept[1:]):
        scan[start - kept[0] - 1] = 0xD0 + number % 8
    return _with_height(data[: head.scan], head, bottom - top) + bytes(scan) + (_END if end < len(data) else b"")


def _decoded(content: bytes, head: Header, height: int, factor: int, origin: str) -> npt.NDArray[np.uint8]:
    shape = (-(-height // factor), -(-head.width // factor))
    pixels = np.empty((*shape, 1 if head.grey else 3), np.uint8)
    least = shape if factor > 1 else (0, 0)
    try:
        simplejpeg.decode_jpeg(
            content, "GRAY" if head.grey else "RGB", min_height=least[0], min_width=least[1], buffer=pixels
        )
    except ValueError as error:
        # The rows are complete in the buffer by the time that a warning is raised.
        if not any(words in str(error) for words in _HARMLESS):
            raise _broken(origin, str(error)) from None
    return pixels[:, :, 0] if head.grey else pixels


def _broken(origin: str, cause: str) -> SourceError:
    return SourceError(f"Image {origin} cannot be decoded ({cause.strip().rstrip('.')}): copy it again or remove it.")
