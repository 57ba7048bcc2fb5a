"""Laying one sensor's image over the RGB image: by resizing, or by a homography measured beforehand.

A homography is a 3×3 matrix that maps the pixel centre `(x, y)` of the second sensor, counted from 0, to the
pixel centre of the RGB image (Hartley and Zisserman, Multiple View Geometry, 2004).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import yaml

from tectum.errors import SourceError
from tectum.frames import Modality

_HOMOGRAPHY_KEYS = ("homography", "matrix")


@dataclass(frozen=True)
class Alignment:
    """A homography from one sensor's pixels to those of RGB.

    Attributes:
        matrix: three rows of three numbers.
        origin: where it was read, for messages.
    """

    matrix: tuple[tuple[float, ...], ...]
    origin: str = "the alignment"

    def __post_init__(self) -> None:
        try:
            array = np.array(self.matrix, np.float64)
        except (TypeError, ValueError):
            array = np.empty(0)
        if array.shape != (3, 3) or not np.isfinite(array).all():
            raise SourceError(
                f"{self.origin} holds no homography: give 3 rows of 3 finite numbers that map the second "
                f"sensor's pixels to RGB pixels."
            )
        if abs(np.linalg.det(array / max(np.abs(array).max(), 1e-300))) < 1e-12:
            raise SourceError(f"{self.origin} holds a homography that cannot be inverted: measure it anew.")
        object.__setattr__(self, "matrix", tuple(tuple(float(value) for value in row) for row in array))

    @property
    def array(self) -> npt.NDArray[np.float64]:
        """The matrix `3×3`."""
        return np.array(self.matrix, np.float64)

    def check(self, source: tuple[int, int], target: tuple[int, int]) -> None:
        """Makes sure that the warped image and the RGB image meet.

        Args:
            source: width and height of the second sensor in pixels.
            target: width and height of RGB in pixels.

        Raises:
            SourceError: if the image lands beside the RGB image, or partly behind the camera.
        """
        width, height = source
        outline = np.array([[0, 0, 1], [width, 0, 1], [width, height, 1], [0, height, 1]], np.float64) @ self.array.T
        seen_from_front = bool((outline[:, 2] > 0).all() or (outline[:, 2] < 0).all())
        points = outline[:, :2] / outline[:, 2:] if seen_from_front else np.full((4, 2), np.nan)
        frame = np.array([[0, 0], [target[0], 0], target, [0, target[1]]], np.float32)
        if not seen_from_front or cv2.intersectConvexConvex(points.astype(np.float32), frame)[0] < 1:
            raise SourceError(
                f"{self.origin} maps the {width}x{height} image outside the {target[0]}x{target[1]} RGB image: "
                f"its homography must go from the second sensor to RGB, maybe yours is the inverse."
            )


def read_alignment(path: Path, senses: Iterable[Modality]) -> dict[Modality, Alignment]:
    """Reads homographies from a file: JSON, YAML, or nine numbers of plain text.

    JSON and YAML hold the three rows, alone or as `homography:`, or as one such entry per sense
    (`thermal: [[…], […], […]]`). A matrix without a sense counts for every second sensor.

    Args:
        path: the file.
        senses: the second sensors of the recording.

    Raises:
        SourceError: if the file is missing, is none of these, or names no sensor of the recording.
    """
    senses = tuple(senses)
    content = _parsed(path)
    if isinstance(content, dict):
        content = next((content[key] for key in _HOMOGRAPHY_KEYS if key in content), content)
    origin = f"Alignment file {path}"
    if not isinstance(content, dict):
        return {sense: Alignment(_rows(content), origin) for sense in senses}
    found = {sense: content[sense.value] for sense in senses if sense.value in content}
    if senses and not found:
        known = " or ".join(f"'{key}'" for key in ("homography", *senses))
        raise SourceError(f"{origin} has no entry {known}: name the matrix so.")
    return {sense: Alignment(_rows(_unwrapped(value)), origin) for sense, value in found.items()}


def overlay(image: npt.NDArray[np.uint8], size: tuple[int, int], alignment: Alignment | None) -> npt.NDArray[np.uint8]:
    """Brings an image into the geometry of RGB; unchanged, and not copied, where it already has it.

    Args:
        image: `H×W` or `H×W×3`, 8 bit.
        size: width and height of RGB in pixels.
        alignment: the homography, or `None` to resize.
    """
    if alignment is not None:
        return np.asarray(cv2.warpPerspective(image, alignment.array, size, flags=cv2.INTER_LINEAR), np.uint8)
    height, width = image.shape[:2]
    if (width, height) == size:
        return image
    shrinks = width > size[0] and height > size[1]
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR), np.uint8)


def _parsed(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise SourceError(
            f"Alignment file {path} cannot be read ({reason}): give a text file of nine numbers."
        ) from None
    numbers = _numbers(text)
    if numbers is not None:
        return numbers
    try:
        return json.loads(text) if path.suffix.lower() == ".json" else yaml.safe_load(text)
    except (json.JSONDecodeError, yaml.YAMLError):
        raise SourceError(
            f"Alignment file {path} is neither JSON nor YAML nor nine numbers: write a 3x3 matrix."
        ) from None


def _numbers(text: str) -> list[float] | None:
    """The numbers of plain text with `#` comments, `None` if anything else is in it."""
    words = " ".join(line.partition("#")[0] for line in text.splitlines()).replace(",", " ").split()
    try:
        return [float(word) for word in words]
    except ValueError:
        return None


def _rows(values: Any) -> Any:
    """Folds nine numbers in a row into three rows; anything else is left for the check of `Alignment`."""
    if isinstance(values, list) and len(values) == 9:
        return tuple(tuple(values[start : start + 3]) for start in (0, 3, 6))
    return values


def _unwrapped(value: Any) -> Any:
    if isinstance(value, Mapping):
        return next((value[key] for key in _HOMOGRAPHY_KEYS if key in value), None)
    return value
