"""Scores as pictures: curves, a radar over attributes, how far others are from the best, and what drops change."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from math import floor, isnan
from pathlib import Path
from typing import Any, cast

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.projections.polar import PolarAxes

from tectum.errors import TectumError, UnknownNameError
from tectum.evaluation.board import Board, Card
from tectum.evaluation.report import write_bytes
from tectum.evaluation.robustness import Robustness
from tectum.evaluation.statistics import Difference, Interval, Intervals, attribute_scores

Array = npt.NDArray[np.float64]

NAMED = 20
"""How many trackers get a line of their own on curves; those behind them are thin, grey and not in the legend."""

NAMED_ON_RADAR = 8
"""The same on a radar, where polygons cross each other more."""

FEWEST_SPOKES = 3
"""Attributes below which a radar has no area."""

# Eight colours that colour-blind readers can tell (Okabe and Ito; yellow darkened to be seen on white). Seven dashes
# and nine marks: as 7, 8 and 9 have no common divisor, no two lines are alike, in print without colours either.
_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#000000", "#e69f00", "#56b4e9", "#8c7b00")
_DASHES = (
    *("solid", (0, (6, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5))),
    *((0, (3, 1.2)), (0, (6, 1.2, 1.2, 1.2, 1.2, 1.2)), (0, (10, 2))),
)
_MARKS = ("o", "s", "^", "D", "v", "X", "P", "<", ">")
_BEHIND: dict[str, Any] = {"color": "0.8", "linewidth": 0.8, "zorder": 1}

_METADATA: dict[str, dict[str, None]] = {".png": {}, ".pdf": {"CreationDate": None}, ".svg": {"Date": None}}
"""What can be written; and which metadata to leave out, so that the same scores give the same file."""


def plot_curves(path: str | Path, board: Board, key: str) -> Path:
    """Plots one curve of every tracker, the best on top and first in the legend, and returns the path.

    Args:
        path: where to write a `.png`, `.pdf` or `.svg`.
        board: the trackers.
        key: of the curve, such as `success`.

    Raises:
        UnknownNameError: if the convention has no such curve.
        TectumError: if there is no tracker, or the file cannot be written.
    """
    _check_trackers(board)
    curves = [(card, {curve.key: curve for curve in board.protocol.curves(card.tally)}) for card in board.cards]
    if key not in curves[0][1]:
        raise UnknownNameError(f"There is no curve '{key}' to plot: use one of {', '.join(curves[0][1])}.")
    first = curves[0][1][key]
    ranked = sorted(curves, key=lambda pair: _order(pair[0].scores[first.score]))
    figure = Figure(figsize=(7.4, 4.4), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    for place, (card, held) in enumerate(ranked):
        label = _label(board, card, first.score)
        every = _every(place, len(first.x), marked=len(ranked) > len(_DASHES))
        axes.plot(held[key].x, held[key].y, **_line(place, NAMED, label), **every)
    places = np.concatenate([held[key].x for _, held in curves])
    axes.set(xlim=(0, np.nanmax(places, initial=1e-3)), ylim=(0, 1), xlabel=first.x_label, ylabel=first.y_label)
    axes.grid(color="0.92")
    _dress(axes, f"{first.title} on {board.benchmark} {board.split}", f"convention {board.protocol.name}")
    _legend(figure, axes, first.score, len(ranked) - NAMED)
    return _save(figure, Path(path))


def plot_radar(path: str | Path, board: Board, key: str) -> Path:
    """Plots a score over attributes, a spoke for each and a polygon per tracker, and returns the path.

    Attributes that fewer than two sequences have are left out, as the official scripts do. The centre is not 0 but
    the round score below the lowest one; rings say so. Under each attribute stand the number of its sequences and
    the best score.

    Args:
        path: where to write a `.png`, `.pdf` or `.svg`.
        board: the trackers.
        key: the score, such as `SR`.

    Raises:
        UnknownNameError: if the convention has no such score.
        TectumError: if there is no tracker, there are fewer than three attributes, or the file cannot be written.
    """
    _check_trackers(board)
    if key not in board.protocol.keys:
        raise UnknownNameError(f"There is no score '{key}' to plot: use one of {', '.join(board.protocol.keys)}.")
    ranked = sorted(board.cards, key=lambda card: _order(card.scores[key]))
    spokes, values = _spokes(board, ranked, key)
    figure = Figure(figsize=(8.2, 6), dpi=150, layout="constrained")
    axes = cast(PolarAxes, figure.add_subplot(projection="polar"))
    angles = np.linspace(0, 2 * np.pi, len(spokes), endpoint=False)
    for place, (card, row) in enumerate(zip(ranked, values, strict=True)):
        line = _line(place, NAMED_ON_RADAR, _label(board, card, key))
        axes.plot([*angles, angles[0]], [*row, row[0]], **line)
        if len(ranked) <= 2:
            axes.fill(angles, row, color=line["color"], alpha=0.08)
    center = _web(axes, angles, values)
    _name_spokes(axes, angles, [f"{name} ({count})" for name, count in spokes], np.nanmax(values, axis=0))
    says = f"convention {board.protocol.name}; the centre is {100 * center:.0f}, the rim tells each best score"
    _dress(axes, f"{key} by attribute on {board.benchmark} {board.split}", says)
    _legend(figure, axes, key, len(ranked) - NAMED_ON_RADAR)
    return _save(figure, Path(path))


def plot_differences(path: str | Path, intervals: Intervals, key: str, title: str = "") -> Path:
    """Plots how far every tracker is from the best one, with intervals, and returns the path.

    Those whose interval holds 0 are hollow and grey: they may be as good as the best.

    Args:
        path: where to write a `.png`, `.pdf` or `.svg`.
        intervals: of a bootstrap.
        key: the score, such as `SR`.
        title: the benchmark and its split.

    Raises:
        TectumError: if there are fewer than two trackers with this score, or the file cannot be written.
    """
    known = {name: held[key].value for name, held in intervals.scores.items() if key in held}
    ranked = sorted(known, key=lambda name: _order(known[name]))
    rows = [row for name in ranked[1:] for row in intervals.differences if _is(row, ranked[0], name, key)]
    if not rows:
        raise TectumError(f"Differences in {key} cannot be plotted: that takes two trackers with this score.")
    figure = Figure(figsize=(6.4, 1.5 + 0.26 * len(rows)), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    axes.axvline(0, color="0.5", linewidth=0.9)
    for place, row in enumerate(rows):
        _whisker(axes, place, row, sign=1 if row.against == ranked[0] else -1)
    axes.set(ylim=(len(rows) - 0.4, -0.6), xlabel=f"Difference in {key} to {_plain(ranked[0])} in percentage points")
    axes.set_yticks(range(len(rows)), [_plain(_other(row, ranked[0])) for row in rows])
    axes.grid(axis="x", color="0.92")
    says = f"convention {intervals.protocol.name}; {100 * intervals.confidence:g} % intervals, hollow where they hold 0"
    _dress(axes, f"Behind {_plain(ranked[0])}" + (f" on {title}" if title else ""), says)
    return _save(figure, Path(path))


def plot_robustness(path: str | Path, report: Robustness, key: str) -> Path:
    """Plots each tracker's score under each drop, and beside it what the drop changed, and returns the path.

    A row for each tracker under each drop, with intervals; changes are hollow where their interval holds 0.

    Args:
        path: where to write a `.png`, `.pdf` or `.svg`.
        report: the trials.
        key: the score, such as `SR`.

    Raises:
        UnknownNameError: if the convention has no such score.
        TectumError: if the file cannot be written.
    """
    if key not in report.board.protocol.keys:
        known = ", ".join(report.board.protocol.keys)
        raise UnknownNameError(f"There is no score '{key}' to plot: use one of {known}.")
    figure = Figure(
        figsize=(8.4, 1.4 + 0.24 * len(report.trials) + 0.12 * len(report.drops)), dpi=150, layout="constrained"
    )
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    bottom = _draw_trials(left, right, report, key)
    right.axvline(0, color="0.5", linewidth=0.9)
    left.set(ylim=(bottom, -0.8), xlabel=f"{key} in percent")
    right.set(xlabel=f"change of {key} in points")
    for axes in (left, right):
        axes.grid(axis="x", color="0.9")
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
    says = f"convention {report.board.protocol.name}; {100 * report.confidence:g} % intervals, hollow where they hold 0"
    _dress(left, f"Where a sense is dropped on {report.board.benchmark} {report.board.split}", says)
    _dress(right, "", "")
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False, fontsize=8.5)
    return _save(figure, Path(path))


def _check_trackers(board: Board) -> None:
    if not board.cards:
        raise TectumError(f"There is no tracker to plot: no results on {board.benchmark} could be scored.")


def _order(score: float) -> float:
    """Sorts the best first and what has no score last."""
    return float("inf") if isnan(score) else -score


def _plain(name: str) -> str:
    """A name with its dollars kept from starting a formula."""
    return name.replace("$", r"\$")


def _label(board: Board, card: Card, key: str) -> str:
    """A tracker's line in the legend, with how many sequences it has if it lacks some."""
    has, all_of_them = len(card.tally.names), len(board.names)
    lacking = f"\n({has} of {all_of_them} sequences)" if has < all_of_them else ""
    return f"[{100 * card.scores[key]:.1f}] {_plain(card.tracker)}{lacking}"


def _line(place: int, named: int, label: str) -> dict[str, Any]:
    """How the tracker in a place of the ranking is drawn."""
    if place >= named:
        return _BEHIND
    return {
        "color": _COLORS[place % len(_COLORS)],
        "linestyle": _DASHES[place % len(_DASHES)],
        "linewidth": 1.9 if place == 0 else 1.4,
        "zorder": 3 + (named - place) / named,
        "label": label,
    }


def _every(place: int, points: int, marked: bool) -> dict[str, Any]:
    """Marks on a line, shifted from one tracker to the next; they part lines whose dashes alone would not."""
    if not marked or place >= NAMED:
        return {}
    step = max(1, points // 5)
    return {"marker": _MARKS[place % len(_MARKS)], "markersize": 4, "markevery": (place * 3 % step, step)}


def _dress(axes: Axes, title: str, says: str) -> None:
    """The title, and what else to know in small letters under it."""
    polar = isinstance(axes, PolarAxes)
    if not polar:
        axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold", pad=46 if polar else 20)
    raised = (0, 33 if polar else 7)
    axes.annotate(says, (0, 1), raised, "axes fraction", "offset points", fontsize=8.5, color="0.4")


def _legend(figure: Figure, axes: Axes, score: str, behind: int) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if behind > 0:
        handles += axes.plot([], [], **_BEHIND)
        labels.append(f"{behind} more")
    style: dict[str, Any] = {"fontsize": 8.5, "title_fontsize": 8.5, "frameon": False, "handlelength": 3.4}
    title = f"{score} in percent"
    figure.legend(handles, labels, loc="outside right center", title=title, alignment="left", **style)


def _spokes(board: Board, cards: Sequence[Card], key: str) -> tuple[list[tuple[str, int]], Array]:
    """The attributes that can be shown with how many sequences have them, and scores: trackers × attributes."""
    counts = {name: len(members.intersection(board.names)) for name, members in board.attributes.items()}
    scores = [attribute_scores(board, card) for card in cards]
    spokes = [
        (name, count)
        for name, count in counts.items()
        if count > 1 and not all(isnan(held[name][key]) for held in scores)
    ]
    if len(spokes) < FEWEST_SPOKES:
        raise TectumError(
            f"A radar of {board.benchmark} {board.split} cannot be drawn: it takes {FEWEST_SPOKES} attributes that "
            f"two sequences or more have, and there are {len(spokes)}."
        )
    return spokes, np.array([[held[name][key] for name, _ in spokes] for held in scores])


def _web(axes: PolarAxes, angles: Array, values: Array) -> float:
    """Rings at round scores, with labels between two spokes; returns the score at the centre."""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    step = next(size for size in (0.05, 0.1, 0.2, 1) if high - low <= 5 * size)
    center = max(0.0, step * (floor(low / step) - 1))
    rings = np.arange(center + step, max(high + step, center + 2 * step), step)
    axes.set_theta_zero_location("N")
    axes.set_theta_direction(-1)
    axes.set_ylim(center, rings[-1])
    axes.set_yticks(rings, [])
    paper: dict[str, Any] = {"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.8}
    for ring in rings:
        label = axes.text(angles[1] / 2, ring, f"{100 * ring:.0f}", fontsize=7.5, color="0.35", bbox=paper, zorder=9)
        label.set(ha="center", va="center")
    axes.grid(color="0.88")
    axes.spines["polar"].set_color("0.75")
    return center


def _name_spokes(axes: PolarAxes, angles: Array, names: Sequence[str], best: Array) -> None:
    """Attributes around the rim, each turned away from it, with the best score below."""
    axes.set_xticks(angles, [])
    for angle, name, score in zip(angles, names, best, strict=True):
        sideways, upwards = np.sin(angle), np.cos(angle)
        axes.annotate(
            f"{_plain(name)}\n{100 * score:.1f}",
            (angle, axes.get_ylim()[1]),
            (9 * sideways, 7 * upwards),
            textcoords="offset points",
            ha="left" if sideways > 0.2 else "right" if sideways < -0.2 else "center",
            va="bottom" if upwards > 0.6 else "top" if upwards < -0.6 else "center",
            fontsize=8.5,
            linespacing=1.1,
            annotation_clip=False,
        )


def _is(difference: Difference, one: str, other: str, key: str) -> bool:
    return difference.key == key and {difference.tracker, difference.against} == {one, other}


def _other(difference: Difference, best: str) -> str:
    return difference.tracker if difference.against == best else difference.against


def _whisker(axes: Axes, place: int, difference: Difference, sign: int) -> None:
    """One tracker's difference to the best one, in percentage points."""
    color = "0.55" if difference.noise else _COLORS[0]
    _interval(axes, place, difference.gap, color, hollow=difference.noise, sign=sign)


def _interval(
    axes: Axes, place: float, held: Interval, color: str, mark: str = "o", hollow: bool = False, sign: int = 1
) -> None:
    """A value and how far it may be off, in percent."""
    axes.plot([100 * sign * held.low, 100 * sign * held.high], [place, place], color=color, linewidth=1.6)
    face = "white" if hollow else color
    axes.plot(100 * sign * held.value, place, mark, color=color, markerfacecolor=face, markersize=5, zorder=3)


def _draw_trials(left: Axes, right: Axes, report: Robustness, key: str) -> float:
    """Scores on the left, changes on the right, a group of rows per drop; returns where the last group ends."""
    place, middles = 0.0, []
    for number, dropped in enumerate(report.drops):
        trials = [trial for trial in report.trials if trial.dropped == dropped]
        for axes in (left, right) if number % 2 == 0 else ():
            axes.axhspan(place - 0.75, place + len(trials) - 0.25, color="0.965", zorder=0)
        middles.append(place + (len(trials) - 1) / 2)
        for trial in trials:
            order = report.trackers.index(trial.tracker)
            color, mark = _COLORS[order % len(_COLORS)], _MARKS[order % len(_MARKS)]
            _interval(left, place, trial.scores[key], color, mark)
            if trial.change:
                _interval(right, place, trial.change[key].gap, color, mark, hollow=trial.change[key].noise)
            place += 1
        place += 0.5
    for order, tracker in enumerate(report.trackers):
        style: dict[str, Any] = {"color": _COLORS[order % len(_COLORS)], "linewidth": 1.6, "markersize": 5}
        left.plot([], [], marker=_MARKS[order % len(_MARKS)], label=_plain(tracker), **style)
    left.set_yticks(middles, [_plain(dropped) for dropped in report.drops])
    return place - 0.75


def _save(figure: Figure, path: Path) -> Path:
    """Writes a figure in the form that the path's suffix names; PDF with fonts that publishers take."""
    suffix = path.suffix.lower()
    if suffix not in _METADATA:
        raise UnknownNameError(f"{path} cannot be plotted: use a name that ends in {', '.join(_METADATA)}.")
    FigureCanvasAgg(figure)
    picture = BytesIO()
    with mpl.rc_context({"pdf.fonttype": 42, "svg.hashsalt": "tectum"}):
        figure.savefig(picture, format=suffix[1:], metadata=_METADATA[suffix])
    return write_bytes(path, picture.getvalue())
