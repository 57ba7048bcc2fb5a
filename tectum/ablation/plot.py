"""What a study has found, as a picture: for each measure the scores, and beside them the differences."""

from __future__ import annotations

from io import BytesIO
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, SubFigure

from tectum.ablation.findings import Finding, Findings
from tectum.ablation.grid import budget_label, counted
from tectum.ablation.table import Measure
from tectum.evaluation.report import write_bytes

INK, BASIS, QUIET = "#0072b2", "0.35", "0.6"
"""Colours of variants, of the baseline, and of differences that may be noise."""

ROW = 0.34
"""Inches for each variant."""


def plot_findings(path: Path, findings: Findings) -> Path:
    """Plots a PNG and returns its path.

    Args:
        path: where to write.
        findings: with at least one measure.

    Raises:
        TectumError: if the file cannot be written.
    """
    return _save(draw_findings(findings), path)


def draw_findings(findings: Findings) -> Figure:
    """Draws scores and differences.

    On the left the mean over seeds as a short bar, each seed as a dot; on the right the difference to the baseline
    with its interval, hollow and grey where that holds 0, or as a short grey bar where there is none.

    Args:
        findings: with at least one measure.
    """
    measures = list(findings.by_measure)
    columns = min(2, len(measures))
    rows = -(-len(measures) // columns)
    variants = max(len(held) for held in findings.by_measure.values())
    size = (7.2 * columns if columns > 1 else 8.4, 0.85 + rows * (1.05 + ROW * variants))
    figure = Figure(figsize=size, dpi=150, layout="constrained")
    figure.suptitle(_plain(findings.table.title), x=0.01, ha="left", fontsize=13, fontweight="bold")
    figure.supxlabel(_says(findings), x=0.01, ha="left", fontsize=8.5, color="0.4")
    blocks = figure.subfigures(rows, columns, squeeze=False).ravel()
    for block, measure in zip(blocks, measures, strict=False):
        _draw_block(block, findings, measure)
    return figure


def _says(findings: Findings) -> str:
    """What the marks mean."""
    seeds = len(findings.table.seeds)
    dots = f"Dots are the {seeds} seeds, bars their means." if seeds > 1 else "One seed."
    said = f"{budget_label(findings.runs)} {dots}\nDifferences to {_plain(findings.table.baseline)}"
    kind = "seeds and sequences" if seeds > 1 else "sequences"
    sure = [found.has_interval for held in findings.by_measure.values() for found in held if found.gap]
    if not any(sure):
        return f"{said}: one seed on one sequence gives no interval." if sure else said.partition("\n")[0]
    bare = "" if all(sure) else ", a bar where there is none"
    return f"{said} with 95 % intervals over {kind}, hollow where they hold 0{bare}."


def _draw_block(block: SubFigure, findings: Findings, measure: Measure) -> None:
    """One measure: scores and differences, a row for each variant."""
    held = findings.by_measure[measure]
    left, right = block.subplots(1, 2, sharey=True, gridspec_kw={"width_ratios": (3, 2)})
    # Before room is made, so that the axis reaches to 0.
    right.axvline(0, color="0.5", linewidth=0.9, zorder=1)
    for place, found in enumerate(held):
        _draw_score(left, place, found)
        _draw_gap(right, place, found)
        for axes in (left, right) if place % 2 == 0 else ():
            axes.axhspan(place - 0.5, place + 0.5, color="0.965", zorder=0)
    left.set_yticks(range(len(held)), [_plain(found.variant.name) for found in held])
    left.set_ylim(len(held) - 0.4, -0.6)
    _make_room(left, 0.16)
    _make_room(right, 0.28)
    title = f"{measure.place} ({counted(findings.sequences[measure], 'sequence')})"
    _dress(left, f"{measure.key} in percent", title)
    _dress(right, "difference in points", "")


def _draw_score(axes: Axes, place: int, found: Finding) -> None:
    values = [100 * value for value in found.spread.values.values()]
    mean, color = 100 * found.spread.mean, BASIS if found.gap is None else INK
    if found.gap is None:
        axes.axvline(mean, color=BASIS, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
    axes.plot([mean, mean], [place - 0.32, place + 0.32], color=color, linewidth=2.6, zorder=3)
    if len(values) > 1:
        steps = np.linspace(-0.16, 0.16, len(values)) + place
        edge: dict[str, Any] = {"markeredgecolor": "white", "markeredgewidth": 0.7}
        axes.plot(values, steps, "o", color=color, markersize=4.5, zorder=4, **edge)
    _number(axes, place, f"{mean:.1f}", "0.2")


def _draw_gap(axes: Axes, place: int, found: Finding) -> None:
    if found.gap is None or isnan(found.gap.gap.value):
        return
    gap, clear = found.gap.gap, found.has_interval and not found.gap.noise
    color = INK if clear else QUIET
    if found.has_interval:
        axes.plot([100 * gap.low, 100 * gap.high], [place, place], color=color, linewidth=1.8, zorder=2)
        face = color if clear else "white"
        axes.plot(100 * gap.value, place, "o", color=color, markerfacecolor=face, markersize=5.5, zorder=3)
    else:
        axes.plot(100 * gap.value, place, "|", color=color, markersize=10, markeredgewidth=2, zorder=3)
    _number(axes, place, f"{100 * gap.value:+.1f}", INK if clear else "0.5")


def _number(axes: Axes, place: int, text: str, color: str) -> None:
    """A value at the right end of its row."""
    style: dict[str, Any] = {"ha": "right", "va": "center", "fontsize": 8.5, "zorder": 5, "color": color}
    axes.text(0.995, place, text.replace("-", "−"), transform=axes.get_yaxis_transform(), **style)


def _make_room(axes: Axes, share: float) -> None:
    """Leaves a share of the width on the right for the numbers, and does not blow up what hardly differs."""
    low, high = axes.dataLim.intervalx if np.isfinite(axes.dataLim.intervalx).all() else (0.0, 0.0)
    middle, span = (low + high) / 2, max(high - low, 2.0)
    axes.set_xlim(middle - 0.56 * span, middle + (0.56 + 1.2 * share) * span)


def _dress(axes: Axes, label: str, title: str) -> None:
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_axisbelow(True)
    axes.grid(axis="x", color="0.9")
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(label, fontsize=9)
    axes.tick_params(labelsize=9)
    axes.set_title(_plain(title), loc="left", fontsize=10)


def _plain(name: str) -> str:
    """A name with its dollars kept from starting a formula."""
    return name.replace("$", r"\$")


def _save(figure: Figure, path: Path) -> Path:
    FigureCanvasAgg(figure)
    picture = BytesIO()
    figure.savefig(picture, format="png")
    return write_bytes(path, picture.getvalue())
