"""Sheets that show where a system is sensitive, and what they say in numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from tectum.evaluation.report import write_bytes
from tectum.inspection.balance import SHARES, TOP, Balance
from tectum.inspection.panels import ABSENT, HEAT, Grid, as_png, titled
from tectum.inspection.sensitivity import Block, Sensitivity

COLOURS = ("0.5", "#0072b2")
"""Before and after."""

ALIKE = np.array([0.04, 0.01])
"""Changes of what the top 1 % hold, and of the Gini coefficient, that other pairs could make as well: so far apart were
those that two sets of 128 pairs found for one tuning of `mst-tiny`."""

CUT = 2
"""Percent of the maps' cells that lie below the first colour, and above the last."""


def write(found: Sensitivity, folder: Path) -> list[Path]:
    """Writes a PNG for each sheet and an `.npz` file of all numbers, and returns their paths.

    Args:
        found: what to show.
        folder: made where needed.

    Raises:
        TectumError: if a file cannot be written.
    """
    written = [write_bytes(folder / f"{name}.png", as_png(figure)) for name, figure in sheets(found)]
    return [*written, write_bytes(folder / "sensitivity.npz", found.arrays())]


def sheets(found: Sensitivity) -> Iterator[tuple[str, Figure]]:
    """A sheet of maps for each stack that has matrices, and one of how balanced all is, with their names."""
    for stack, blocks in found.stacks.items():
        if stack and matrices(found, blocks):
            yield f"sensitivity_{stack}", map_sheet(found, stack)
    yield "balance", balance_sheet(found)


def matrices(found: Sensitivity, blocks: Sequence[Block]) -> list[str]:
    """The matrices that any of the blocks has, by names within the block."""
    names = [key for block in blocks for key, name in block.parameters.items() if name in found.maps[0]]
    return list(dict.fromkeys(names))


def map_sheet(found: Sensitivity, stack: str) -> Figure:
    """The matrices of each block of a stack, each after below itself before, in colours that all sheets share."""
    blocks = found.stacks[stack]
    rows = [(place, key) for key in matrices(found, blocks) for place in range(len(found.readings))]
    grid = Grid(
        f"Sensitivity of {found.system}: {stack}{_frozen(found, blocks)}",
        len(rows),
        [f"block {block.place}" for block in blocks],
        f"Squared gradients, mean of {_batches(found)}, 1 for the mean of {found.scope}; each cell a mean "
        f"of its part of the matrix, outputs down, inputs across; grey: 0. Blocks count from 0. {_weights(found)}",
    )
    limits = colour_limits(found)
    for row, (place, key) in enumerate(rows):
        for column, block in enumerate(blocks):
            values = found.maps[place].get(block.parameters.get(key, ""))
            if values is not None:
                axes = grid.panel(row, column, f"{found.readings[place].name}\n{key.removesuffix('.weight')}")
                axes.yaxis.label.set(visible=column == 0, color=COLOURS[place])
                axes.set_facecolor(ABSENT)
                shown = axes.imshow(values, cmap=HEAT, norm=LogNorm(*limits), aspect="auto", interpolation="nearest")
    grid.bar(shown, range(len(blocks)), f"sensitivity, 1 for the mean of {found.scope}", extend="both")
    return grid.figure


def colour_limits(found: Sensitivity) -> tuple[float, float]:
    """Values of the first and the last colour, of all maps together."""
    cells = np.concatenate([values.ravel() for maps in found.maps for values in maps.values()])
    cells = cells[cells > 0]
    if not len(cells):
        return 0.1, 1.0
    low, high = np.percentile(cells, (CUT, 100 - CUT))
    return float(low), float(max(high, 1.01 * low))


def balance_sheet(found: Sensitivity) -> Figure:
    """What the most sensitive hold of all that trains, and block by block; and how sensitive each block is."""
    stacks = found.stacks
    mosaic: list[Any] = [["curve", "legend"], *([f"top {stack}", f"mean {stack}"] for stack in stacks)]
    says = (
        f"{found.pairs} pairs in {_batches(found)}. {_weights(found)} Dotted: what so few batches make of "
        "parameters that are all equally sensitive."
    )
    figure = titled(f"Balance of the sensitivity of {found.system}", says, (9.5, 3.4 + 2.0 * len(stacks)))
    axes = figure.subplot_mosaic(mosaic, height_ratios=[1.5, *[1] * len(stacks)])
    _draw_curves(axes["curve"], found)
    axes["legend"].set_axis_off()
    axes["legend"].legend(*axes["curve"].get_legend_handles_labels(), fontsize=9, frameon=False, loc="center left")
    for stack, blocks in stacks.items():
        _draw_tops(axes[f"top {stack}"], found, blocks)
        _draw_means(axes[f"mean {stack}"], found, blocks)
        title = f"{stack}{_frozen(found, blocks)}" if stack else "the rest"
        axes[f"top {stack}"].set_title(title, loc="left", fontsize=9.5)
    _align([axes[f"mean {stack}"] for stack in stacks])
    return figure


def _draw_curves(axes: Axes, found: Sensitivity) -> None:
    """The share of sensitivity that any share of the parameters holds."""
    for (scope, balances), style in zip(found.overall.items(), ("-", "--"), strict=False):
        for reading, balance, colour, width in zip(found.readings, balances, COLOURS, (3.2, 1.4), strict=False):
            label = f"{reading.name}, {scope}:\ntop 1 % hold {100 * balance.top:.1f} %, Gini {balance.gini:.3f}"
            axes.plot(SHARES, balance.held, style, color=colour, linewidth=width, label=label)
    axes.plot(SHARES, found.by_chance.held, ":", color="0.3", linewidth=1, label="equally sensitive")
    axes.axvline(TOP, color="0.8", linewidth=0.8, zorder=0)
    axes.set(xscale="log", xlim=(SHARES[0], 1), ylim=(0, 1.02))
    axes.xaxis.set_major_formatter(_percent)
    axes.set_xlabel("share of the parameters, the most sensitive first", fontsize=8.5)
    _dress(axes, "share of the sensitivity\nthat they hold")
    axes.yaxis.set_major_formatter(_percent)


def _draw_tops(axes: Axes, found: Sensitivity, blocks: Sequence[Block]) -> None:
    """What the most sensitive of each block hold of its sensitivity, before beside after."""
    count = len(found.readings)
    for place, colour in zip(range(count), COLOURS, strict=False):
        at = np.arange(len(blocks)) + (place - (count - 1) / 2) * 0.8 / count
        axes.bar(at, [found.balances[block.name][place].top for block in blocks], 0.74 / count, color=colour)
    axes.axhline(found.by_chance.top, color="0.3", linewidth=1, linestyle=":")
    axes.set_ylim(0, 1)
    axes.yaxis.set_major_formatter(_percent)
    _name_blocks(axes, found, blocks)
    _dress(axes, "held by the top 1 %\nof the block")


def _draw_means(axes: Axes, found: Sensitivity, blocks: Sequence[Block]) -> None:
    """How sensitive the parameters of each block are on average, in units."""
    style: dict[str, Any] = {"linestyle": "-" if blocks[0].stack else "none", "linewidth": 1.2, "markersize": 5}
    for place, (colour, unit) in enumerate(zip(COLOURS, found.units, strict=False)):
        means = [found.balances[block.name][place].mean / unit for block in blocks]
        axes.plot([each or np.nan for each in means], marker="o", color=colour, **style)
    axes.axhline(1, color="0.6", linewidth=0.8, zorder=0)
    axes.set(yscale="log", xlim=(-0.6, len(blocks) - 0.4))
    axes.margins(y=0.15)
    _name_blocks(axes, found, blocks)
    _dress(axes, f"mean, 1 for that of\n{found.scope}")


def _name_blocks(axes: Axes, found: Sensitivity, blocks: Sequence[Block]) -> None:
    """Writes names below the axes, numbers alone where there are many blocks."""
    word = "block " if len(blocks) < 8 else ""
    labels = [f"{word}{block.place}" if block.stack else f"{block.place}{_frozen(found, [block])}" for block in blocks]
    axes.set_xticks(range(len(blocks)), labels)


def _align(many: Sequence[Axes]) -> None:
    """Gives axes the same range of values."""
    limits = [axes.get_ylim() for axes in many]
    for axes in many:
        axes.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))


def _percent(share: float, _: object) -> str:
    return f"{100 * share:g} %"


def _dress(axes: Axes, label: str) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)
    axes.grid(axis="y", color="0.92")
    axes.set_ylabel(label, fontsize=8.5)
    axes.tick_params(labelsize=8.5)
    axes.tick_params(axis="x", which="both", length=0)


def _weights(found: Sensitivity) -> str:
    """What each reading is of."""
    return " ".join(f"{reading.name.capitalize()}: {reading.weights}." for reading in found.readings)


def _frozen(found: Sensitivity, blocks: Sequence[Block]) -> str:
    """Says so if the recipe leaves some or all of these blocks alone."""
    trained = [name in found.trained for block in blocks for name in block.parameters.values()]
    return "" if all(trained) else " (some of it frozen)" if any(trained) else " (frozen)"


def _batches(found: Sensitivity) -> str:
    return "1 batch" if found.batches == 1 else f"{found.batches} batches"


def lines(found: Sensitivity) -> list[str]:
    """A table of stacks and parts with how balanced each is, and what it comes to, a line each."""
    rows = [*_parts(found), *found.overall.items()]
    width = 2 + max(len(label) for label, _ in rows)
    heads = [f"{kind} {reading.name}" for kind in ("top 1 %", "Gini") for reading in found.readings]
    told = [f"{found.pairs} pairs in {_batches(found)}."]
    told.append(f"{'':<{width}}{'parameters':>12}" + "".join(f"{head:>16}" for head in heads))
    told += [_row(f"{label:<{width}}", balances) for label, balances in rows]
    chance = found.by_chance
    told.append(f"With {_batches(found)} equal sensitivity gives {100 * chance.top:.1f} % and {chance.gini:.3f}.")
    return [*told, *_verdict(found)]


def _parts(found: Sensitivity) -> Iterator[tuple[str, list[Balance]]]:
    """All stacks and parts without blocks, with their balance in the order of the readings."""
    streams = {stack.partition(".")[0] for stack in found.stacks}
    for stack, blocks in found.stacks.items():
        for label, some in [(stack, blocks)] if stack else [(block.place, [block]) for block in blocks]:
            names = [name for block in some for name in block.parameters.values()]
            rest = ", the rest" if not stack and label in streams else ""
            yield f"{label}{rest}{_frozen(found, some)}", [reading.balance(names) for reading in found.readings]


def _row(label: str, balances: Sequence[Balance]) -> str:
    tops = [f"{100 * each.top:.1f} %" if each.mean else "-" for each in balances]
    cells = [*tops, *(f"{each.gini:.3f}" if each.mean else "-" for each in balances)]
    return f"{label}{balances[0].count:>12,}" + "".join(f"{cell:>16}" for cell in cells)


def _verdict(found: Sensitivity) -> list[str]:
    """Whether tuning balanced the sensitivity."""
    if len(found.readings) < 2:
        return []
    first, last = found.overall[found.scope]
    rises = np.array([last.top - first.top, last.gini - first.gini])
    if (np.abs(rises) < ALIKE).all():
        word = "About as balanced"
    else:
        word = "Less balanced" if (rises > 0).all() else "Balanced otherwise" if (rises > 0).any() else "More balanced"
    tops = f"{100 * first.top:.1f} % of the sensitivity before, {100 * last.top:.1f} % after"
    told = [f"{word}: the most sensitive 1 % of the parameters in {found.scope} hold {tops}."]
    if spans := [f"{span:,.3g} times" for span in found.spans]:
        told.append(f"The most sensitive block is {spans[0]} as sensitive as the least before, {spans[1]} after.")
    return told
