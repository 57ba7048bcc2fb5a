"""Real pictures and cut-out things that the procedural world is furnished with."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np

from tectum.errors import RecipeError, SourceError
from tectum.geometry import Image
from tectum.sources.folders import list_images
from tectum.sources.images import read_image
from tectum.sources.rendering import eight_bit, three_channels
from tectum.world.pairs.stock import Picture
from tectum.world.sprites import Mask, Sprite, sprite

MOMENTS = 6
"""Frames of a recording whose targets are cut out."""


def read_pictures(folders: Iterable[Path]) -> list[Picture]:
    """Reads the pictures of each `FOLDER/rgb`, with their namesakes of `FOLDER/thermal` where there are any.

    Raises:
        RecipeError: if a folder is not there.
        SourceError: if an image is broken.
    """
    return [picture for folder in folders for picture in _pictures(existing(folder))]


def read_cutouts(folders: Iterable[Path]) -> list[tuple[Sprite, Sprite]]:
    """Cuts targets out of recordings, `FOLDER/rgb` and `FOLDER/mask`, each at two moments.

    Raises:
        RecipeError: if a folder is not there.
        SourceError: if an image is broken, or there is not a mask for every picture.
    """
    return [pair for folder in folders for pair in _cutouts(existing(folder))]


def existing(folder: Path) -> Path:
    """The folder.

    Raises:
        RecipeError: if it is not there.
    """
    if not folder.is_dir():
        raise RecipeError(f"The recipe names the folder {folder}, which is not there: give its parent with --data DIR.")
    return folder


def _pictures(folder: Path) -> list[Picture]:
    thermal = folder / "thermal"
    partners = {path.stem: path for path in list_images(thermal)} if thermal.is_dir() else {}
    return [_picture(path, partners.get(path.stem)) for path in list_images(folder / "rgb")]


def _picture(path: Path, partner: Path | None) -> Picture:
    rgb = _color(path)
    if partner is None:
        return Picture(rgb)
    thermal = cv2.cvtColor(_color(partner), cv2.COLOR_RGB2GRAY)
    size = (rgb.shape[1], rgb.shape[0])
    return Picture(rgb, np.asarray(cv2.resize(thermal, size, interpolation=cv2.INTER_AREA), np.uint8))


def _cutouts(folder: Path) -> list[tuple[Sprite, Sprite]]:
    images, masks = list_images(folder / "rgb"), list_images(folder / "mask")
    if len(images) != len(masks):
        raise SourceError(f"{folder} has {len(images)} pictures and {len(masks)} masks: it needs a mask for each.")
    chosen = sorted({round(place) for place in np.linspace(0, len(images) - 1, MOMENTS)})
    found = [thing for index in chosen if (thing := _cutout(images[index], masks[index])) is not None]
    return list(combinations(found, 2))


def _cutout(picture: Path, mask: Path) -> Sprite | None:
    """The target of a frame as a sprite whose temperature has something of its brightness; the world varies it."""
    image = _color(picture)
    grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.float32) / np.float32(255)
    cover: Mask = np.asarray((_color(mask)[..., 0] > 0) * np.uint8(255), np.uint8)
    return sprite(image, np.float32(0.35) + np.float32(0.3) * grey, cover)


def _color(path: Path) -> Image:
    return three_channels(eight_bit(read_image(path)))
