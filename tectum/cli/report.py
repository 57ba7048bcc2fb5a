"""`tectum report`: what runs that belong together show."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tectum.evaluation.robustness import Robustness, RunOfTracker
    from tectum.evaluation.typesetting import Table

report = typer.Typer(no_args_is_help=True, help="Put runs side by side that belong together.")


@report.callback()
def _report() -> None:
    """Keeps its only command from taking its place."""


@report.command("robustness")
def robustness(
    runs: Annotated[
        list[str],
        typer.Argument(
            help="Folders of `tectum evaluate`, with and without --drop; a tracker is named after its preset, or write "
            "NAME=FOLDER. Others are compared with the first one."
        ),
    ],
    root: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The benchmark's download; by default where it was for the runs.")
    ] = None,
    convention: Annotated[
        str | None, typer.Option(metavar="NAME", help="Whose rules score, such as pysot; by default the benchmark's.")
    ] = None,
    format_: Annotated[
        str, typer.Option("--format", metavar="table|csv|markdown|latex|json", help="How to print scores.")
    ] = "table",
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Also write all tables and a plot there.")] = None,
    draws: Annotated[int, typer.Option(min=1, help="How often to draw sequences for intervals.")] = 2000,
    seed: Annotated[int, typer.Option(help="Of the draws.")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print scores and warnings only.")] = False,
) -> None:
    """Table what trackers lose where a sense is dropped."""
    from tectum.cli import boards
    from tectum.evaluation.robustness import compare, read_runs
    from tectum.evaluation.typesetting import print_tables

    boards.Showing(format_)  # which refuses what is no format
    read = read_runs([_named(each) for each in runs])
    found = compare(read, root or _recorded_root(read, quiet), convention, draws, seed)
    # Files first: whoever reads what is printed may stop early.
    written = list(_write(found, out)) if out is not None else []
    if format_ == "json":
        typer.echo(_json(found), nl=False)
    else:
        print_tables(_tables(found), format_)
    boards.warn(found.board, quiet)
    if written and not quiet:
        typer.echo(f"written: {', '.join(path.name for path in written)} in {out}", err=True)


def _named(text: str) -> tuple[str | None, Path]:
    """A folder, or one after its tracker's name and the sign `=`."""
    name, sign, folder = text.partition("=")
    return (name, Path(folder)) if name and sign and not Path(text).is_dir() else (None, Path(text))


def _recorded_root(runs: Sequence[RunOfTracker], quiet: bool) -> Path:
    """Where the truth is: the first of the recorded folders that is still there, or what can be rendered."""
    from tectum.benchmarks import find
    from tectum.cli.world import rendered_root
    from tectum.errors import BenchmarkError

    there = next((run.root for run in runs if run.root.is_dir()), None)
    root = there or rendered_root(find(runs[0].config.benchmark), runs[0].config.split, quiet)
    if root is None:
        raise BenchmarkError(f"The runs' data is no longer in {runs[0].root}: say with --root where it is.")
    return root


def _tables(found: Robustness, every: bool = False) -> Iterator[Table]:
    """What there is to read: the first score's changes and differences, or those of every score."""
    from tectum.evaluation.tables import robustness_differences, robustness_table

    keys = found.board.protocol.keys if every else ()
    yield robustness_table(found, keys)
    if len(found.trackers) > 1:
        yield from (table for table in robustness_differences(found, keys) if table.rows)


def _write(found: Robustness, out: Path) -> Iterator[Path]:
    """Writes all tables and the plot of the first score."""
    from tectum.cli.boards import PLOTS
    from tectum.evaluation.plots import plot_robustness
    from tectum.evaluation.report import write_bytes

    tables = list(_tables(found, every=True))
    texts = {
        "robustness.json": _json(found),
        "robustness.csv": tables[0].csv(),
        "robustness.md": "\n".join(table.markdown() for table in _tables(found)),
        "robustness.tex": "\n".join(table.latex() for table in _tables(found)),
        **{name: table.csv() for name, table in zip(("differences.csv", "falls.csv"), tables[1:], strict=False)},
    }
    for name, text in texts.items():
        yield write_bytes(out / name, text.encode())
    yield from (plot_robustness(out / f"robustness{suffix}", found, found.key) for suffix in PLOTS)


def _json(found: Robustness) -> str:
    from tectum.evaluation.tables import robustness_json

    return json.dumps(robustness_json(found), indent=1, ensure_ascii=False) + "\n"
