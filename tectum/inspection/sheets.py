"""Sheets of pictures that show what goes on in a system: one figure for each question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from tectum.geometry import Box, Image
from tectum.inspection.features import colours, salience
from tectum.inspection.observation import Observation
from tectum.inspection.panels import Grid, box_on, faded, heat, overlay
from tectum.inspection.sighting import Sighting, Target

MOST_BLOCKS = 6
"""Blocks that a sheet shows; those of a deeper transformer are chosen evenly, the last one among them."""


@dataclass(frozen=True)
class Row:
    """One stream in one frame: a row of most sheets.

    Attributes:
        sighting: of the frame.
        system: place of the system that the sheet is about.
        stream: place among its streams.
    """

    sighting: Sighting
    system: int
    stream: int

    @property
    def observation(self) -> Observation:
        """What the system did."""
        return self.sighting.observations[self.system]

    @property
    def box(self) -> Box:
        """The target in the search crop, in pixels of the crop."""
        return self.sighting.box_in(self.system)

    @property
    def label(self) -> str:
        """What stands beside the row."""
        return f"frame {self.sighting.frame}\n{self.observation.streams[self.stream]}"

    @property
    def view(self) -> Image:
        """The search crop of the stream, or of the first of its senses."""
        return list(self.observation.views.values())[self.stream]


def rows_of(sightings: Sequence[Sighting], system: int) -> list[Row]:
    """The rows of a sheet about a system."""
    return [
        Row(sighting, system, stream)
        for sighting in sightings
        for stream in range(len(sighting.observations[system].streams))
    ]


def score_sheet(title: str, target: Target, sightings: Sequence[Sighting], names: Sequence[str]) -> Figure:
    """The template, and in each frame the search crops, the box that was found, and every system's score map."""
    views = sightings[0].observations[0].views
    columns = [*map(str, views), *(f"score map\n{name}" for name in names)]
    grid = Grid(title, 1 + len(sightings), columns, "places of the search crop, each as likely the target's centre")
    for column, sense in enumerate(views):
        if sense in target.images:
            axes = grid.panel(0, column, "template")
            axes.imshow(target.images[sense])
            box_on(axes, target.box)
    for row, sighting in enumerate(sightings, start=1):
        for column, image in enumerate(sighting.observations[0].views.values()):
            axes = grid.panel(row, column, f"frame {sighting.frame}")
            axes.imshow(image)
            box_on(axes, sighting.box_in(0))
            axes.set_xlabel(f"found with {sighting.score:.2f}", fontsize=8)
        for system, observation in enumerate(sighting.observations):
            axes = grid.panel(row, len(views) + system)
            shown = overlay(axes, next(iter(observation.views.values())), observation.score, limits=(0, 1))
            box_on(axes, sighting.box_in(system))
            axes.set_xlabel(f"highest {observation.score.max():.2f}", fontsize=8)
    grid.bar(shown, range(len(views), len(columns)), "score")
    return grid.figure


def attention_sheet(title: str, rows: Sequence[Row]) -> Figure:
    """How much the target's own tokens of the template look at each place of the search region."""
    blocks = spread_blocks(len(rows[0].observation.attention))
    says = "from the template's tokens on the target, mean of heads, each from 0 to its highest; blocks count from 0"
    grid = Grid(title, len(rows), ["search", *(f"block {index}" for index in blocks)], says)
    for place, row in enumerate(rows):
        _first(grid, place, row)
        for column, index in enumerate(blocks, start=1):
            overlay(grid.panel(place, column), row.view, row.observation.attention[index, row.stream])
    return grid.figure


def elimination_sheet(title: str, rows: Sequence[Row]) -> Figure:
    """What is left of the search region after each elimination; what is eliminated fades."""
    after = rows[0].observation.eliminated_after
    columns = ["search", *(f"after block {index}" for index in after)]
    grid = Grid(title, len(rows), columns, "places that are eliminated fade")
    for place, row in enumerate(rows):
        _first(grid, place, row)
        for column, kept in enumerate(row.observation.kept[:, row.stream], start=1):
            axes = grid.panel(place, column)
            axes.imshow(faded(row.view, kept))
            box_on(axes, row.box)
            axes.set_xlabel(f"{kept.sum()} of {kept.size} left", fontsize=8)
    return grid.figure


def feature_sheet(title: str, rows: Sequence[Row]) -> Figure:
    """What stands out in the features that blocks read and in the last ones, and these as colours."""
    blocks = spread_blocks(len(rows[0].observation.layers))
    columns = ["search", *(f"into block {index}" for index in blocks), "last", "last, as colours"]
    says = (
        "distance of each place's feature from their mean, each picture from its lowest to its highest; "
        "colours: first three principal components of all streams of the frame"
    )
    grid = Grid(title, len(rows), columns, says)
    for place, row in enumerate(rows):
        _first(grid, place, row)
        maps = [row.observation.layers[index, row.stream] for index in blocks]
        for column, features in enumerate([*maps, row.observation.features[row.stream]], start=1):
            heat(grid.panel(place, column), salience(features), len(row.view))
        coloured = colours(row.observation.features)[row.stream]
        heat(grid.panel(place, len(columns) - 1), coloured, len(row.view))
    return grid.figure


def _first(grid: Grid, place: int, row: Row) -> None:
    axes = grid.panel(place, 0, row.label)
    axes.imshow(row.view)
    box_on(axes, row.box)


def spread_blocks(count: int) -> list[int]:
    """At most `MOST_BLOCKS` blocks of so many, evenly from the first to the last."""
    return sorted(set(np.linspace(0, count - 1, min(count, MOST_BLOCKS)).round().astype(int).tolist()))
