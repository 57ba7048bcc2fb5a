"""Writing sequences into shards; `tectum.training.shards` says what they are."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tectum.errors import TectumError
from tectum.frames import Modality
from tectum.training.decoding import Stored
from tectum.training.shards import FORMAT, FRAMES, INDEX, Entry, Index, Member, frame_type, load_webdataset
from tectum.training.videos import Clip, Clips


def write_shards(clips: Clips, folder: Path, size: int = 1 << 30, restarts: bool = True) -> Iterator[str]:
    """Stores sequences in shards, one after the other, and last of all their index.

    Args:
        clips: the sequences.
        folder: where the shards go; it is made where it is missing.
        size: bytes after which a shard is closed.
        restarts: whether restart markers are put into JPEGs, without loss, so that crops are read sooner.

    Yields:
        The name of each sequence that has been stored.

    Raises:
        BenchmarkError: if a sequence is missing or damaged.
        SourceError: if an image cannot be read.
        TectumError: if the folder holds shards already or cannot be written, or a package is missing.
    """
    if (folder / INDEX).exists():
        raise TectumError(f"{folder} holds shards already: give another folder, or remove it.")
    prepared = _restarting() if restarts else bytes
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writer = _Writer(folder, tuple(sense for sense in Modality if sense in clips.senses), size, prepared)
        for number in range(len(clips)):
            clip = clips[number]
            writer.add(clip, number)
            yield clip.name
        writer.finish(clips)
    except OSError as error:
        raise TectumError(f"Shards cannot be written to {folder} ({error.strerror or error}).") from None


class _Writer:
    """Shards under construction."""

    def __init__(
        self, folder: Path, senses: tuple[Modality, ...], size: int, prepared: Callable[[bytes], bytes]
    ) -> None:
        self.folder, self.senses, self.size, self.prepared = folder, senses, size, prepared
        self.entries: list[Entry] = []
        self.tables: list[npt.NDArray[np.void]] = []
        self.shards: list[Member] = []
        self.rows = self.filled = 0
        self.shard: Any = None

    def add(self, clip: Clip, number: int) -> None:
        """Stores one sequence; it may run over into the next shard."""
        rows = np.zeros(len(clip.boxes), frame_type(len(self.senses)))
        rows["box"] = clip.boxes
        self.entries.append(Entry(clip.name, self.rows, len(rows), clip.text))
        self.tables.append(rows)
        self.rows += len(rows)
        for moment in range(len(rows)):
            self._open().write(self._sample(clip, number, moment))
            if self.filled > self.size:
                self._close()

    def _sample(self, clip: Clip, number: int, moment: int) -> dict[str, str | bytes]:
        images = {sense: clip.images[sense].stored(moment) for sense in self.senses if sense in clip.images}
        box = clip.boxes[moment].tolist() if np.isfinite(clip.boxes[moment]).all() else None
        told = {"sequence": clip.name, "box": box, "text": clip.text}
        sample: dict[str, str | bytes] = {"__key__": f"{number:06d}/{moment:06d}", "json": json.dumps(told).encode()}
        for sense, stored in images.items():
            if stored is not None:
                data = self.prepared(stored.read())
                sample[f"{sense}{_ending(stored)}"] = data
                self.filled += len(data)
        return sample

    def _open(self) -> Any:
        if self.shard is None:
            webdataset = load_webdataset()
            self.filled = 0
            path = self.folder / f"{len(self.shards):06d}.tar"
            self.shard = webdataset.TarWriter(str(path), encoder=False, mtime=0.0, user="", group="")
        return self.shard

    def _close(self) -> None:
        """Ends a shard and notes where in it each image lies."""
        if self.shard is None:
            return
        self.shard.close()
        self.shard = None
        path = self.folder / f"{len(self.shards):06d}.tar"
        with tarfile.open(path) as archive:
            for member in archive:
                self._note(member)
        self.shards.append(Member.of(path))

    def _note(self, member: tarfile.TarInfo) -> None:
        key, _, ending = member.name.partition(".")
        sense = ending.partition(".")[0]
        if sense == "json":
            return
        number, moment = (int(part) for part in key.split("/"))
        column = self.senses.index(Modality(sense))
        row = self.tables[number][moment]
        row["shard"][column] = len(self.shards)
        row["start"][column], row["length"][column] = member.offset_data, member.size

    def finish(self, clips: Clips) -> None:
        """Writes the table and the index."""
        self._close()
        table = np.concatenate([*self.tables, np.zeros(0, frame_type(len(self.senses)))])
        np.save(self.folder / FRAMES, table)
        depth = clips[0].depth
        index = Index(
            clips.name, self.senses, depth, tuple(self.entries), tuple(self.shards), Member.of(self.folder / FRAMES)
        )
        # Written last and under its name at once, an index is never that of unfinished shards.
        partial = self.folder / f".{INDEX}.partial"
        partial.write_text(json.dumps({"format": FORMAT, **asdict(index)}, indent=1) + "\n", "utf-8")
        partial.rename(self.folder / INDEX)


def _ending(stored: Stored) -> str:
    return stored.path.suffix.lower()


def _restarting() -> Callable[[bytes], bytes]:
    """What puts restart markers into a JPEG; its compiler is imported only here."""
    try:
        from tectum.training.restarts import with_restarts
    except ImportError:
        raise TectumError(
            "Restart markers need the package numba: install it by pip install 'tectum[train]', or give --no-restarts."
        ) from None
    return with_restarts
