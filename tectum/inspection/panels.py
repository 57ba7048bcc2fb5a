"""The parts that sheets are made of: a grid of labelled square pictures, and what is drawn into them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from io import BytesIO

import cv2
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from tectum.geometry import Box, Image
from tectum.inspection.features import Array

SIDE = 1.55
"""Of a picture in inches."""

HEAT = "inferno"
"""Colours of what has one value at each place."""

ABSENT = (0.62, 0.66, 0.72)
"""Colour of places that have been eliminated."""

BOX = "#00d5ff"
"""Colour of the target's box."""


class Grid:
    """A sheet of square pictures in rows and columns, empty where nothing is drawn.

    Args:
        title: what stands above it.
        rows: how many.
        columns: their names.
        says: what else is to be known, in small letters below the title.
    """

    def __init__(self, title: str, rows: int, columns: Sequence[str], says: str) -> None:
        width, height = SIDE * len(columns) + 1.0, SIDE * 1.12 * rows + 0.95
        self.figure = titled(title, says, (max(width, 5.5), height))
        self._axes = self.figure.subplots(rows, len(columns), squeeze=False)
        for axes in self._axes.flat:
            axes.set_axis_off()
        for axes, name in zip(self._axes[0], columns, strict=True):
            axes.set_title(name, fontsize=8.5)

    def panel(self, row: int, column: int, label: str = "") -> Axes:
        """The axes of a picture, with a label beside it."""
        axes: Axes = self._axes[row, column]
        axes.set_axis_on()
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        axes.set_ylabel(label, fontsize=8.5)
        return axes

    def bar(self, shown: ScalarMappable, columns: Iterable[int], name: str, extend: str = "neither") -> None:
        """A scale of colours beside the last column; `extend` says at which ends there are values beyond it."""
        axes = [self._axes[row, column] for row in range(len(self._axes)) for column in columns]
        bar = self.figure.colorbar(shown, ax=axes, fraction=0.04, shrink=0.7, aspect=30, extend=extend)
        bar.set_label(name, fontsize=8.5)
        bar.ax.tick_params(labelsize=8)
        bar.outline.set_visible(False)


def titled(title: str, says: str, size: tuple[float, float]) -> Figure:
    """An empty figure of so many inches with a title, and with what else is to be known in small letters."""
    figure = Figure(figsize=size, dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title.replace("$", r"\$"), x=0.01, ha="left", fontsize=11, fontweight="bold", wrap=True)
    figure.supxlabel(says, x=0.01, ha="left", fontsize=8, color="0.35", wrap=True)
    return figure


def overlay(axes: Axes, image: Image, values: Array, limits: tuple[float, float] | None = None) -> ScalarMappable:
    """Lays values `S×S` over a crop in grey; places without any show the crop alone.

    Args:
        axes: where.
        image: the crop.
        values: `nan` where there is none.
        limits: values of the first and the last colour, from 0 to the highest if `None`.
    """
    low, high = limits or (0.0, float(np.nanmax(values)))
    axes.imshow(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cmap="gray", vmin=0, vmax=255)
    return axes.imshow(values, cmap=HEAT, alpha=0.72, vmin=low, vmax=high, extent=_extent(len(image)))


def heat(axes: Axes, values: Array, pixels: int, limits: tuple[float, float] | None = None) -> ScalarMappable:
    """Draws values `S×S`, or colours `S×S×3`, by themselves; places without any are grey.

    Args:
        axes: where.
        values: `nan` where there is none.
        pixels: side of the crop that they cover.
        limits: values of the first and the last colour, the lowest and the highest if `None`.
    """
    axes.set_facecolor(ABSENT)
    axes.patch.set_visible(True)
    low, high = limits or (float(np.nanmin(values)), float(np.nanmax(values)))
    if values.ndim == 3:
        absent = np.isnan(values).any(axis=2, keepdims=True)
        values = np.where(absent, np.array(ABSENT, np.float32), values)
    return axes.imshow(values, cmap=HEAT, vmin=low, vmax=high, extent=_extent(pixels))


def faded(image: Image, kept: npt.NDArray[np.bool_]) -> Image:
    """A crop in which places that are not kept, of `S×S`, are nearly blotted out."""
    size = image.shape[1], image.shape[0]
    shown = cv2.resize(kept.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)[..., None]
    paper = 0.2 * image + 0.8 * 255 * np.array(ABSENT)
    return np.where(shown > 0, image, paper).astype(np.uint8)


def box_on(axes: Axes, box: Box) -> None:
    """Draws a box, in pixels of the crop."""
    axes.add_patch(Rectangle((box.x - 0.5, box.y - 0.5), box.w, box.h, edgecolor=BOX, linewidth=1.4, fill=False))


def _extent(pixels: int) -> tuple[float, float, float, float]:
    """Where values lie so that they cover a square crop: left, right, bottom, top."""
    return -0.5, pixels - 0.5, pixels - 0.5, -0.5


def as_png(figure: Figure) -> bytes:
    """A figure as the contents of a PNG file."""
    contents = BytesIO()
    figure.savefig(contents, format="png")
    return contents.getvalue()
