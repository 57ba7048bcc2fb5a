"""`tectum submit`: results in the form of a benchmark's official toolkit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tectum.benchmarks.base import Benchmark, Truth
    from tectum.evaluation.columns import Columns
    from tectum.evaluation.protocol import Array, Form, Run
    from tectum.evaluation.result_files import RunFiles

SHOWN = 10
"""Sentences that are shown in full."""

NAMED = 5
"""Missing sequences that are named."""

ALIKE = 0.95
"""The share of rows that could be corners from which on they may all be."""


def submit(
    benchmark: Annotated[str, typer.Argument(help="Which benchmark, such as got10k.")],
    results: Annotated[Path, typer.Argument(help="A tracker's folder, ours or anyone's.")],
    out: Annotated[Path, typer.Argument(help="The folder in which to write.")],
    tracker: Annotated[
        str | None, typer.Option(metavar="NAME", help="What to call the tracker; by default as its folder.")
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(help="Which sequences, such as test for GOT-10k's server; else the ones usually scored."),
    ] = None,
    root: Annotated[
        Path | None,
        typer.Option(
            "--root",
            "--annotations",
            metavar="DIR",
            help="The benchmark's download or ground truth, whose first boxes tell the form of the tracker's; "
            "RGBD1K and TrackingNet need it, for only it names their sequences.",
        ),
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(metavar="xywh|xyxy|center|corners", help="How boxes are written; else found out."),
    ] = None,
    archive: Annotated[bool, typer.Option("--zip", help="Also pack it into OUT/NAME.zip.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 2 if sequences are left out.")] = False,
) -> None:
    """Write a tracker's results as the benchmark's official toolkit or server wants them."""
    from tectum.benchmarks import find
    from tectum.evaluation.protocol import Form
    from tectum.evaluation.result_files import find_results, tracker_name
    from tectum.interop.formats import Result, format_for, pack, write_results

    chosen = find(benchmark)
    wanted, told = format_for(chosen.name), Form.of(form) if form else None
    names = _names(chosen, root, split)
    found = find_results(results, names, (chosen.name, chosen.title), chosen.convention == "vot-anchored")
    _refuse_dropped(found.folder)
    name = tracker or tracker_name(results)
    runs, problems = _read(found.runs, told)
    shape = told or _form(chosen, root, {sequence: several[0] for sequence, several in runs.items()})
    columns = _columns(chosen)
    converted = {
        sequence: [
            Result(_boxes(run, shape, columns), run.scores, _seconds(files, number, problems), run.anchor)
            for number, (run, files) in enumerate(zip(several, found.runs[sequence], strict=True))
        ]
        for sequence, several in runs.items()
    }
    folder = write_results(wanted, out, name, converted.items())
    if found.rivals:
        others = ", ".join(map(str, found.rivals[:NAMED]))
        problems.append(f"Results lie in several folders; those in {found.folder} are taken, not {others}.")
    missing = [sequence for sequence in names if sequence not in found.runs]
    if missing:
        problems.append(f"{len(missing)} of {len(names)} sequences have no results: {_listed(missing)}.")
    _warn(problems)
    typer.echo(f"{chosen.title}'s official form of {name}, {len(runs)} of {len(names)} sequences: {folder}")
    if archive:
        typer.echo(f"packed: {pack(wanted, out, name)}")
    if strict and problems:
        raise typer.Exit(2)


def _names(benchmark: Benchmark, root: Path | None, split: str | None) -> tuple[str, ...]:
    from tectum.errors import BenchmarkError

    try:
        names = benchmark.names(root or Path(), split)
    except BenchmarkError:
        if root is not None:
            raise
        names = ()
    if not names:
        raise BenchmarkError(f"Which sequences {benchmark.title} has, only its download says: name it with --root.")
    return names


def _refuse_dropped(folder: Path) -> None:
    """Raises if the tracker did not see all that the benchmark shows."""
    from tectum.errors import ResultError
    from tectum.evaluation.run_folder import recorded

    if drop := recorded(folder, "drop"):
        raise ResultError(
            f"The results in {folder} were made with --drop {drop}, which no benchmark allows: submit a run without it."
        )


def _warn(problems: Sequence[str]) -> None:
    for sentence in problems[:SHOWN]:
        typer.echo(f"warning: {sentence}", err=True)
    if len(problems) > SHOWN:
        typer.echo(f"warning: there are {len(problems) - SHOWN} more problems of this kind.", err=True)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _read(files: Mapping[str, Sequence[RunFiles]], form: Form | None) -> tuple[dict[str, list[Run]], list[str]]:
    """The runs of each sequence, and a sentence on each that cannot be read and is left out."""
    from tectum.errors import ResultError, TectumError
    from tectum.evaluation.results import read_run

    runs: dict[str, list[Run]] = {}
    problems = []
    for sequence, several in files.items():
        try:
            runs[sequence] = [read_run(each, form) for each in several]
        except TectumError as error:
            problems.append(f"{error} {sequence} is left out.")
    if not runs:
        raise ResultError(f"None of {len(problems)} results can be read, so nothing is written. {problems[0]}")
    return runs, problems


def _form(benchmark: Benchmark, root: Path | None, firsts: Mapping[str, Run]) -> Form:
    """What four columns mean: as the first boxes of the ground truth say or, without it, as long as it is plain.

    Raises:
        ResultError: if they may be sizes or corners.
    """
    import numpy as np

    from tectum.errors import ResultError
    from tectum.evaluation.protocol import Form
    from tectum.evaluation.results import recognised

    found = recognised(_with_truths(benchmark, root, firsts)) if root is not None else None
    if found is not None:
        if found is not Form.XYWH:
            typer.echo(f"note: boxes are read as {found}, for so they repeat the truth's first boxes.", err=True)
        return found
    four = [run.values for run in firsts.values() if run.values.shape[1] == len("xywh")]
    rows = np.concatenate(four) if four else np.empty((0, 4))
    rows = rows[np.isfinite(rows).all(1)]
    if len(rows) and np.mean((rows[:, 2:] > rows[:, :2]).all(1)) >= ALIKE:
        raise ResultError(
            "Boxes may be x,y,w,h or x1,y1,x2,y2, for nearly all rows end in larger numbers than they begin with: say "
            "--form xywh or --form xyxy, or give the ground truth with --root, whose first boxes tell."
        )
    return Form.XYWH


def _with_truths(benchmark: Benchmark, root: Path, runs: Mapping[str, Run]) -> list[tuple[Run, Truth]]:
    """The runs whose ground truth is at hand."""
    from tectum.errors import BenchmarkError

    pairs = []
    for sequence, run in runs.items():
        try:
            truth = benchmark.truth(root, sequence)
            _ = truth.start
        except BenchmarkError:
            continue
        pairs.append((run, truth))
    return pairs


def _columns(benchmark: Benchmark) -> Columns:
    """How the benchmark's own toolkit turns corners and centres into boxes, so that scores stay the same."""
    from tectum.evaluation.columns import Columns
    from tectum.evaluation.conventions import convention
    from tectum.evaluation.one_pass import OnePass

    protocol = convention(benchmark.convention)
    return protocol.columns if isinstance(protocol, OnePass) else Columns()


def _boxes(run: Run, form: Form, columns: Columns) -> Array:
    """A run as `x, y, w, h`; eight columns are corners whatever four are."""
    import numpy as np

    from tectum.evaluation.protocol import Form

    shape = run.form if run.form is Form.CORNERS else form
    return run.values if shape is Form.XYWH else np.asarray(columns.boxes(run.values, shape), np.float64)


def _seconds(files: RunFiles, number: int, problems: list[str]) -> Array | None:
    """Times of a run: where their file has a column for each run, the one of its number."""
    from tectum.benchmarks.numbers import NumbersError, read_rows

    if files.times is None:
        return None
    try:
        seconds = read_rows(files.times)
    except NumbersError as error:
        problems.append(f"{error} The times are left out.")
        return None
    return seconds[:, min(number, seconds.shape[1] - 1)]
