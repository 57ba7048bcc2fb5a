"""Following a target to the frames that somebody wants to look into."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import torch

from tectum.errors import SourceError
from tectum.frames import Estimate, Frame, Modality
from tectum.geometry import Box, Crop, Image
from tectum.inspection.observation import Observation, observe
from tectum.inspection.watching import watching
from tectum.tracking.session import Session, Tracker


@dataclass(frozen=True)
class Target:
    """What a system was shown of the target.

    Attributes:
        images: the template crops, by sense.
        box: the target in them, in pixels of the crop.
        size: side of the crops in pixels.
    """

    images: dict[Modality, Image]
    box: Box
    size: int


@dataclass(frozen=True)
class Sighting:
    """What was seen of the target in one frame.

    Attributes:
        frame: number of the frame, from 0.
        box: where the target was found, in image pixels.
        score: confidence of that, in [0, 1].
        crops: where the system looked, and another one that it is compared with, if there is one: around the same
            place, by as much as each wants.
        observations: what they did.
    """

    frame: int
    box: Box
    score: float
    crops: tuple[Crop, ...]
    observations: tuple[Observation, ...]

    def box_in(self, system: int) -> Box:
        """Where the target was found in the search crop of a system, in pixels of the crop."""
        return self.crops[system].into(self.box)

    @property
    def comparable(self) -> bool:
        """Whether there are two systems, with the same streams and features of the same size on the same places."""
        if len(self.observations) < 2:
            return False
        windows = {(crop.left, crop.top, crop.side) for crop in self.crops}
        streams = {each.streams for each in self.observations}
        shapes = {each.features.shape for each in self.observations}
        return len(windows) == len(streams) == len(shapes) == 1 and bool(self.observations[0].streams)

    def arrays(self) -> bytes:
        """All arrays as the contents of an `.npz` file; those of the other system begin with `against_`.

        Attention, layers and features are in half precision. A crop is left, top and side of its window in the image.
        """
        held: dict[str, np.ndarray] = {"frame": np.array(self.frame), "box": np.array(self.box, np.float32)}
        for prefix, crop, observation in zip(("", "against_"), self.crops, self.observations, strict=False):
            held[f"{prefix}crop"] = np.array((crop.left, crop.top, crop.side))
            held[f"{prefix}streams"] = np.array([str(each) for each in observation.streams])
            held[f"{prefix}score"] = observation.score
            held[f"{prefix}kept"] = observation.kept
            held[f"{prefix}eliminated_after"] = np.array(observation.eliminated_after, np.int64)
            held.update({f"{prefix}view_{sense}": image for sense, image in observation.views.items()})
            for name in ("attention", "layers", "features"):
                held[prefix + name] = getattr(observation, name).astype(np.float16)
        contents = BytesIO()
        np.savez_compressed(contents, allow_pickle=False, **held)
        return contents.getvalue()


def template_of(tracker: Tracker, first: Frame, box: Box) -> Target:
    """What a tracker is shown of a target in the first frame, in those of its senses that the frame has."""
    windows = tracker.system.crops
    crop = Crop.around(box, windows.template_factor, windows.template_size)
    images = {
        sense: crop.extract(image)
        for sense, image in first.images.items()
        if image is not None and sense in tracker.system.senses
    }
    return Target(images, crop.into(box), crop.size)


def sightings(
    sessions: Sequence[Session], frames: Iterable[Frame], wanted: Collection[int]
) -> Iterator[Sighting | None]:
    """Follows a target, and looks into the system in some frames.

    Args:
        sessions: that of the tracker that follows the target, and that of one that looks at the same places, wherever
            it would itself have gone, if there is one.
        frames: of the recording, from the second one on; they are read as far as the last one wanted.
        wanted: numbers of the frames to look into, 1 or more.

    Yields:
        For every frame a sighting, or `None` where none is wanted.

    Raises:
        SourceError: if a frame that is wanted has no image or does not exist.
        TectumError: as `Tracker.update` does.
    """
    start, last, index = sessions[0].box, max(wanted), 0
    for index, frame in enumerate(frames, start=1):
        if index in wanted:
            yield _seen(sessions, frame, index, start)
        else:
            sessions[0].update(frame)
            yield None
        if index == last:
            return
    raise SourceError(f"The recording ends with frame {index}, and frame {last} was asked for: name an earlier one.")


def _seen(sessions: Sequence[Session], frame: Frame, index: int, start: Box) -> Sighting:
    """What all sessions do where the first one looks."""
    before = sessions[0].box
    crops = tuple(
        Crop.around(before, windows.search_factor, windows.search_size)
        for windows in (session.tracker.system.crops for session in sessions)
    )
    seen: list[tuple[Estimate, Observation]] = []
    for session in sessions:
        session.box = before
        seen.append(_observed(session, frame, index, start))
    found = seen[0][0]
    return Sighting(index, found.box, found.score, crops, tuple(observation for _, observation in seen))


@torch.inference_mode()
def _observed(session: Session, frame: Frame, index: int, start: Box) -> tuple[Estimate, Observation]:
    system, windows = session.tracker.system, session.tracker.system.crops
    with watching(system) as evidence:
        estimate = session.update(frame)
    if evidence.maps is None:
        raise SourceError(f"Frame {index} has no image that the tracker takes: look into another one.")
    crop = Crop.around(start, windows.template_factor, windows.template_size)
    target = torch.tensor([crop.into(start)], device=session.tracker.device) / crop.size
    return estimate, observe(system, evidence, target)
