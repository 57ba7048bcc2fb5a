"""Recordings: the streams of all sensors, paired, rendered and aligned, one frame after the other."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count

from tectum.errors import SourceError
from tectum.frames import Frame, Modality
from tectum.sources.alignment import Alignment
from tectum.sources.channels import Channel
from tectum.sources.pairing import Schedule, pair, unequal_lengths
from tectum.sources.readahead import read_ahead
from tectum.sources.rendering import DepthRendering, ThermalRendering, renderer
from tectum.sources.streams import Reading, Stream


@dataclass(frozen=True)
class StreamRecording:
    """A recording made of one stream per sense, all brought into the geometry of the first one.

    Every iteration starts anew (a live source goes on where it is) and reads ahead on a thread of its own.

    Attributes:
        name: for results files.
        streams: by sense, the reference first: RGB where there is one.
        depth: how depth becomes an image.
        thermal: how thermal readings become an image.
        alignments: homographies onto the reference; a sense without one is resized.
        ahead: frames that are read ahead; 0 reads on the caller's thread.
    """

    name: str
    streams: Mapping[Modality, Stream]
    depth: DepthRendering = field(default_factory=DepthRendering)
    thermal: ThermalRendering = field(default_factory=ThermalRendering)
    alignments: Mapping[Modality, Alignment] = field(default_factory=dict)
    ahead: int = 4

    @property
    def senses(self) -> frozenset[Modality]:
        """The modalities that every frame has as keys."""
        return frozenset(self.streams)

    @property
    def reference(self) -> Stream:
        """The stream whose geometry all others take."""
        return next(iter(self.streams.values()))

    @property
    def length(self) -> int | None:
        """Frames in the recording, as far as its files announce them; `None` for live sources."""
        if self.schedule is not None:
            return len(self.schedule.frames)
        lengths = [stream.length for stream in self.streams.values()]
        known = [length for length in lengths if length is not None]
        return max(known) if len(known) == len(lengths) else None

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user should know before tracking, one sentence each: streams of unequal length, lost partners."""
        if self.schedule is not None:
            return self.schedule.warnings
        return unequal_lengths(tuple(self.streams.values()))

    @cached_property
    def schedule(self) -> Schedule | None:
        """Which frames belong together; `None` where they follow each other in every stream."""
        return pair(tuple(self.streams.values()))

    def check(self) -> None:
        """Finds what is wrong with the recording as a whole before its first frame is read.

        Raises:
            SourceError: if no first frame can be read, streams cannot be paired, or an alignment does not fit.
        """
        size = self.reference.size
        for sense, stream in self.streams.items():
            if sense in self.alignments:
                self.alignments[sense].check(stream.size, size)
        if self.schedule is not None and not len(self.schedule.frames):
            raise SourceError(f"Recording {self.name} has no frames.")

    def __iter__(self) -> Iterator[Frame]:
        frames = self._frames()
        if self.ahead <= 0:
            return frames
        live = any(stream.live for stream in self.streams.values())
        return read_ahead(frames, 1 if live else self.ahead, newest=live)

    def _frames(self) -> Generator[Frame, None, None]:
        with ExitStack() as opened:
            channels = {sense: self._channel(sense, opened) for sense in self.streams}
            for index, places in enumerate(self._places()):
                seen = {sense: channels[sense].read(place) for sense, place in zip(channels, places, strict=True)}
                if all(reading.image is None for reading in seen.values()):
                    if self._is_end(seen):
                        return
                    raise SourceError(self._unseen(index, seen))
                yield self._frame(index, seen)

    def _channel(self, sense: Modality, opened: ExitStack) -> Channel:
        stream = self.streams[sense]
        return Channel(
            label=stream.label,
            reader=opened.enter_context(closing(stream.open())),
            render=renderer(sense, self.depth, self.thermal),
            size=self.reference.size,
            leads=stream is self.reference,
            alignment=self.alignments.get(sense),
        )

    def _places(self) -> Iterator[tuple[int, ...]]:
        """The frame of each stream at each moment."""
        if self.schedule is None:
            return ((index,) * len(self.streams) for index in count())
        return (tuple(row) for row in self.schedule.frames.tolist())

    def _is_end(self, seen: Mapping[Modality, Reading]) -> bool:
        """Whether no stream has more to come, and the reference came to its end as announced."""
        leader = next(iter(seen.values()))
        return all(reading.ended for reading in seen.values()) and not leader.early

    def _unseen(self, index: int, seen: Mapping[Modality, Reading]) -> str:
        reasons = " ".join(reading.reason for reading in seen.values())
        return f"Frame {index} of recording {self.name} has no image: {reasons[:1].lower()}{reasons[1:]}"

    def _frame(self, index: int, seen: Mapping[Modality, Reading]) -> Frame:
        images = {sense: reading.image for sense, reading in seen.items()}
        reasons = {sense: reading.reason for sense, reading in seen.items() if reading.image is None}
        return Frame(images, index, self._time(index), reasons)

    def _time(self, index: int) -> float | None:
        times = self.reference.times if self.schedule is None else self.schedule.times
        return float(times[index]) if times is not None and index < len(times) else None
