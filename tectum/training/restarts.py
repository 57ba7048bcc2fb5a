"""JPEGs that can be entered at any row: restart markers put in without loss.

The rows of a JPEG are one string of bits, and each block's mean is stored as the difference from the block before. So
an ordinary file can only be read from its start. A restart marker ends the byte and begins the differences anew. To put
one after each row of blocks, the string is read code by code and written again: the means with new differences, all
other coefficients as they were. What is decoded stays the same to the bit; `tectum.training.jpeg` makes use of it.

Codes and layout are those of ITU-T T.81, annexes B, C and F.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt
import simplejpeg

from tectum.training.jpeg import Header, header, segments

_Function = TypeVar("_Function", bound=Callable[..., object])
_Bytes = npt.NDArray[np.uint8]
_Numbers = npt.NDArray[np.int64]
_Codes = npt.NDArray[np.int16]

_HUFFMAN, _RESTART_INTERVAL, _END = 0xC4, 0xDD, 0xD9
_MARKER = re.compile(rb"\xff+[^\x00\xff]")
# Table K.3: a file's own table may lack the differences that are new.
_MEAN_COUNTS = bytes((0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0))
_MEAN_SIZES = bytes(range(12))
_MEAN_LENGTHS = np.repeat(np.arange(1, 17), np.frombuffer(_MEAN_COUNTS, np.uint8))
_MEAN_SPANS = 1 << (16 - _MEAN_LENGTHS)
_MEAN_CODES = (np.cumsum(_MEAN_SPANS) - _MEAN_SPANS) // _MEAN_SPANS
_BROKEN = -1


@dataclass(frozen=True)
class _Layout:
    """How the string of bits is made up.

    Attributes:
        place: where in the file the segment begins that announces it.
        numbers: of the tables of means.
        rows: of blocks that are stored together.
        columns: such blocks in a row.
        blocks: how many of each channel are stored together.
        means: for each channel, what the next 16 bits begin with: length of the code, times 256, plus its symbol.
        others: the same for all coefficients but the first.
    """

    place: int
    numbers: frozenset[int]
    rows: int
    columns: int
    blocks: _Numbers
    means: _Codes
    others: _Codes


def with_restarts(data: bytes) -> bytes:
    """Puts a restart marker after each row of blocks, some bytes for each.

    Args:
        data: a file's content.

    Returns:
        A JPEG of exactly the same pixels; or `data` itself where it is no such file, has such markers, is progressive,
        or is broken.
    """
    head = header(data)
    end = _MARKER.search(data, head.scan) if head is not None else None
    if head is None or end is None or end.group()[-1] != _END:
        return data
    layout = _layout(data, head)
    if layout is None or layout.rows < 2:
        return data
    string = data[head.scan : end.start()].replace(b"\xff\x00", b"\xff")
    scan = _rewritten(string, layout)
    if scan is None:
        return data
    made = data[: layout.place] + _announced(layout) + data[layout.place : head.scan] + scan + data[end.start() :]
    return made if _same_pixels(data, made) else data


def _layout(data: bytes, head: Header) -> _Layout | None:
    """What the segments before the scan say; `None` if a table is missing."""
    tables: dict[int, _Codes] = {}
    place = 0
    for marker, place, length in segments(data):
        if marker == _HUFFMAN:
            tables |= _tables(data[place + 4 : place + 2 + length])
    channels = data[place + 4]
    frame = head.place + 6
    samples = [data[frame + 3 * channel] if channels > 1 else 0x11 for channel in range(channels)]
    used = [data[place + 6 + 2 * channel] for channel in range(channels)]
    across = 8 * max(each >> 4 for each in samples)
    try:
        means = np.stack([tables[each >> 4] for each in used])
        others = np.stack([tables[0x10 | (each & 15)] for each in used])
    except KeyError:
        return None
    blocks = np.array([(each >> 4) * (each & 15) for each in samples])
    numbers = frozenset(each >> 4 for each in used)
    rows, columns = -(-head.height // head.block), -(-head.width // across)
    return _Layout(place, numbers, rows, columns, blocks, means, others)


def _tables(content: bytes) -> Mapping[int, _Codes]:
    """The codes of a segment by their class and number."""
    found = {}
    while len(content) > 16:
        counts = content[1:17]
        last = 17 + sum(counts)
        found[content[0]] = _codes(counts, content[17:last])
        content = content[last:]
    return found


def _codes(counts: bytes, symbols: bytes) -> _Codes:
    """What each 16 bits begin with; 0 where that is no code."""
    lengths = np.repeat(np.arange(1, 17), np.frombuffer(counts, np.uint8))[: len(symbols)]
    begun = np.repeat(lengths << 8 | np.frombuffer(symbols, np.uint8), 1 << (16 - lengths))
    codes = np.zeros(1 << 16, np.int16)
    codes[: len(begun)] = begun[: len(codes)]
    return codes


def _announced(layout: _Layout) -> bytes:
    """Segments with the table of differences and how far apart restarts are."""
    table = b"".join(bytes((number,)) + _MEAN_COUNTS + _MEAN_SIZES for number in sorted(layout.numbers))
    return _segment(_HUFFMAN, table) + _segment(_RESTART_INTERVAL, layout.columns.to_bytes(2, "big"))


def _segment(marker: int, content: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(content) + 2).to_bytes(2, "big") + content


def _same_pixels(one: bytes, other: bytes) -> bool:
    try:
        return np.array_equal(simplejpeg.decode_jpeg(one, "RGB"), simplejpeg.decode_jpeg(other, "RGB"))
    except ValueError:
        return False


def _rewritten(string: bytes, layout: _Layout) -> bytes | None:
    """The scan with restarts; `None` if the string is broken."""
    # Beyond its end lie enough bits for the longest code and what follows it.
    bits = np.frombuffer(string + bytes(8), np.uint8)
    # A mean may take 20 bits where it took 2, any byte may have to be stuffed, and a broken block may be a long one.
    room = 2 * len(bits) + 6 * layout.rows * (layout.columns * int(layout.blocks.sum()) + 2) + 1024
    made = np.empty(room, np.uint8)
    count = _rewrite(
        bits, 8 * len(string), layout.rows, layout.columns, layout.blocks, layout.means, layout.others, made
    )
    return None if count == _BROKEN else made[:count].tobytes()


def _compiled(function: _Function) -> _Function:
    return cast(_Function, numba.njit(cache=True)(function))


@_compiled
def _rewrite(
    bits: _Bytes,
    end: int,
    rows: int,
    columns: int,
    blocks: _Numbers,
    means: _Codes,
    others: _Codes,
    made: _Bytes,
) -> int:
    """Writes the scan into `made` and tells how long it is, or `_BROKEN`."""
    # Bits that are not written yet, how many, and where the next byte goes.
    pending = np.zeros(3, np.int64)
    # Each channel's last mean, as it was read and as it is written.
    before = np.zeros((len(blocks), 2), np.int64)
    place = 0
    for row in range(rows):
        before[:, 1] = 0
        for _ in range(columns):
            for channel in range(len(blocks)):
                for _ in range(blocks[channel]):
                    place = _mean(bits, place, means[channel], before[channel], made, pending)
                    place = _rest(bits, place, others[channel], made, pending) if place >= 0 else place
                    if place < 0 or place > end:
                        return _BROKEN
        _end_row(made, pending, row % 8 if row + 1 < rows else _BROKEN)
    # What is left may only fill the last byte.
    return int(pending[2]) if end - place < 8 else _BROKEN


@_compiled
def _mean(bits: _Bytes, place: int, table: _Codes, before: _Numbers, made: _Bytes, pending: _Numbers) -> int:
    """Reads a block's mean as a difference and writes it as another; returns where the next code begins."""
    code = table[_peek(bits, place)]
    size = code & 255
    if code == 0 or size > 15:
        return _BROKEN
    place += code >> 8
    value = _peek(bits, place) >> (16 - size)
    before[0] += value if size == 0 or value >> (size - 1) else value - (1 << size) + 1
    change = before[0] - before[1]
    before[1] = before[0]
    place += size
    size = 0
    while abs(change) >> size:
        size += 1
    if size >= len(_MEAN_CODES):
        return _BROKEN
    _put(made, pending, _MEAN_CODES[size], _MEAN_LENGTHS[size])
    _put(made, pending, change if change >= 0 else change + (1 << size) - 1, size)
    return place


@_compiled
def _rest(bits: _Bytes, place: int, table: _Codes, made: _Bytes, pending: _Numbers) -> int:
    """Copies a block's other coefficients; returns where the next code begins."""
    number = 1
    while number < 64:
        code = table[_peek(bits, place)]
        length, run, size = code >> 8, code >> 4 & 15, code & 15
        if length == 0:
            return _BROKEN
        _put(made, pending, _peek(bits, place) >> (16 - length), length)
        _put(made, pending, _peek(bits, place + length) >> (16 - size), size)
        place += length + size
        # Only zeros are left, unless the run is that of 16 zeros.
        if size == 0 and run < 15:
            return place
        number += run + 1
    return place if number == 64 else _BROKEN


@_compiled
def _peek(bits: _Bytes, place: int) -> int:
    """The 16 bits from a place on; a place beyond the end is taken back to it."""
    first = min(place >> 3, len(bits) - 3)
    window = np.int64(bits[first]) << 16 | np.int64(bits[first + 1]) << 8 | np.int64(bits[first + 2])
    return int(window >> (8 - (place & 7)) & 0xFFFF)


@_compiled
def _put(made: _Bytes, pending: _Numbers, value: int, count: int) -> None:
    """Appends some bits; a byte of ones is followed by one of zeros, for it would be a marker."""
    pending[0] = pending[0] << count | value
    pending[1] += count
    while pending[1] >= 8:
        pending[1] -= 8
        byte = pending[0] >> pending[1] & 255
        made[pending[2]] = byte
        pending[2] += 1
        if byte == 255:
            made[pending[2]] = 0
            pending[2] += 1
    pending[0] &= (1 << pending[1]) - 1


@_compiled
def _end_row(made: _Bytes, pending: _Numbers, marker: int) -> None:
    """Fills the last byte with ones, and sets a restart marker unless it is the last row."""
    if pending[1]:
        filled = 8 - pending[1]
        _put(made, pending, (1 << filled) - 1, filled)
    if marker >= 0:
        made[pending[2]] = 255
        made[pending[2] + 1] = 0xD0 + marker
        pending[2] += 2
