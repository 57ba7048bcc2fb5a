"""The public face: `load` a tracker, `track` a recording."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import overload

from tectum.errors import BoxError
from tectum.frames import Estimate, Modality, Recording, Track
from tectum.sources import Source, open_recording
from tectum.tracking.runner import Moment, follow, reading, recorded, result_paths
from tectum.tracking.session import Tracker
from tectum.tracking.views import MissingPolicy


def load(
    preset: str | None = None,
    weights: str | Path | None = None,
    second: str | Modality | None = None,
    device: str = "cpu",
    missing: str | MissingPolicy = MissingPolicy.COPY,
) -> Tracker:
    """Makes a tracker ready.

    Args:
        preset: which system, such as `nano` (bundled weights) or `ostrack-b256`; by default the one that the weights
            were saved for, `nano` without weights.
        weights: a weights file, ours or a published checkpoint, or the folder of a run of `tectum train`; bundled
            weights if `None`.
        second: the sense beside RGB, for systems that take one of several; by default the one that the weights were
            saved for, thermal where they do not say.
        device: where it computes, such as `cpu` or `cuda`.
        missing: what to do in a frame that lacks a sense: `copy`, `zero` or `stop`.

    Raises:
        UnknownNameError: if there is no such preset, sense, device or policy.
        WeightsError: if the weights cannot be used, or do not say of which preset they are where none is named.
    """
    from tectum.weights import load as load_system

    return Tracker(load_system(preset, weights, second), device, missing)


@overload
def track(
    tracker: Tracker,
    source: Source | Mapping[Modality, Source] | Recording,
    *,
    box: Sequence[float],
    text: str | None = None,
    out: str | Path | None = None,
    watch: Callable[[Moment], None] | None = None,
) -> Track: ...


@overload
def track(
    tracker: Tracker,
    source: Source | Mapping[Modality, Source] | Recording,
    *,
    boxes: Sequence[Sequence[float]],
    text: str | None = None,
    out: str | Path | None = None,
    watch: Callable[[Moment], None] | None = None,
) -> list[Track]: ...


def track(
    tracker: Tracker,
    source: Source | Mapping[Modality, Source] | Recording,
    *,
    box: Sequence[float] | None = None,
    boxes: Sequence[Sequence[float]] | None = None,
    text: str | None = None,
    out: str | Path | None = None,
    watch: Callable[[Moment], None] | None = None,
) -> Track | list[Track]:
    """Follows one target, or several, through a whole recording.

    Args:
        tracker: what `load` returned.
        source: what `tectum.sources.open_recording` can open (a path, a camera, one source per sense), or a
            recording that is open already.
        box: the target in the first frame, `x, y, w, h` in pixels.
        boxes: several targets instead, each `x, y, w, h`; they share each forward pass.
        text: a sentence that names the target, for systems that read.
        out: a folder for results, written as they come: `NAME.txt`, or `NAME_1.txt` and so on for `boxes`.
        watch: called with every moment, for progress or drawing.

    Returns:
        A track for `box`, a list of tracks for `boxes`.

    Raises:
        BoxError: if a box cannot be tracked, or not exactly one of `box` and `boxes` is given.
        SourceError: if the recording cannot be read.
        MissingModalityError: if a sense is missing and the policy is `stop`.
    """
    if (box is None) == (boxes is None) or (boxes is not None and len(boxes) == 0):
        raise BoxError("Give tectum.track either box=(x, y, w, h) or boxes=[...] with at least one box.")
    targets = [box] if box is not None else list(boxes or ())
    recording = open_recording(source) if isinstance(source, str | Path | int | Mapping) else source
    names = [path.stem for path in result_paths("", recording.name, len(targets))]
    rows: list[tuple[Estimate, ...]] = []
    with reading(recording) as frames:
        moments = follow(tracker, frames, targets, text)
        if out is not None:
            moments = recorded(moments, result_paths(out, recording.name, len(targets)))
        for moment in moments:
            rows.append(moment.estimates)
            if watch is not None:
                watch(moment)
    tracks = [Track(name, column) for name, column in zip(names, zip(*rows, strict=True), strict=True)]
    return tracks[0] if box is not None else tracks
