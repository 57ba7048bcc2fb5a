"""Real material for training: still images, alone or with a thermal partner, and annotated clips."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from tectum.errors import RecipeError, SourceError
from tectum.geometry import Box, Image
from tectum.sources.folders import list_images
from tectum.sources.images import read_image
from tectum.sources.rendering import eight_bit, three_channels
from tectum.world.sprites import Mask

Gray = npt.NDArray[np.uint8]
"""An image `H×W`, 8 bit."""


@dataclass(frozen=True)
class Still:
    """One picture, with the thermal picture of the same view where there is one."""

    rgb: Image
    thermal: Gray | None = None


@dataclass(frozen=True)
class Clip:
    """Frames of one target with its box in each and, where known, its mask.

    Attributes:
        frames: images `H×W×3`.
        boxes: `N×4` as `x, y, w, h`, `nan` where absent.
        masks: coverage `H×W` per frame; empty where there are none.
    """

    frames: tuple[Image, ...]
    boxes: npt.NDArray[np.float64]
    masks: tuple[Mask, ...] = ()

    def box(self, index: int) -> Box:
        """The target's box in one frame."""
        return Box.of(self.boxes[index])

    @property
    def visible(self) -> npt.NDArray[np.int64]:
        """Frames in which the target is annotated with some area."""
        return np.flatnonzero(np.nan_to_num(self.boxes[:, 2:]).min(axis=1) > 2)


@dataclass(frozen=True)
class Footage:
    """All real material of a training."""

    stills: tuple[Still, ...] = ()
    clips: tuple[Clip, ...] = ()


def read_footage(stills: Iterable[Path], clips: Iterable[Path]) -> Footage:
    """Reads folders of still pairs (`rgb/`, `thermal/`) and of clips (`rgb/`, `groundtruth.txt`, `mask/`).

    Raises:
        RecipeError: if a folder is not there.
        SourceError: if an image is broken or a clip's files do not match.
    """
    found = [still for folder in stills for still in read_stills(_existing(folder))]
    return Footage(tuple(found), tuple(read_clip(_existing(folder)) for folder in clips))


def read_stills(folder: Path) -> list[Still]:
    """Reads the pictures of `folder/rgb`, each with its namesake of `folder/thermal` where there is one."""
    partners = {path.stem: path for path in list_images(folder / "thermal")} if (folder / "thermal").is_dir() else {}
    return [_still(path, partners.get(path.stem)) for path in list_images(folder / "rgb")]


def _still(path: Path, partner: Path | None) -> Still:
    rgb = _color(path)
    if partner is None:
        return Still(rgb)
    thermal = cv2.cvtColor(_color(partner), cv2.COLOR_RGB2GRAY)
    if thermal.shape != rgb.shape[:2]:
        thermal = cv2.resize(thermal, (rgb.shape[1], rgb.shape[0]), interpolation=cv2.INTER_AREA)
    return Still(rgb, np.asarray(thermal, np.uint8))


def read_clip(folder: Path) -> Clip:
    """Reads one clip.

    Raises:
        SourceError: if boxes or masks are fewer than the frames.
    """
    paths = list_images(folder / "rgb")
    annotations = folder / "groundtruth.txt"
    boxes = np.loadtxt(annotations, delimiter=",", ndmin=2) if annotations.is_file() else np.empty((0, 4))
    masks = list_images(folder / "mask") if (folder / "mask").is_dir() else ()
    if boxes.shape != (len(paths), 4) or len(masks) not in (0, len(paths)):
        raise SourceError(
            f"The clip {folder} has {len(paths)} frames, {len(boxes)} boxes and {len(masks)} masks: it needs a line "
            "x,y,w,h in groundtruth.txt for every frame, and a mask for each frame or none."
        )
    frames = tuple(_color(path) for path in paths)
    return Clip(frames, boxes.astype(np.float64), tuple(_mask(path) for path in masks))


def _color(path: Path) -> Image:
    return three_channels(eight_bit(read_image(path)))


def _mask(path: Path) -> Mask:
    return np.asarray((_color(path)[..., 0] > 0) * np.uint8(255), np.uint8)


def _existing(folder: Path) -> Path:
    if not folder.is_dir():
        raise RecipeError(f"The recipe names the folder {folder}, which is not there: mend its path or leave it out.")
    return folder
