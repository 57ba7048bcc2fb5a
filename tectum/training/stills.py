"""Still pictures: one with a box becomes a pair by jitter, and a region that stands out serves where there is none."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from tectum.errors import RecipeError, SourceError
from tectum.frames import Modality
from tectum.geometry import Box
from tectum.sources import list_images
from tectum.sources.images import SUFFIXES
from tectum.training.decoding import Stored, decode
from tectum.training.recorded import Draw, Shot

Array = npt.NDArray[np.float32]

_BOX = re.compile(r"<bndbox>(.*?)</bndbox>", re.DOTALL)
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_SMALLEST = 18.0
_TRIED = 4
_TRIES = 50


@dataclass(frozen=True)
class Still:
    """One picture.

    Attributes:
        images: by sense, RGB among them.
        boxes: targets `N×4` as `x, y, w, h` in pixels of RGB; `None` where any region may serve.
    """

    images: Mapping[Modality, Stored]
    boxes: Array | None = None


class Pictures(Protocol):
    """Still pictures, wherever they are stored."""

    @property
    def name(self) -> str:
        """For messages and logs."""
        ...

    @property
    def senses(self) -> frozenset[Modality]:
        """Those that they have images of."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Still: ...


@dataclass(frozen=True, eq=False)
class Stills:
    """Pairs of a picture with itself.

    Attributes:
        pictures: what is drawn from, all as often.
    """

    pictures: Pictures

    @property
    def name(self) -> str:
        """The pictures' name."""
        return self.pictures.name

    @property
    def senses(self) -> frozenset[Modality]:
        """Those of the pictures."""
        return self.pictures.senses

    def draw(self, rng: np.random.Generator) -> Draw:
        """Draws a picture and one of its targets; see `Source.draw`."""
        for _ in range(_TRIES):
            still = self.pictures[int(rng.integers(len(self.pictures)))]
            box = _region(rng, still.images[Modality.RGB]) if still.boxes is None else _target(rng, still.boxes)
            if box is not None:
                shot = Shot(still.images, box)
                return Draw(shot, shot)
        raise SourceError(f"Hardly a picture of {self.name} has a box: check its annotations.")


def _target(rng: np.random.Generator, boxes: Array) -> Box | None:
    """One of the boxes with an area; some pictures have none."""
    usable = np.flatnonzero((boxes[:, 2:] > 0).all(axis=1))
    return Box.of(boxes[usable[rng.integers(len(usable))]]) if len(usable) else None


def _region(rng: np.random.Generator, stored: Stored) -> Box:
    """Of a few regions of a picture, the one in which there is most to see."""
    image = decode(stored.read(), stored.origin)
    grey = image if image.ndim == 2 else image[..., 1]
    regions = [_any_region(rng, image.shape[1], image.shape[0]) for _ in range(_TRIED)]
    return max(regions, key=lambda box: _contrast(grey, box))


def _any_region(rng: np.random.Generator, width: int, height: int) -> Box:
    largest = max(_SMALLEST, min(width, height) / 2.5)
    extent, ratio = float(rng.uniform(_SMALLEST, largest)), math.exp(rng.uniform(-0.8, 0.8))
    w, h = min(extent * math.sqrt(ratio), width), min(extent / math.sqrt(ratio), height)
    return Box(float(rng.uniform(0, width - w)), float(rng.uniform(0, height - h)), w, h)


def _contrast(grey: npt.NDArray[np.generic], box: Box) -> float:
    x, y, w, h = (int(value) for value in box)
    return float(np.std(cv2.resize(grey[y : y + h, x : x + w].astype(np.float32), (12, 12))))


class PictureFolder:
    """Pictures of a folder: `rgb/`, and their namesakes of `thermal/`, `depth/` and `event/` where there are any.

    They have no boxes: regions that stand out serve as targets.

    Args:
        folder: holds `rgb/`, or the pictures themselves.

    Raises:
        RecipeError: if there is no such folder.
        SourceError: if it holds no pictures.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise RecipeError(f"There is no folder {folder} with pictures: mend its path or give --data DIR.")
        leading = folder / Modality.RGB
        self.name = f"pictures of {folder.name}"
        self.files = list_images(leading if leading.is_dir() else folder)
        self.partners = {
            sense: {path.stem: path for path in list_images(folder / sense)}
            for sense in Modality
            if sense != Modality.RGB and (folder / sense).is_dir()
        }

    @property
    def senses(self) -> frozenset[Modality]:
        """RGB and those that have a folder."""
        return frozenset({Modality.RGB, *self.partners})

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Still:
        path = self.files[index]
        images: dict[Modality, Stored] = {Modality.RGB: Stored(path)}
        for sense, held in self.partners.items():
            if path.stem in held:
                images[sense] = Stored(held[path.stem])
        return Still(images)


@dataclass(frozen=True, eq=False)
class COCO:
    """COCO's things, each drawn as often (Lin et al., Microsoft COCO: Common Objects in Context, ECCV 2014).

    Groups of things (`iscrowd`) are left out, as in tracking libraries.

    Attributes:
        folder: of the images.
        files: names of `I` images.
        owners: `N`, which image each thing is in.
        boxes: `N×4` as `x, y, w, h` in pixels.
    """

    folder: Path
    files: npt.NDArray[np.bytes_]
    owners: npt.NDArray[np.int32]
    boxes: Array
    name: str = "coco"
    senses: frozenset[Modality] = field(default=frozenset({Modality.RGB}))

    @classmethod
    def read(cls, root: Path, split: str = "train2017") -> COCO:
        """Reads `annotations/instances_SPLIT.json`; its images lie in `images/SPLIT` or `SPLIT`.

        Raises:
            RecipeError: if a file or folder is not there, or is none of COCO's.
        """
        path = root / "annotations" / f"instances_{split}.json"
        folder = next((each for each in (root / "images" / split, root / split) if each.is_dir()), None)
        if folder is None:
            raise RecipeError(
                f"There is no folder images/{split} in {root}: give the folder that COCO was unpacked to."
            )
        try:
            held = json.loads(path.read_bytes())
            images = {image["id"]: place for place, image in enumerate(held["images"])}
            things = [each for each in held["annotations"] if not each["iscrowd"] and min(each["bbox"][2:]) > 0]
            files = np.array([os.fsencode(image["file_name"]) for image in held["images"]], np.bytes_)
            owners = np.array([images[thing["image_id"]] for thing in things], np.int32)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RecipeError(f"{path} is no list of COCO's things ({error!r}): download it again.") from None
        boxes = np.array([thing["bbox"] for thing in things], np.float32).reshape(-1, 4)
        if not len(boxes):
            raise RecipeError(f"{path} lists no things: download it again.")
        return cls(folder, files, owners, boxes, f"coco/{split}")

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, index: int) -> Still:
        name = os.fsdecode(self.files[self.owners[index]])
        return Still({Modality.RGB: Stored(self.folder / name)}, self.boxes[index : index + 1])


class ImageNetDET:
    """ImageNet's detection set (Russakovsky et al., ImageNet Large Scale Visual Recognition Challenge, IJCV 2015).

    `Data/DET/SPLIT` holds the images and `Annotations/DET/SPLIT` a description of each, read when it is drawn.

    Args:
        root: the folder that `ILSVRC` was unpacked to.
        split: `train` or `val`.

    Raises:
        RecipeError: if there are no images.
    """

    senses = frozenset({Modality.RGB})

    def __init__(self, root: Path, split: str = "train") -> None:
        self.name = f"imagenetdet/{split}"
        self.images, self.descriptions = (root / kind / "DET" / split for kind in ("Data", "Annotations"))
        found = sorted(
            os.fsencode(os.path.relpath(os.path.join(folder, file), self.images))  # noqa: PTH118
            for folder, _, files in os.walk(self.images)
            for file in files
            if file.lower().endswith(tuple(SUFFIXES))
        )
        if not found:
            raise RecipeError(f"There are no images in {self.images}: give the folder that holds Data/DET/{split}.")
        self.files = np.array(found, np.bytes_)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Still:
        """One picture with its things.

        Raises:
            SourceError: if its description cannot be read.
        """
        name = Path(os.fsdecode(self.files[index]))
        return Still(
            {Modality.RGB: Stored(self.images / name)}, read_things(self.descriptions / name.with_suffix(".xml"))
        )


def read_things(path: Path) -> Array:
    """The boxes `N×4` as `x, y, w, h` of an ImageNet description; none where nothing is annotated.

    Raises:
        SourceError: if it is not there or cannot be read.
    """
    try:
        text = path.read_text("utf-8", "replace")
    except OSError as error:
        raise SourceError(
            f"{path} cannot be read ({error.strerror}): unpack the annotations beside the images."
        ) from None
    return np.array([_sides(block) for block in _BOX.findall(text)], np.float32).reshape(-1, 4)


def _sides(block: str) -> tuple[float, float, float, float]:
    """The corners may be written in any order; no pixel is added to width and height."""
    found = {name: float(value) for name, value in re.findall(r"<(\w+)>\s*([\d.]+)", block)}
    left, top, right, bottom = (found.get(name, 0.0) for name in _CORNERS)
    return left, top, right - left, bottom - top
