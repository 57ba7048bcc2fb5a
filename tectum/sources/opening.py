"""From what a user names to a recording: a folder, a folder per sense, videos, a camera, an address."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tectum.errors import SourceError
from tectum.frames import Modality
from tectum.sources import videos
from tectum.sources.alignment import Alignment, read_alignment
from tectum.sources.folders import ImageFolder, images_in, list_images, sense_entries, sense_of
from tectum.sources.images import SUFFIXES as IMAGE_SUFFIXES
from tectum.sources.recording import StreamRecording
from tectum.sources.rendering import DepthRendering, ThermalRendering
from tectum.sources.streams import Stream
from tectum.sources.timestamps import Times, checked_times, find_timestamps, read_timestamps
from tectum.sources.videos import Video, open_video

Source = str | Path | int
"""A folder, a video file, the index of a camera (also as text), or the URL of a stream."""

RAW_EVENTS = frozenset({".raw", ".dat", ".aedat", ".aedat4", ".h5", ".hdf5", ".npz", ".npy", ".bag", ".es"})
"""File name endings, in lower case, under which event cameras and data sets keep events themselves."""


def open_recording(
    source: Source | Mapping[Modality, Source],
    *,
    name: str | None = None,
    depth: DepthRendering | None = None,
    thermal: ThermalRendering | None = None,
    alignment: Path | str | Mapping[Modality, Alignment] | None = None,
    timestamps: Mapping[Modality, Path | str | Sequence[float]] | None = None,
    ahead: int = 4,
) -> StreamRecording:
    """Opens a recording; its frames are read when it is iterated.

    Args:
        source: either one source, or one for each sense. A folder with sub-folders (or video files) named after
            senses, such as `rgb` and `thermal`, gives them all; any other single source is taken for RGB.
        name: for results files; by default from the path.
        depth: how depth becomes an image.
        thermal: how thermal readings become an image.
        alignment: a file with the homography from the second sensor to RGB (see `read_alignment`), or
            homographies by sense; sensors without one are resized to the RGB image.
        timestamps: files or seconds by sense; by default `timestamps.txt` or `.csv` in a folder of images, or
            `NAME_timestamps.txt` or `.csv` beside it, is used where it exists.
        ahead: frames to read ahead on a thread; 0 reads on the caller's thread.

    Raises:
        SourceError: if something is missing, empty, unreadable, or does not fit together.
        UnknownNameError: if a key is no modality.
    """
    sources = _by_sense(source)
    given = {Modality.of(sense): times for sense, times in (timestamps or {}).items()}
    _refuse_strangers("Timestamps", given, sources)
    streams = {
        sense: _with_times(_open_stream(sources[sense], sense), given.get(sense))
        for sense in Modality
        if sense in sources
    }
    without = [sense for sense, stream in streams.items() if given and stream.times is None]
    if without:
        raise SourceError(f"Timestamps were given for {', '.join(given)}, but {without[0]} has none: give both.")
    recording = StreamRecording(
        name=name or _name(source, sources),
        streams=streams,
        depth=depth or DepthRendering(),
        thermal=thermal or ThermalRendering(),
        alignments=_alignments(alignment, tuple(streams)),
        ahead=ahead,
    )
    recording.check()
    return recording


def _by_sense(source: Source | Mapping[Modality, Source]) -> dict[Modality, Path | str | int]:
    """The address of each sense: a path, a URL or a camera's index."""
    if isinstance(source, Mapping):
        if not source:
            raise SourceError("No source was given: name a folder, a video, a camera or a URL.")
        return {Modality.of(sense): _address(each) for sense, each in source.items()}
    address = _address(source)
    if isinstance(address, Path) and address.is_dir():
        entries = sense_entries(address, videos.SUFFIXES)
        if entries:
            return dict(entries)
    return {Modality.RGB: address}


def _address(source: Source) -> Path | str | int:
    if isinstance(source, int):
        return source
    text = str(source)
    if isinstance(source, str) and "://" in text:
        return text
    path = Path(source).expanduser()
    return int(text) if text.isdecimal() and not path.exists() else path


def _open_stream(address: Path | str | int, sense: Modality) -> ImageFolder | Video:
    if not isinstance(address, Path):
        return open_video(address)
    if address.is_dir():
        inner = {} if images_in(address) else sense_entries(address, videos.SUFFIXES)
        if sense in inner:
            return _open_stream(inner[sense], sense)
        if sense is Modality.EVENT and not images_in(address):
            _refuse_raw_events(sorted(address.iterdir()))
        return ImageFolder(address, list_images(address))
    if not address.exists():
        raise SourceError(f"There is no {address}: give a folder of images, a video, a camera index or a URL.")
    if sense is Modality.EVENT:
        _refuse_raw_events([address])
    if address.suffix.lower() in IMAGE_SUFFIXES:
        raise SourceError(f"{address} is a single image: give the folder that holds the frames.")
    return open_video(address)


def _refuse_raw_events(files: Sequence[Path]) -> None:
    """Says what to do with what an event camera wrote."""
    raw = next((path for path in files if path.suffix.lower() in RAW_EVENTS), None)
    if raw is not None:
        raise SourceError(
            f"{raw} looks like raw events, and Tectum tracks in images of them: render those of each frame to an "
            "image first, as tectum.world.events.accumulated does with an array of them, and give the folder of images."
        )


def _with_times(stream: ImageFolder | Video, given: Path | str | Sequence[float] | None) -> Stream:
    """The stream with the clock that was given, or that lies beside it."""
    if stream.length is None:
        return stream
    times: Times | None = None
    if given is not None and not isinstance(given, (str, Path)):
        times = checked_times(given, stream.length, f"The timestamps of {stream.label}")
    else:
        file = Path(given) if given is not None else _clock_beside(stream)
        if file is not None:
            names = [path.name for path in stream.files] if isinstance(stream, ImageFolder) else stream.length
            times = read_timestamps(file, names)
    return stream if times is None else replace(stream, times=times)


def _clock_beside(stream: ImageFolder | Video) -> Path | None:
    if isinstance(stream, ImageFolder):
        return find_timestamps(stream.folder)
    return None if "://" in str(stream.address) else find_timestamps(Path(str(stream.address)))


def _alignments(
    alignment: Path | str | Mapping[Modality, Alignment] | None, senses: tuple[Modality, ...]
) -> dict[Modality, Alignment]:
    if alignment is None:
        return {}
    if isinstance(alignment, Mapping):
        found = {Modality.of(sense): each for sense, each in alignment.items()}
        _refuse_strangers("An alignment", found, senses[1:])
        return found
    if len(senses) < 2:
        raise SourceError(f"Alignment file {alignment} has nothing to align: the recording has only {senses[0]}.")
    return read_alignment(Path(alignment), senses[1:])


def _refuse_strangers(
    what: str, found: Mapping[Modality, object], senses: Sequence[Modality] | Mapping[Modality, object]
) -> None:
    for sense in found:
        if sense not in senses:
            raise SourceError(
                f"{what} for {sense} was given, but the recording has no such second sense: leave it out."
            )


def _name(source: Source | Mapping[Modality, Source], sources: Mapping[Modality, Path | str | int]) -> str:
    """The folder or file that is not merely named after a sense, in letters that suit a file name."""
    address = next(sources[sense] for sense in Modality if sense in sources)
    if not isinstance(source, Mapping):
        address = _address(source)
    if isinstance(address, int):
        return f"camera{address}"
    if isinstance(address, str):
        words = re.split(r"[/?#]", address.partition("://")[2].rstrip("/"))
        text = words[-1] or words[0]
    else:
        whole = address.resolve()
        stem = whole.name if whole.is_dir() else whole.stem
        text = whole.parent.name if sense_of(stem) and whole.parent.name else stem
    return re.sub(r"[^\w.+-]+", "_", text).strip("._") or "recording"
