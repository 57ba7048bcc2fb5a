"""From frames to what a network sees: crops, normalised, by modality; and what stands in for a missing sense."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from tectum.choice import Choice
from tectum.errors import MissingModalityError, SourceError
from tectum.frames import Frame, Modality
from tectum.geometry import Crop, Image
from tectum.systems.base import normalise


class MissingPolicy(Choice):
    """What to do in a frame that lacks a sense.

    `copy`: the image of a sense that is there stands in, RGB before others; `zero`: the crop is zero after
    normalisation, that is the mean colour; `stop`: raise `MissingModalityError`.
    """

    COPY = "copy"
    ZERO = "zero"
    STOP = "stop"

    @classmethod
    def what(cls) -> str:
        """What is chosen, for messages."""
        return "policy"


def look(
    frames: Sequence[Frame],
    crops: Sequence[Crop],
    senses: Iterable[Modality],
    policy: MissingPolicy,
    device: torch.device | str = "cpu",
) -> dict[Modality, Tensor]:
    """Crops each frame in every sense, with the policy's stand-ins where a sense is missing.

    Args:
        frames: one per target.
        crops: one window per target, all of one size.
        senses: the modalities wanted.
        policy: what stands in for a missing sense; `stop` must have been heeded by `check_present` before.
        device: where the views shall lie.

    Returns:
        Views `B×3×S×S` by modality.
    """
    views = {}
    for sense in sorted(senses, key=tuple(Modality).index):
        images = [_image(frame, sense, policy) for frame in frames]
        cut = np.stack([_cut(crop, image) for crop, image in zip(crops, images, strict=True)])
        view = normalise(torch.from_numpy(cut).to(device))
        blank = [row for row, image in enumerate(images) if image is None]
        if blank:
            view[blank] = 0
        views[sense] = view
    return views


def _cut(crop: Crop, image: Image | None) -> Image:
    return np.zeros((crop.size, crop.size, 3), np.uint8) if image is None else crop.extract(image)


def _image(frame: Frame, sense: Modality, policy: MissingPolicy) -> Image | None:
    """The image of a sense or what stands in for it; `None` for a blank crop."""
    image = frame.images.get(sense)
    if image is not None or policy is not MissingPolicy.COPY:
        return image
    return next((frame.images[other] for other in Modality if frame.images.get(other) is not None), None)


def lacking(frame: Frame, senses: Iterable[Modality]) -> frozenset[Modality]:
    """Those of the senses that have no image in the frame."""
    return frozenset(sense for sense in senses if frame.images.get(sense) is None)


def check_present(frame: Frame, senses: Iterable[Modality]) -> None:
    """Heeds the policy `stop`.

    Raises:
        MissingModalityError: if the frame lacks one of the senses; it names the frame and the known reasons.
    """
    missing = lacking(frame, senses)
    if missing:
        names = " and ".join(sorted(missing))
        reasons = " ".join(frame.reasons[sense] for sense in sorted(missing) if sense in frame.reasons)
        raise MissingModalityError(
            f"Frame {frame.index} lacks {names}, and the policy for missing senses is 'stop': "
            f"mend the recording or use 'copy' or 'zero'." + (f" {reasons}" if reasons else "")
        )


def check_images(frame: Frame, size: tuple[int, int]) -> None:
    """Refuses images that a track cannot go on with.

    Args:
        frame: the next moment.
        size: width and height of the frames so far.

    Raises:
        SourceError: if an image is not `H×W×3` of 8 bit, or has another size.
    """
    for sense, image in frame.images.items():
        if image is None:
            continue
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise SourceError(
                f"The {sense} image of frame {frame.index} is {image.dtype} of shape {image.shape}: "
                f"give 8-bit images of height x width x 3 in RGB order."
            )
        if (image.shape[1], image.shape[0]) != size:
            raise SourceError(
                f"The {sense} image of frame {frame.index} is {image.shape[1]}x{image.shape[0]}, but the track began "
                f"with {size[0]}x{size[1]}: resize them to one size, or cut the recording there."
            )
