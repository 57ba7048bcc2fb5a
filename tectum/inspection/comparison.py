"""Sheets that lay features beside each other: one sense's beside another's, one system's beside another's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tectum.inspection.features import Array, as_points, gap, principal, similarity
from tectum.inspection.panels import Grid, box_on, heat, titled
from tectum.inspection.sighting import Sighting

STREAM_COLOURS = ("#d9a400", "#5b2a86")
"""Of points of RGB and of the other sense."""

LINES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
"""Of curves."""


@dataclass(frozen=True)
class Pair:
    """Two features that are compared place by place.

    Attributes:
        name: what is compared, in two lines.
        one: the system and the stream of one side, by their places.
        other: the same of the other side.
    """

    name: str
    one: tuple[int, int]
    other: tuple[int, int]

    @property
    def label(self) -> str:
        """What is compared, in one line."""
        return self.name.replace("\n", " ")


def pairs_of(sighting: Sighting, names: Sequence[str]) -> list[Pair]:
    """What can be compared in a frame.

    Args:
        sighting: of the frame.
        names: of the systems.

    Returns:
        Both senses within each system that has them apart; then each sense between systems that are comparable.
    """
    pairs = [
        Pair(f"{each.streams[0]} and {each.streams[1]}\nin {name}", (place, 0), (place, 1))
        for place, (each, name) in enumerate(zip(sighting.observations, names, strict=True))
        if len(each.streams) > 1
    ]
    if sighting.comparable:
        pairs += [
            Pair(f"{stream} in {names[0]}\nand in {names[1]}", (0, place), (1, place))
            for place, stream in enumerate(sighting.observations[0].streams)
        ]
    return pairs


def similarity_sheet(title: str, sightings: Sequence[Sighting], names: Sequence[str]) -> Figure:
    """Cosine similarity of the last features at every place."""
    pairs = pairs_of(sightings[0], names)
    maps = [[similarity(*_features(sighting, pair)) for pair in pairs] for sighting in sightings]
    every = np.concatenate([each.ravel() for row in maps for each in row])
    limits = float(np.nanmin(every)), float(np.nanmax(every))
    says = "cosine similarity of the last features at each place; grey where they were eliminated"
    grid = Grid(title, len(sightings), ["search", *(pair.name for pair in pairs)], says)
    for row, (sighting, values) in enumerate(zip(sightings, maps, strict=True)):
        axes = grid.panel(row, 0, f"frame {sighting.frame}")
        axes.imshow(next(iter(sighting.observations[0].views.values())))
        box_on(axes, sighting.box_in(0))
        for column, (pair, each) in enumerate(zip(pairs, values, strict=True), start=1):
            axes = grid.panel(row, column)
            shown = heat(axes, each, sighting.crops[pair.one[0]].size, limits)
            box_on(axes, sighting.box_in(pair.one[0]))
            axes.set_xlabel(f"mean {np.nanmean(each):.2f}", fontsize=8)
    grid.bar(shown, range(1, len(pairs) + 1), "cosine similarity")
    return grid.figure


def _features(sighting: Sighting, pair: Pair, block: int | None = None) -> tuple[Array, Array]:
    """What a pair compares, `C×S×S` each: the last features, or those that a block reads."""
    sides = [(sighting.observations[system], stream) for system, stream in (pair.one, pair.other)]
    one, other = [each.features[at] if block is None else each.layers[block, at] for each, at in sides]
    return one, other


def similarity_by_block(title: str, sightings: Sequence[Sighting], names: Sequence[str]) -> Figure:
    """Cosine similarity of the features that each block reads, mean over places and frames."""
    figure = titled(title, "mean over places and frames of the features that each block reads, and of the last", (7, 4))
    axes = figure.add_subplot()
    deepest = max(len(each.layers) for each in sightings[0].observations)
    for pair, colour in zip(pairs_of(sightings[0], names), LINES, strict=False):
        means = [
            np.mean([np.nanmean(similarity(*_features(sighting, pair, block))) for sighting in sightings])
            for block in (*_blocks(sightings[0], pair), None)
        ]
        places = [*range(1, len(means)), deepest + 1]
        dashes = "--" if pair.one[0] != pair.other[0] else "-"
        axes.plot(places, means, dashes, marker="o", markersize=3, color=colour, label=pair.label)
    axes.set_xticks(range(1, deepest + 2), [*map(str, range(deepest)), "last"])
    axes.set(xlabel="block", ylabel="cosine similarity")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="0.92")
    axes.legend(frameon=False, fontsize=8.5)
    return figure


def _blocks(sighting: Sighting, pair: Pair) -> range:
    """The blocks that both sides of a pair have."""
    return range(min(len(sighting.observations[system].layers) for system, _ in (pair.one, pair.other)))


def component_sheet(title: str, sightings: Sequence[Sighting], names: Sequence[str]) -> Figure:
    """The last features of all streams on their first two principal components, for each system its own."""
    says = (
        "each dot is a place of a frame, those with their centre in the target's box ringed; components of all together"
    )
    figure = titled(title, says, (1 + 4.3 * len(names), 4.9))
    all_axes: list[Axes] = list(figure.subplots(1, len(names), squeeze=False)[0])
    for place, (axes, name) in enumerate(zip(all_axes, names, strict=True)):
        _scatter(axes, name, sightings, place)
    return figure


def _scatter(axes: Axes, name: str, sightings: Sequence[Sighting], system: int) -> None:
    streams = sightings[0].observations[system].streams
    clouds = [
        np.concatenate([as_points(each.observations[system].features[stream]) for each in sightings])
        for stream in range(len(streams))
    ]
    ringed = [
        np.concatenate([_on_target(each, system, stream) for each in sightings]) for stream in range(len(streams))
    ]
    mean, directions, shares = principal(np.concatenate(clouds), 2)
    for stream, cloud, target, colour in zip(streams, clouds, ringed, STREAM_COLOURS, strict=False):
        x, y = ((cloud - mean) @ directions).T
        axes.scatter(x, y, s=7, color=colour, alpha=0.45, linewidths=0, label=str(stream))
        axes.scatter(x[target], y[target], s=22, facecolors="none", edgecolors=colour, linewidths=1.0)
    apart = f"\nsenses {gap(*clouds[:2]):.2f} deviations apart" if len(clouds) > 1 else ""
    axes.set_title(f"{name}{apart}", fontsize=9)
    axes.set(xticks=[], yticks=[], aspect="equal")
    axes.set_adjustable("datalim")
    axes.set_xlabel(f"1st component, {100 * shares[0]:.0f} % of the variance", fontsize=8.5)
    axes.set_ylabel(f"2nd, {100 * shares[1]:.0f} %", fontsize=8.5)
    axes.legend(frameon=False, fontsize=8.5, loc="best", markerscale=2)


def _on_target(sighting: Sighting, system: int, stream: int) -> npt.NDArray[np.bool_]:
    """Which of a stream's points, as `as_points` has them, have their centre in the target's box."""
    features, box = sighting.observations[system].features[stream], sighting.box_in(system)
    side = features.shape[1]
    centers = (np.arange(side) + 0.5) * sighting.crops[system].size / side
    across, down = (
        (centers >= start) & (centers < start + length) for start, length in ((box.x, box.w), (box.y, box.h))
    )
    inside: npt.NDArray[np.bool_] = np.outer(down, across)[~np.isnan(features).any(axis=0)]
    return inside
