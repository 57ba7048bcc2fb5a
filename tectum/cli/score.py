"""`tectum score`: score results files of any tracker."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tectum.benchmarks.base import Benchmark
    from tectum.evaluation.protocol import Form

FAULTY = 2
"""Exit code under `--strict` if anything was wrong."""


def score(
    benchmark: Annotated[str, typer.Argument(help="Which benchmark, such as lasher or rgbt234.")],
    results: Annotated[
        list[str],
        typer.Argument(help="A folder with results per tracker; its name is the tracker's, or write NAME=FOLDER."),
    ],
    root: Annotated[Path | None, typer.Option(metavar="DIR", help="The folder of the benchmark's download.")] = None,
    annotations: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where only ground truth is at hand: its folder.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Which split; by default the one usually scored.")] = None,
    convention: Annotated[
        str | None, typer.Option(metavar="NAME", help="Whose rules score, such as pysot; by default the benchmark's.")
    ] = None,
    form: Annotated[
        str | None, typer.Option(metavar="xywh|xyxy|center|corners", help="How boxes are written; else found out.")
    ] = None,
    format_: Annotated[
        str, typer.Option("--format", metavar="table|csv|markdown|latex|json", help="How to print scores.")
    ] = "table",
    as_json: Annotated[bool, typer.Option("--json", help="Short for --format json: all scores, all digits.")] = False,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Also write all tables and plots there.")] = None,
    sequences: Annotated[bool, typer.Option("--sequences", help="Add a table by sequence.")] = False,
    attributes: Annotated[bool, typer.Option("--attributes", help="Add a table by attribute.")] = False,
    draws: Annotated[int, typer.Option(min=0, help="How often to draw sequences for intervals; 0 for none.")] = 2000,
    seed: Annotated[int, typer.Option(help="Of the draws.")] = 0,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 2 if anything was wrong or missing.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print scores and warnings only.")] = False,
) -> None:
    """Score trackers' results files on a benchmark, side by side."""
    from tectum.benchmarks import find
    from tectum.cli import boards
    from tectum.evaluation.scoring import score as score_files

    chosen = find(benchmark)
    showing = boards.Showing("json" if as_json else format_, sequences, attributes)
    board = score_files(
        chosen,
        _one_root(root, annotations) or _rendered_root(chosen, split, quiet),
        _trackers(results),
        split=split,
        convention=convention,
        form=_form(form),
    )
    intervals = boards.draw(board, draws, seed)
    # Files first: whoever reads what is printed may stop early.
    written = boards.write(board, intervals, out) if out is not None else []
    showing.show(board, intervals)
    boards.warn(board, quiet)
    if written and not quiet:
        typer.echo(f"written: {', '.join(path.name for path in written)} in {out}", err=True)
    if strict and board.problems:
        raise typer.Exit(FAULTY)


def _one_root(root: Path | None, annotations: Path | None) -> Path | None:
    """Where the ground truth is, if either option says so."""
    from tectum.errors import BenchmarkError

    if root is not None and annotations is not None:
        raise BenchmarkError(f"Both --root {root} and --annotations {annotations} are given: leave one of them out.")
    return root or annotations


def _rendered_root(benchmark: Benchmark, split: str | None, quiet: bool) -> Path:
    """Where the ground truth of a benchmark is that is rendered."""
    from tectum.cli.world import rendered_root
    from tectum.errors import BenchmarkError

    root = rendered_root(benchmark, split, quiet)
    if root is None:
        raise BenchmarkError(
            "There is no ground truth to score against: name the benchmark's download with --root, or a folder with "
            "its annotations only with --annotations."
        )
    return root


def _trackers(results: Sequence[str]) -> dict[str, Path]:
    """Trackers by name: that of the folder, or the one before the sign `=`."""
    from tectum.errors import ResultError
    from tectum.evaluation.result_files import tracker_name

    trackers: dict[str, Path] = {}
    for each in results:
        name, sign, folder = each.partition("=")
        if not (sign and name) or Path(each).is_dir():
            name, folder = tracker_name(each), each
        if name in trackers:
            raise ResultError(
                f"Two trackers are called {name} ({trackers[name]} and {folder}): name them with NAME=FOLDER."
            )
        trackers[name] = Path(folder)
    return trackers


def _form(name: str | None) -> Form | None:
    from tectum.errors import UnknownNameError
    from tectum.evaluation.protocol import Form

    if name is None:
        return None
    if name not in list(Form):
        raise UnknownNameError(f"There is no form '{name}' of boxes: use one of {', '.join(Form)}.")
    return Form(name)
