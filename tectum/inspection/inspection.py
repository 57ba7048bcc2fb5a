"""All sheets and arrays of one inspection, written to a folder."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from tectum.errors import SourceError
from tectum.evaluation.report import write_bytes
from tectum.frames import Recording
from tectum.inspection.comparison import (
    component_sheet,
    pairs_of,
    similarity_by_block,
    similarity_sheet,
)
from tectum.inspection.panels import as_png
from tectum.inspection.sheets import attention_sheet, elimination_sheet, feature_sheet, rows_of, score_sheet
from tectum.inspection.sighting import Sighting, Target, sightings, template_of
from tectum.tracking.runner import reading
from tectum.tracking.session import Tracker


@dataclass(frozen=True)
class Inspection:
    """What was seen in some frames of a recording.

    Attributes:
        recording: its name.
        systems: name of the system that tracked, and of the one that it is compared with, if there is one.
        target: what it was shown.
        sightings: one or more, in the order of the frames.
    """

    recording: str
    systems: tuple[str, ...]
    target: Target
    sightings: tuple[Sighting, ...]

    @property
    def left_out(self) -> tuple[str, ...]:
        """What cannot be seen of the systems, a sentence each."""
        first = self.sightings[0]
        seen = zip(self.systems, first.observations, strict=True)
        sentences = [f"{name}: {says}" for name, each in seen for says in each.left_out]
        if len(self.systems) > 1 and not first.comparable:
            sentences.append(
                "Features are not compared between the systems: they differ in their streams, their windows, or the "
                "number of features or places."
            )
        return tuple(sentences)

    def write(self, folder: Path) -> list[Path]:
        """Writes a PNG for each sheet and an `.npz` file for each frame, and returns their paths.

        Raises:
            TectumError: if a file cannot be written.
        """
        written = [write_bytes(folder / f"{name}.png", as_png(figure)) for name, figure in self.sheets()]
        for each in self.sightings:
            written.append(write_bytes(folder / f"frame_{each.frame:06d}.npz", each.arrays()))
        return written

    def sheets(self) -> Iterator[tuple[str, Figure]]:
        """Every sheet that these systems allow, with its name; those about the other system begin with `against_`."""
        first, on = self.sightings[0], f"on {self.recording}"
        yield "score", score_sheet(f"Score of {self.systems[0]} {on}", self.target, self.sightings, self.systems)
        for system in range(len(self.systems)):
            yield from self._of_system(system)
        if pairs_of(first, self.systems):
            yield "similarity", similarity_sheet(f"Similarity of features {on}", self.sightings, self.systems)
            if any(len(each.layers) for each in first.observations):
                title = f"Similarity of features by block {on}"
                yield "similarity_by_block", similarity_by_block(title, self.sightings, self.systems)
        if all(each.streams for each in first.observations):
            yield "components", component_sheet(f"Principal components {on}", self.sightings, self.systems)

    def _of_system(self, system: int) -> Iterator[tuple[str, Figure]]:
        """The sheets about one system."""
        seen, rows = self.sightings[0].observations[system], rows_of(self.sightings, system)
        prefix, tail = "against_" if system else "", f"{self.systems[system]} on {self.recording}"
        if len(seen.attention):
            yield f"{prefix}attention", attention_sheet(f"Attention of {tail}", rows)
        if len(seen.kept):
            yield f"{prefix}elimination", elimination_sheet(f"Elimination in {tail}", rows)
        if seen.streams:
            yield f"{prefix}features", feature_sheet(f"Features of {tail}", rows)


def inspect(
    trackers: Sequence[Tracker],
    systems: Sequence[str],
    recording: Recording,
    box: Sequence[float],
    wanted: Collection[int],
    watch: Callable[[], None] | None = None,
) -> Inspection:
    """Follows a target to the last of some frames, and looks into the systems in each of them.

    Args:
        trackers: the one that follows, and one to compare it with that looks at the same places, if any.
        systems: their names.
        recording: where the target is.
        box: the target in the first frame, `x, y, w, h` in pixels.
        wanted: numbers of the frames to look into, 1 or more.
        watch: called after every frame.

    Raises:
        SourceError: if the recording cannot be read, or a frame that is wanted has no image or does not exist.
        BoxError: if the box cannot be tracked.
    """
    with reading(recording) as frames:
        first = next(frames, None)
        if first is None:
            raise SourceError(f"Recording {recording.name} has no frames: give one with at least two images.")
        sessions = [tracker.start(first, box) for tracker in trackers]
        target = template_of(trackers[0], first, sessions[0].box)
        seen: list[Sighting] = []
        for sighting in sightings(sessions, frames, wanted):
            if sighting is not None:
                seen.append(sighting)
            if watch is not None:
                watch()
    return Inspection(recording.name, tuple(systems), target, tuple(seen))
