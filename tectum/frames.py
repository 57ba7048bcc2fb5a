"""The nouns of the field: what is seen, what is asked, what is answered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from tectum.choice import Choice
from tectum.errors import SourceError
from tectum.geometry import Box, Image

if TYPE_CHECKING:
    import torch


class Modality(Choice):
    """A sense that makes images."""

    RGB = "rgb"
    THERMAL = "thermal"
    DEPTH = "depth"
    EVENT = "event"

    @classmethod
    def what(cls) -> str:
        """What users call it."""
        return "sense"


@dataclass(frozen=True)
class Frame:
    """One moment of a recording, all senses in the geometry of the RGB image.

    Attributes:
        images: per modality of the recording an image `H×W×3`, 8 bit, RGB order, all of one size;
            `None` where this moment lacks it (it is missing, not black).
        index: position in the recording, from 0.
        timestamp: seconds, where the recording has a clock.
        reasons: why a missing sense is missing, one sentence that names the file, where it is known.
    """

    images: Mapping[Modality, Image | None]
    index: int = 0
    timestamp: float | None = None
    reasons: Mapping[Modality, str] = field(default_factory=dict)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels.

        Raises:
            SourceError: if every sense is missing.
        """
        for image in self.images.values():
            if image is not None:
                return image.shape[1], image.shape[0]
        raise SourceError(f"Frame {self.index} has no image of any sense.")

    @property
    def missing(self) -> frozenset[Modality]:
        """The modalities of the recording that this moment lacks."""
        return frozenset(modality for modality, image in self.images.items() if image is None)

    @classmethod
    def of(cls, image: Image | Mapping[Modality, Image | None] | Frame) -> Frame:
        """Takes a frame, a mapping by modality, or a bare RGB image.

        Raises:
            SourceError: if it is none of them.
        """
        if isinstance(image, Frame):
            return image
        if isinstance(image, np.ndarray):
            return cls({Modality.RGB: image})
        if isinstance(image, Mapping):
            return cls(dict(image))
        # An image that OpenCV could not read comes as `None`, whatever the types promise.
        raise SourceError(
            f"{image!r} is no frame: give an RGB image (maybe it was not read), images by modality, or a Frame."
        )


class Recording(Protocol):
    """Where frames come from: anything named that can be iterated, lazily, from the start."""

    @property
    def name(self) -> str:
        """A short name for results files."""
        ...

    @property
    def senses(self) -> frozenset[Modality]:
        """The modalities that its frames have as keys."""
        ...

    @property
    def length(self) -> int | None:
        """Frames in the recording, `None` for live sources."""
        ...

    def __iter__(self) -> Iterator[Frame]: ...


@dataclass(frozen=True)
class Sequence:
    """A recording with its annotations.

    Attributes:
        recording: the frames, read lazily.
        boxes: ground truth `N×4`, `nan` rows where the target is absent or not annotated.
        text: a sentence that names the target, where there is one.
        attributes: the benchmark's attribute names that hold for it.
    """

    recording: Recording
    boxes: npt.NDArray[np.float64]
    text: str | None = None
    attributes: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """The recording's name."""
        return self.recording.name


@dataclass(frozen=True)
class Prompt:
    """What else is known of the target when it is first shown.

    Attributes:
        text: one sentence per target of the batch, or `None`.
        box: the target in the template crop, `B×4` as `x, y, w, h` in fractions of the crop's side, or `None`.
    """

    text: tuple[str, ...] | None = None
    box: torch.Tensor | None = None


@dataclass(frozen=True)
class Estimate:
    """Where the target is thought to be in one frame.

    Attributes:
        box: in image pixels.
        score: confidence in [0, 1].
        visible: whether the score reaches the tracker's threshold.
        missing: senses that the frame lacked and the policy stood in for.
    """

    box: Box
    score: float
    visible: bool = True
    missing: frozenset[Modality] = frozenset()


@dataclass(frozen=True)
class Track:
    """Estimates of one target over a recording, the first one being the given box."""

    name: str
    estimates: tuple[Estimate, ...] = field(default=(), repr=False)

    @property
    def boxes(self) -> npt.NDArray[np.float64]:
        """Boxes `N×4` as `x, y, w, h` in pixels."""
        return np.array([estimate.box for estimate in self.estimates], np.float64).reshape(-1, 4)

    @property
    def scores(self) -> npt.NDArray[np.float64]:
        """Confidences `N` in [0, 1]."""
        return np.array([estimate.score for estimate in self.estimates], np.float64)

    def save(self, path: str | Path) -> Path:
        """Writes one `x,y,w,h` line per frame and returns the path."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(result_line(estimate.box) for estimate in self.estimates))
        return path


def result_line(box: Box) -> str:
    """One line of a results file: `x,y,w,h` with three decimals and a line break."""
    return ",".join(f"{value:.3f}" for value in box) + "\n"
