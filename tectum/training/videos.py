"""Annotated sequences: two moments of one make a pair."""

from __future__ import annotations

import logging
import os
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tectum.benchmarks.base import Benchmark
from tectum.benchmarks.images import SortedImages
from tectum.errors import BenchmarkError, RecipeError, SourceError
from tectum.frames import Modality
from tectum.geometry import Box
from tectum.sources import DepthRendering, StreamRecording
from tectum.sources.pairing import ABSENT
from tectum.training.decoding import Stored
from tectum.training.recorded import Draw, Shot
from tectum.training.sampling import Moments, Sampling

LEAST_SIDE: Mapping[str, float] = {"visevent": 5, "coesot": 5, "depthtrack": 10}
"""Pixels that width and height of a target must exceed to count as visible, where the field has such a rule."""

HELD = 1_000_000
"""Frames whose annotations and names are kept in memory, some 50 bytes each."""

_TRIES = 50

_log = logging.getLogger(__name__)


class Images(Protocol):
    """The images of one sense of a sequence."""

    def stored(self, moment: int) -> Stored | None:
        """The image of a moment, `None` where it is missing."""
        ...


@dataclass(frozen=True)
class FolderImages:
    """Images in a folder.

    Attributes:
        folder: where they lie.
        names: the file name of each moment, empty where it is missing; as bytes, which take a tenth of the memory.
    """

    folder: Path
    names: npt.NDArray[np.bytes_]

    @classmethod
    def of(cls, stream: SortedImages) -> FolderImages:
        """The images of a stream, in the order in which it is played."""
        files = [os.fsencode(path.name) for path in stream.files]
        names = [b"" if place == ABSENT else files[place] for place in stream.order]
        return cls(stream.files[0].parent if files else stream.folder, np.array(names, np.bytes_))

    def stored(self, moment: int) -> Stored | None:
        """The file of a moment."""
        name = self.names[moment] if moment < len(self.names) else b""
        return Stored(self.folder / os.fsdecode(name)) if name else None


@dataclass(frozen=True)
class Clip:
    """One annotated sequence.

    Attributes:
        name: of the sequence.
        boxes: `N×4` as `x, y, w, h` in pixels of RGB, `nan` where the target is not visible.
        images: by sense, RGB among them.
        text: a sentence that names the target, or empty.
        depth: how depth becomes an image.
    """

    name: str
    boxes: npt.NDArray[np.float32]
    images: Mapping[Modality, Images]
    text: str = ""
    depth: DepthRendering = field(default_factory=DepthRendering)

    @cached_property
    def visible(self) -> Moments:
        """The moments that show the target."""
        return np.flatnonzero(np.isfinite(self.boxes).all(axis=1))

    def shot(self, moment: int) -> Shot:
        """One moment.

        Raises:
            SourceError: if it has no RGB image.
        """
        found = {sense: images.stored(moment) for sense, images in self.images.items()}
        held = {sense: stored for sense, stored in found.items() if stored is not None}
        if Modality.RGB not in held:
            raise SourceError(f"Sequence {self.name} has no RGB image for frame {moment}: download it again.")
        return Shot(held, Box.of(self.boxes[moment]), self.depth)


class Clips(Protocol):
    """Annotated sequences, wherever they are stored."""

    @property
    def name(self) -> str:
        """For messages and logs."""
        ...

    @property
    def senses(self) -> frozenset[Modality]:
        """Those that they have images of."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Clip: ...


class FolderClips:
    """The sequences of a benchmark as it is downloaded.

    A sequence is opened when it is first drawn, and remembered; the longest unused are forgotten beyond `HELD` frames.

    Args:
        benchmark: whose reader knows the layout.
        root: the folder of the download.
        split: which of its splits.
        least_side: pixels that width and height of a visible target exceed; the field's own by default.

    Raises:
        RecipeError: if there is no such folder, or no sequence in the split.
        UnknownNameError: if there is no such split.
    """

    def __init__(
        self, benchmark: Benchmark, root: Path, split: str | None = "train", least_side: float | None = None
    ) -> None:
        if not root.is_dir():
            raise RecipeError(f"There is no folder {root} with {benchmark.title}: mend its path or give --data DIR.")
        self.benchmark, self.root = benchmark, root
        self.least_side = LEAST_SIDE.get(benchmark.name, 0.0) if least_side is None else least_side
        self.names = benchmark.names(root, split)
        self.name = f"{benchmark.name}/{split or benchmark.split}"
        if not self.names:
            raise RecipeError(f"There is no sequence of {self.name} in {root}: mend its path or leave it out.")
        self._clips: OrderedDict[int, Clip] = OrderedDict()
        self._frames = 0

    @property
    def senses(self) -> frozenset[Modality]:
        """Those of the benchmark."""
        return frozenset(self.benchmark.senses)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Clip:
        """Opens a sequence.

        Raises:
            BenchmarkError: if it is missing or damaged.
        """
        clip = self._clips.get(index)
        if clip is None:
            clip = self._clips[index] = self._opened(self.names[index])
            self._frames += len(clip.boxes)
            while self._frames > HELD and len(self._clips) > 1:
                self._frames -= len(self._clips.popitem(last=False)[1].boxes)
        self._clips.move_to_end(index)
        return clip

    def __getstate__(self) -> dict[str, Any]:
        """What another process needs: not what is remembered."""
        return {**self.__dict__, "_clips": OrderedDict(), "_frames": 0}

    def _opened(self, name: str) -> Clip:
        sequence = self.benchmark.sequence(self.root, name)
        recording = sequence.recording
        assert isinstance(recording, StreamRecording)
        streams = {sense: stream for sense, stream in recording.streams.items() if isinstance(stream, SortedImages)}
        boxes = sequence.boxes.astype(np.float32)
        boxes[~(boxes[:, 2:] > self.least_side).all(axis=1)] = np.nan
        images = {sense: FolderImages.of(stream) for sense, stream in streams.items()}
        return Clip(name, boxes, images, sequence.text or "", recording.depth)


@dataclass(frozen=True, eq=False)
class Videos:
    """Pairs of two moments of a sequence.

    Attributes:
        clips: the sequences.
        sampling: how they and their moments are drawn.
    """

    clips: Clips
    sampling: Sampling = field(default_factory=Sampling)

    @property
    def name(self) -> str:
        """The sequences' name."""
        return self.clips.name

    @property
    def senses(self) -> frozenset[Modality]:
        """Those of the sequences."""
        return self.clips.senses

    @cached_property
    def _ends(self) -> npt.NDArray[np.int64]:
        """Up to which frame of all each sequence reaches; opens every sequence once."""
        return np.cumsum([self._length(index) for index in range(len(self.clips))])

    def _length(self, index: int) -> int:
        try:
            return len(self.clips[index].visible)
        except BenchmarkError as error:
            _log.warning("%s It is never drawn.", error)
            return 0

    def draw(self, rng: np.random.Generator) -> Draw:
        """Draws a sequence and two of its moments; see `Source.draw`."""
        clip = self._clip(rng)
        template, search = self.sampling.moments(rng, clip.visible)
        absent = bool(rng.random() < self.sampling.absent) and len(self.clips) > 1
        if absent:
            clip, other = self._clip(rng, but=clip), clip
            moment = int(clip.visible[rng.integers(len(clip.visible))])
            return Draw(other.shot(template), clip.shot(moment), other.text, absent=True)
        return Draw(clip.shot(template), clip.shot(search), clip.text)

    def _clip(self, rng: np.random.Generator, but: Clip | None = None) -> Clip:
        for _ in range(_TRIES):
            clip = self.clips[self._index(rng)]
            if len(clip.visible) and (but is None or clip.name != but.name):
                return clip
        raise SourceError(f"Hardly a sequence of {self.name} shows its target: check its annotations.")

    def _index(self, rng: np.random.Generator) -> int:
        if not self.sampling.by_length:
            return int(rng.integers(len(self.clips)))
        return int(np.searchsorted(self._ends, rng.integers(self._ends[-1]), side="right"))
