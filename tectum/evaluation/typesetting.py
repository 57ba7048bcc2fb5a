"""How a table is written: on a terminal, for a spreadsheet, in Markdown or in LaTeX."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import Enum, auto
from io import StringIO
from typing import TextIO

from tectum.evaluation.statistics import Interval

Value = str | int | float | Interval | None

MISSING = "-"
"""What stands where there is no value."""

_BROAD = 100_000
"""Columns of a terminal so wide that no table is cut; the real one wraps its lines."""

_LATEX = str.maketrans(
    {
        **{letter: f"\\{letter}" for letter in "&%$#_{}"},
        **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
        **{"`": r"\textasciigrave{}", "<": r"\textless{}", ">": r"\textgreater{}"},
        **{"|": r"\textbar{}", "[": "{[}", "±": r"$\pm$", "×": r"$\times$"},
    }
)
_MARKDOWN = str.maketrans({letter: f"\\{letter}" for letter in "\\`*_[]<>|~#"})


class Kind(Enum):
    """What a column holds, and so how its values are written."""

    TEXT = auto()
    COUNT = auto()
    SPEED = auto()
    CHANCE = auto()
    SHARE = auto()
    """Values in [0, 1], written in percent."""
    GAP = auto()
    """Differences in [-1, 1], written in percentage points with their sign."""

    def write(self, value: Value) -> str:
        """The value as readers see it: rounded, an interval as `53.4 ± 2.1`, that of a gap as `+2.1 [-0.3, +4.5]`."""
        if isinstance(value, Interval):
            return self._interval(value)
        if value is None or _unknown(value):
            return MISSING
        if self in (Kind.SHARE, Kind.GAP) and not isinstance(value, str):
            value = 100 * value
        return _FORMATS[self].format(value)

    def _interval(self, interval: Interval) -> str:
        middle = self.write(interval.value)
        if math.isnan(interval.low):
            return middle
        if self is Kind.GAP:
            return f"{middle} [{self.write(interval.low)}, {self.write(interval.high)}]"
        return f"{middle} ± {self.write(interval.half_width)}"


_FORMATS = {
    Kind.TEXT: "{}",
    Kind.COUNT: "{:d}",
    Kind.SPEED: "{:.1f}",
    Kind.CHANCE: "{:.3f}",
    Kind.SHARE: "{:.1f}",
    Kind.GAP: "{:+.1f}",
}


@dataclass(frozen=True)
class Column:
    """One column: its heading and what it holds."""

    name: str
    kind: Kind = Kind.TEXT


@dataclass(frozen=True)
class Cell:
    """One value.

    Attributes:
        value: in full precision, scores in [0, 1]; `None` or `nan` where there is none.
        rank: 1 for the best of those that it is compared with, 2 for the second, 0 for all others.
    """

    value: Value
    rank: int = 0


@dataclass(frozen=True)
class Table:
    """A table that can be written in any form.

    Attributes:
        title: what it shows.
        columns: from left to right.
        rows: each with a cell per column.
        notes: sentences that stand below it.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()

    def show(self, stream: TextIO | None = None) -> None:
        """Prints it, the best bold and the second underlined where a terminal can; no value is cut short.

        On a terminal that is too narrow, each row becomes a paragraph.

        Args:
            stream: where to; standard output by default. One without Unicode is given ASCII.

        Raises:
            BrokenPipeError: if nobody reads the stream any more.
        """
        from rich.box import SIMPLE_HEAD
        from rich.console import Console
        from rich.table import Table as Grid
        from rich.text import Text

        class Screen(Console):
            """Leaves it to others what the end of a pipe means."""

            def on_broken_pipe(self) -> None:
                raise BrokenPipeError

        console = Screen(file=stream, highlight=False)

        def text(content: str, style: str = "") -> Text:
            return Text.assemble((_ascii(content) if console.options.ascii_only else content, style))

        grid = Grid(box=SIMPLE_HEAD, pad_edge=False)
        for column in self.columns:
            grid.add_column(text(column.name), justify="left" if column.kind is Kind.TEXT else "right", no_wrap=True)
        for row in self._written():
            grid.add_row(*(text(content, ("", "bold", "underline")[rank]) for content, rank in row))
        console.print(text(self.title, "bold"), soft_wrap=True)
        wide = Screen(file=stream, width=_BROAD)
        if console.is_terminal and wide.measure(grid).maximum > console.width:
            grid = Grid(box=None, pad_edge=False, show_header=False)
            for row in self._written():
                for column, (content, rank) in zip(self.columns, row, strict=True):
                    grid.add_row(text(column.name), text(content, ("", "bold", "underline")[rank]))
                grid.add_row()
        wide.print(grid)
        for note in self.notes:
            console.print(text(note), soft_wrap=not console.is_terminal)

    def csv(self) -> str:
        """As comma-separated values (RFC 4180: lines end in CRLF), in full precision and shares in [0, 1].

        An interval takes three columns: `SR`, `SR_low`, `SR_high`. Notes are left out.
        """
        spread = [
            any(isinstance(row[place].value, Interval) for row in self.rows) for place in range(len(self.columns))
        ]
        buffer = StringIO(newline="")
        writer = csv.writer(buffer)
        writer.writerow(
            name
            for column, wide in zip(self.columns, spread, strict=True)
            for name in ([column.name, f"{column.name}_low", f"{column.name}_high"] if wide else [column.name])
        )
        for row in self.rows:
            writer.writerow(
                field for cell, wide in zip(row, spread, strict=True) for field in _fields(cell.value, wide)
            )
        return buffer.getvalue()

    def markdown(self) -> str:
        """As GitHub's Markdown: the best bold, the second underlined."""
        styles = ("{}", "**{}**", "<u>{}</u>")
        header = [column.name.translate(_MARKDOWN) for column in self.columns]
        rule = [":--" if column.kind is Kind.TEXT else "--:" for column in self.columns]
        body = [[styles[rank].format(content.translate(_MARKDOWN)) for content, rank in row] for row in self._written()]
        lines = [f"| {' | '.join(row)} |" for row in (header, rule, *body)]
        paragraphs = [f"**{self.title.translate(_MARKDOWN)}**", "\n".join(lines)]
        paragraphs += [note.translate(_MARKDOWN) for note in self.notes]
        return "\n\n".join(paragraphs) + "\n"

    def latex(self) -> str:
        """As a LaTeX `table` for the packages `booktabs` and `textcomp`: the best bold, the second underlined."""
        styles = ("{}", r"\textbf{{{}}}", r"\underline{{{}}}")
        minus = ["-" if column.kind is Kind.TEXT else "$-$" for column in self.columns]
        rows = [
            " & ".join(
                styles[rank].format(content.translate(_LATEX).replace("-", sign))
                for (content, rank), sign in zip(row, minus, strict=True)
            )
            for row in self._written()
        ]
        lines = [
            r"\begin{table}",
            r"  \centering",
            rf"  \caption{{{self.title.translate(_LATEX)}}}",
            rf"  \begin{{tabular}}{{{''.join('l' if column.kind is Kind.TEXT else 'r' for column in self.columns)}}}",
            r"    \toprule",
            "    " + " & ".join(column.name.translate(_LATEX) for column in self.columns) + r" \\",
            r"    \midrule",
            *(rf"    {row} \\" for row in rows),
            r"    \bottomrule",
            r"  \end{tabular}",
            *(rf"  \par\smallskip{{\footnotesize {note.translate(_LATEX)}\par}}" for note in self.notes),
            r"\end{table}",
        ]
        return "\n".join(lines) + "\n"

    def _written(self) -> Iterator[list[tuple[str, int]]]:
        """Each row's values as readers see them, with their ranks."""
        for row in self.rows:
            yield [(column.kind.write(cell.value), cell.rank) for column, cell in zip(self.columns, row, strict=True)]


def print_tables(tables: Iterable[Table], form: str = "table") -> None:
    """Prints tables one after another, as `csv`, `markdown`, `latex` or for the eye, and then each note once."""
    said: set[str] = set()
    for table in tables:
        match form:
            case "csv":
                print(table.csv(), flush=True)
            case "markdown":
                print(table.markdown(), flush=True)
            case "latex":
                print(table.latex(), flush=True)
            case _:
                replace(table, notes=tuple(note for note in table.notes if note not in said)).show()
                said.update(table.notes)


def _unknown(value: Value) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _fields(value: Value, wide: bool) -> list[str | int | float | None]:
    """A value's fields in a file of comma-separated values; empty where there is none."""
    parts = [value.value, value.low, value.high] if isinstance(value, Interval) else [value, None, None]
    return [None if _unknown(part) else part for part in (parts if wide else parts[:1])]


def _ascii(content: str) -> str:
    return content.replace("±", "+-").replace("×", "x").encode("ascii", "replace").decode()
