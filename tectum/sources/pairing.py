"""Which frames of several sensors belong to one moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tectum.errors import SourceError
from tectum.sources.streams import Stream, capital

ABSENT = -1
"""In a schedule, a stream that has no frame for a moment."""


@dataclass(frozen=True)
class Schedule:
    """The moments of a recording.

    Attributes:
        frames: `M×S` index of each stream's frame at each moment, `ABSENT` where it has none.
        times: seconds of the moments `M`, where there is a clock.
        warnings: what of the pairing the user should know, one sentence each.
    """

    frames: npt.NDArray[np.int64]
    times: npt.NDArray[np.float64] | None = None
    warnings: tuple[str, ...] = ()


def pair(streams: Sequence[Stream]) -> Schedule | None:
    """Pairs streams by their clocks, else by the numbers in their file names, else by order.

    Numbers count only where the streams have different lengths and the numbers of one include those of the
    others: then frames were lost in between, and order alone would pair the wrong ones.

    Args:
        streams: the reference first.

    Returns:
        The schedule, or `None` where frames simply follow each other in every stream.

    Raises:
        SourceError: if clocks are given, but no frames of two streams are near each other.
    """
    clocks = [stream.times for stream in streams if stream.times is not None]
    if len(streams) == 1:
        return None
    if len(clocks) == len(streams) and not _same(clocks):
        return _by_clock(streams, clocks)
    numbers = [stream.numbers for stream in streams if stream.numbers is not None]
    if len(numbers) == len(streams) and len({len(each) for each in numbers}) > 1 and _nested(numbers):
        frames = nearest_frames(numbers, [0.25] * len(streams))
        return Schedule(frames, warnings=_unequal(streams, "by the numbers in their names"))
    return None


def unequal_lengths(streams: Sequence[Stream]) -> tuple[str, ...]:
    """The warnings for streams that are paired by order, but differ in length."""
    return _unequal(streams, "in their order")


def nearest_frames(clocks: Sequence[npt.NDArray[np.float64]], tolerances: Sequence[float]) -> npt.NDArray[np.int64]:
    """The frame of each clock that is nearest to each moment.

    The moments are those of the first clock, followed by what the longest other clock has after its end.

    Args:
        clocks: increasing times, the reference first.
        tolerances: how far a frame of each clock may be from its moment.

    Returns:
        Indices `M×S`, `ABSENT` where no frame is within the tolerance.
    """
    moments = _moments(clocks, max(tolerances))
    columns = [_nearest(moments, clock, tolerance) for clock, tolerance in zip(clocks, tolerances, strict=True)]
    return np.stack(columns, axis=1)


def period(clock: npt.NDArray[np.float64]) -> float:
    """The usual time between two frames, 0 for fewer than two."""
    return float(np.median(np.diff(clock))) if len(clock) > 1 else 0.0


def _moments(clocks: Sequence[npt.NDArray[np.float64]], tolerance: float) -> npt.NDArray[np.float64]:
    last = max(clocks[1:], key=lambda clock: clock[-1])
    return np.concatenate([clocks[0], last[last > clocks[0][-1] + tolerance]])


def _nearest(
    moments: npt.NDArray[np.float64], clock: npt.NDArray[np.float64], tolerance: float
) -> npt.NDArray[np.int64]:
    after = np.searchsorted(clock, moments).clip(1, max(len(clock) - 1, 1))
    after = np.minimum(after, len(clock) - 1)
    before = np.maximum(after - 1, 0)
    nearest = np.where(moments - clock[before] <= clock[after] - moments, before, after)
    # Half a period is meant to include its end, whatever rounding made of it.
    within = np.abs(clock[nearest] - moments) <= tolerance * (1 + 1e-6)
    return np.where(within, nearest, ABSENT).astype(np.int64)


def _by_clock(streams: Sequence[Stream], clocks: Sequence[npt.NDArray[np.float64]]) -> Schedule:
    # A slow sensor's frame stands for the whole of its own period, so that is what counts.
    tolerances = [max(period(clock), period(clocks[0])) / 2 for clock in clocks]
    frames = nearest_frames(clocks, tolerances)
    for stream, column in zip(streams[1:], frames.T[1:], strict=True):
        if not (column[: len(clocks[0])] >= 0).any():
            raise SourceError(
                f"No frame of {stream.label} is within half a period of a frame of {streams[0].label}: "
                f"their timestamps must come from one clock, in one unit."
            )
    moments = _moments(clocks, max(tolerances))
    return Schedule(frames, moments, _lonely(streams, frames))


def _lonely(streams: Sequence[Stream], frames: npt.NDArray[np.int64]) -> tuple[str, ...]:
    counts = (frames == ABSENT).sum(axis=0)
    return tuple(
        f"{capital(stream.label)} has no frame within half a period of {count} of the {len(frames)} moments: "
        f"it counts as missing there."
        for stream, count in zip(streams, counts.tolist(), strict=True)
        if count
    )


def _same(clocks: Sequence[npt.NDArray[np.float64]]) -> bool:
    """Whether the clocks agree as far as they all go: then order says the same and trusts no announced length."""
    shortest = min(len(clock) for clock in clocks)
    return all(np.array_equal(clock[:shortest], clocks[0][:shortest]) for clock in clocks)


def _nested(numbers: Sequence[npt.NDArray[np.float64]]) -> bool:
    everything = max(numbers, key=len)
    return all(bool(np.isin(each, everything).all()) for each in numbers)


def _unequal(streams: Sequence[Stream], how: str) -> tuple[str, ...]:
    first = streams[0]
    return tuple(
        f"{capital(first.label)} has {first.length} frames but {stream.label} has {stream.length}: they are "
        f"paired {how}, and a frame without its partner counts as missing that sense."
        for stream in streams[1:]
        if None not in (first.length, stream.length) and first.length != stream.length
    )
