"""What a run over one sequence with known truth amounts to: its scores, a plot and a sheet of pictures."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tectum.errors import TectumError
from tectum.evaluation.metrics import Array, center_error, overlaps, precision, success_auc
from tectum.geometry import Image


@dataclass(frozen=True)
class Scores:
    """Scores of one sequence; the first frame, whose box is given, counts nowhere but in `overlap`.

    Attributes:
        overlap: intersection over union per frame `N`, the first frame's included; `nan` without truth.
        mean_overlap: in [0, 1].
        success_auc: mean of the success curve's 21 points, at most 20/21.
        precision: share of frames whose centre is within 20 pixels, in [0, 1].
    """

    overlap: Array
    mean_overlap: float
    success_auc: float
    precision: float

    @classmethod
    def of(cls, boxes: Array, truth: Array) -> Scores:
        """Scores a tracker's boxes `N×4` against the truth `N×4`, `nan` rows where there is none.

        Raises:
            ValueError: if the shapes differ or there is no frame after the first with truth.
        """
        overlap = overlaps(boxes, truth)
        after = overlap[1:]
        if np.isnan(after).all():
            raise ValueError("Scores need truth in at least one frame after the first.")
        return cls(
            overlap=overlap,
            mean_overlap=float(np.nanmean(after)),
            success_auc=success_auc(after),
            precision=precision(center_error(boxes, truth)[1:]),
        )


class ContactSheet:
    """A grid of small labelled pictures, filled one by one in reading order.

    Args:
        columns: pictures in a row.
        tile_width: width of each picture in pixels.
    """

    GAP = 8
    LABEL = 26
    PAPER = (250, 250, 250)
    INK = (40, 40, 40)

    def __init__(self, columns: int = 3, tile_width: int = 540) -> None:
        self.columns = columns
        self.tile_width = tile_width
        self._tiles: list[Image] = []

    def add(self, image: Image, label: str) -> None:
        """Adds a picture `H×W×3`, RGB, scaled to the sheet's width, with a line of text above it."""
        height = max(1, round(image.shape[0] * self.tile_width / image.shape[1]))
        small = cv2.resize(image, (self.tile_width, height), interpolation=cv2.INTER_AREA)
        strip = np.full((self.LABEL, self.tile_width, 3), self.PAPER, np.uint8)
        cv2.putText(strip, label, (1, self.LABEL - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.5, self.INK, 1, cv2.LINE_AA)
        self._tiles.append(np.concatenate([strip, np.asarray(small, np.uint8)]))

    def image(self) -> Image:
        """The sheet as one RGB image; rows are as tall as the tallest picture.

        Raises:
            ValueError: if nothing was added.
        """
        if not self._tiles:
            raise ValueError("A contact sheet needs at least one picture.")
        columns = min(self.columns, len(self._tiles))
        rows = -(-len(self._tiles) // columns)
        tall, wide = max(len(tile) for tile in self._tiles) + self.GAP, self.tile_width + self.GAP
        sheet = np.full((rows * tall + self.GAP, columns * wide + self.GAP, 3), self.PAPER, np.uint8)
        for place, tile in enumerate(self._tiles):
            top, left = self.GAP + place // columns * tall, self.GAP + place % columns * wide
            sheet[top : top + len(tile), left : left + self.tile_width] = tile
        return sheet

    def save(self, path: str | Path) -> Path:
        """Writes the sheet as a PNG and returns the path.

        Raises:
            TectumError: if the file cannot be written.
        """
        encoded = cv2.imencode(".png", cv2.cvtColor(self.image(), cv2.COLOR_RGB2BGR))[1]
        return write_bytes(Path(path), encoded.tobytes())


def sheet_frames(length: int, count: int = 12) -> frozenset[int]:
    """Indices of at most `count` frames spread evenly from the first to the last of `length`."""
    return frozenset(np.linspace(0, length - 1, min(count, length)).round().astype(int).tolist())


def plot_overlap(path: str | Path, scores: Scores, confidence: Array, title: str) -> Path:
    """Plots overlap and the tracker's confidence over time as a PNG and returns the path.

    Args:
        path: where to write.
        scores: the sequence's scores.
        confidence: the tracker's own confidence per frame `N`, in [0, 1].
        title: what stands above the plot.

    Raises:
        TectumError: if the file cannot be written.
    """
    figure = Figure(figsize=(9, 3.6), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    _draw_overlap(figure.add_subplot(), scores, confidence, title)
    picture = BytesIO()
    figure.savefig(picture, format="png")
    return write_bytes(Path(path), picture.getvalue())


def _draw_overlap(axes: Axes, scores: Scores, confidence: Array, title: str) -> None:
    frames = np.arange(len(scores.overlap))
    axes.plot(frames, confidence, color="0.6", linewidth=1, label="confidence")
    axes.fill_between(frames, scores.overlap, color="#1f6f8b", alpha=0.15, linewidth=0)
    axes.plot(frames, scores.overlap, color="#1f6f8b", linewidth=1.8, label="overlap with the truth")
    axes.axhline(
        scores.mean_overlap, color="#c8553d", linewidth=1, linestyle="--", label=f"mean {scores.mean_overlap:.2f}"
    )
    axes.set(xlim=(0, max(1, len(frames) - 1)), ylim=(0, 1.02), xlabel="frame", ylabel="overlap")
    axes.set_title(title, loc="left", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="0.9")
    axes.set_axisbelow(True)
    axes.legend(loc="lower right", bbox_to_anchor=(1.01, 0.99), frameon=False, ncols=3, fontsize=9)


def write_bytes(path: Path, content: bytes) -> Path:
    """Writes a file, its folder too where that is missing, and returns the path.

    Raises:
        TectumError: if the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise TectumError(f"The file {path} cannot be written ({error.strerror}): give another folder.") from None
    return path
