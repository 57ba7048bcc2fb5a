"""Sequences in a few large files, for disks and stores that are slow with many small ones.

A folder of shards holds

- `000000.tar`, … in WebDataset's form: a sample for each frame, its key `SEQUENCE/FRAME` (both numbers), with the image
  of each sense as the benchmark has it (`rgb.jpg`, `depth.png`; JPEGs with restart markers put in, their pixels the
  same to the bit) and `json` with the sequence's name, the box (`null` where the target is not visible) and the
  sentence, so that any other reader of such files can stream them;
- `frames.npy`, a row for each frame: its box, and for each sense the shard, first byte and length of its image;
- `index.json`, the sequences, the senses, and size and SHA-256 of every other file.

The table makes every image of every shard as near as a file of its own. So pairs are drawn from shards exactly as from
folders: the same draw gives the same pair, in any process and after any interruption, which a buffer that is shuffled
as it streams by could not promise. Shards in a store on the net are streamed, once and as they are first drawn from,
through their checksum into a cache. Those on a local disk are read in place; their checksums are proved once.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from tectum.errors import TectumError
from tectum.frames import Modality
from tectum.sources import DepthRendering
from tectum.training.decoding import Stored
from tectum.training.videos import Clip

INDEX, FRAMES = "index.json", "frames.npy"
FORMAT = 1

_NAME = re.compile(r"[0-9]+\.tar|frames\.npy")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Member:
    """One file of a folder of shards.

    Attributes:
        file: its name.
        size: in bytes.
        digest: its SHA-256 in hexadecimal.
    """

    file: str
    size: int
    digest: str

    def __post_init__(self) -> None:
        if not (_NAME.fullmatch(self.file) and _DIGEST.fullmatch(self.digest)):
            raise ValueError(f"'{self.file}' with checksum '{self.digest}' is no shard")

    @classmethod
    def of(cls, path: Path) -> Member:
        """What a file is."""
        with path.open("rb") as file:
            return cls(path.name, path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())


@dataclass(frozen=True)
class Entry:
    """One sequence.

    Attributes:
        name: its name.
        first: its first row in the table of frames.
        frames: how many rows it has.
        text: a sentence that names the target, or empty.
    """

    name: str
    first: int
    frames: int
    text: str = ""


@dataclass(frozen=True)
class Index:
    """What a folder of shards holds.

    Attributes:
        name: of the sequences, such as `lasher/train`.
        senses: those that the table has columns for, in its order.
        depth: how depth becomes an image.
        sequences: all of them.
        shards: all of them, as the table numbers them.
        table: the file with the table of frames.
    """

    name: str
    senses: tuple[Modality, ...]
    depth: DepthRendering
    sequences: tuple[Entry, ...]
    shards: tuple[Member, ...]
    table: Member

    @classmethod
    def parse(cls, content: bytes, origin: str) -> Index:
        """Reads `index.json`.

        Raises:
            TectumError: if it is none.
        """
        try:
            held = json.loads(content)
            if held["format"] != FORMAT:
                raise ValueError(f"its format is {held['format']}, not {FORMAT}")
            return cls(
                held["name"],
                tuple(Modality(sense) for sense in held["senses"]),
                DepthRendering(**held["depth"]),
                tuple(Entry(**each) for each in held["sequences"]),
                tuple(Member(**each) for each in held["shards"]),
                Member(**held["table"]),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise TectumError(f"{origin} is no index of shards ({error}): make it with `tectum data shard`.") from None


def frame_type(senses: int) -> np.dtype[np.void]:
    """A row of the table of frames: the box as `x, y, w, h`, and where the image of each sense is (length 0: none)."""
    places = (senses,)
    return np.dtype(
        [("box", "<f4", (4,)), ("shard", "<i4", places), ("start", "<i8", places), ("length", "<i4", places)]
    )


class Shards:
    """Annotated sequences in shards, as `Clips`.

    Args:
        location: a folder, or the address of one (`https:`, `s3:`, `gs:` and what else WebDataset opens).
        cache: where shards from the net are kept; `~/.cache/tectum/shards` by default.

    Raises:
        TectumError: if there is no index, or a local shard is not as long as the index says.
    """

    def __init__(self, location: str | Path, cache: Path | None = None) -> None:
        self.location = str(location).rstrip("/")
        self.remote = bool(re.match(r"[a-z0-9]{2,}:", self.location))
        self.cache = cache or Path.home() / ".cache" / "tectum" / "shards"
        self.index = Index.parse(self._index(), f"{self.location}/{INDEX}")
        self.name = self.index.name
        self.senses = frozenset(self.index.senses)
        self._proved: dict[str, Path] = {}
        if not self.remote:
            for member in (*self.index.shards, self.index.table):
                _check_size(Path(self.location) / member.file, member)

    def __len__(self) -> int:
        return len(self.index.sequences)

    def __getitem__(self, index: int) -> Clip:
        """One sequence; its boxes are read from the table."""
        entry = self.index.sequences[index]
        rows = self.frames[entry.first : entry.first + entry.frames]
        images = {sense: ShardImages(self, rows, column) for column, sense in enumerate(self.index.senses)}
        held = {sense: each for sense, each in images.items() if rows["length"][:, each.column].any()}
        return Clip(entry.name, rows["box"], dict(held), entry.text, self.index.depth)

    def __getstate__(self) -> dict[str, Any]:
        """What another process needs: not the table, which it opens itself."""
        return {name: value for name, value in self.__dict__.items() if name != "frames"}

    @cached_property
    def frames(self) -> npt.NDArray[np.void]:
        """The table of frames; it stays on disk."""
        table = np.load(self.path(self.index.table), mmap_mode="r")
        if table.dtype != frame_type(len(self.index.senses)):
            raise TectumError(f"{self.location}/{FRAMES} is no table of frames: make it with `tectum data shard`.")
        return np.asanyarray(table)

    def path(self, member: Member) -> Path:
        """Where a file lies on this machine, whole and unchanged.

        Raises:
            TectumError: if it is damaged or cannot be fetched.
        """
        if member.file not in self._proved:
            self._proved[member.file] = self._fetched(member) if self.remote else self._proven(member)
        return self._proved[member.file]

    def _index(self) -> bytes:
        if self.remote:
            return b"".join(_streamed(f"{self.location}/{INDEX}"))
        try:
            return (Path(self.location) / INDEX).read_bytes()
        except OSError as error:
            raise TectumError(
                f"There is no {INDEX} in {self.location} ({error.strerror}): check the path, or make shards with "
                "`tectum data shard`."
            ) from None

    def _proven(self, member: Member) -> Path:
        """A local file, its checksum proved; a note in the cache says so for as long as it is not changed."""
        path = Path(self.location) / member.file
        state = path.stat()
        told = f"{path.resolve()} {state.st_size} {state.st_mtime_ns} {member.digest}"
        note = self.cache / "proved" / hashlib.sha256(told.encode()).hexdigest()
        if not note.exists():
            if Member.of(path).digest != member.digest:
                raise _damaged(path)
            note.parent.mkdir(parents=True, exist_ok=True)
            note.touch()
        return path

    def _fetched(self, member: Member) -> Path:
        """A file of the net, streamed through its checksum into the cache if it is not there."""
        path = self.cache / f"{member.digest}{Path(member.file).suffix}"
        if path.exists():
            return path
        address, digest = f"{self.location}/{member.file}", hashlib.sha256()
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}.partial")
        try:
            with partial.open("wb") as file:
                for chunk in _streamed(address):
                    digest.update(chunk)
                    file.write(chunk)
            if digest.hexdigest() != member.digest:
                raise _damaged(address)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        return path


@dataclass(frozen=True)
class ShardImages:
    """The images of one sense of a sequence in shards.

    Attributes:
        shards: the folder of shards.
        rows: the sequence's part of the table of frames.
        column: which of the table's senses.
    """

    shards: Shards
    rows: npt.NDArray[np.void]
    column: int

    def stored(self, moment: int) -> Stored | None:
        """The section of a shard that holds the image of a moment."""
        row = self.rows[moment]
        shard, start, length = (int(row[name][self.column]) for name in ("shard", "start", "length"))
        if not length:
            return None
        path = self.shards.path(self.shards.index.shards[shard])
        return Stored(path, start, length, f"at byte {start} of {path}")


def load_webdataset() -> Any:
    """The package, imported only where shards are written or fetched.

    Raises:
        TectumError: if it is not installed.
    """
    try:
        return importlib.import_module("webdataset")
    except ImportError:
        raise TectumError("Shards need the package webdataset: install it by pip install 'tectum[train]'.") from None


def _streamed(address: str) -> Iterator[bytes]:
    """The bytes of a file of the net."""
    try:
        with closing(load_webdataset().gopen(address)) as opened:
            stream: IO[bytes] = opened
            while chunk := stream.read(_CHUNK):
                yield chunk
    except (OSError, ValueError) as error:
        # WebDataset answers with the whole command line of the program that fetches for it.
        ended = re.search(r"\['(\w+)'.* exit (\d+)", str(error))
        reason = f"{ended[1]} ended with code {ended[2]}" if ended else error
        raise TectumError(f"{address} cannot be fetched ({reason}): check the address and the connection.") from None


def _check_size(path: Path, member: Member) -> None:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise TectumError(f"Shard {path} is not there ({error.strerror}): copy it again.") from None
    if size != member.size:
        raise TectumError(f"Shard {path} has {size} bytes, but {member.size} by its index: copy it again.")


def _damaged(place: Path | str) -> TectumError:
    return TectumError(f"Shard {place} is damaged, for its checksum is not the one in its index: copy it again.")
