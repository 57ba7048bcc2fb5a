"""`tectum submit`: results in the form of a benchmark's official toolkit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tectum.evaluation.protocol import Form
    from tectum.evaluation.result_files import RunFiles
    from tectum.interop.formats import Result


def submit(
    benchmark: Annotated[str, typer.Argument(help="Which benchmark, such as got10k.")],
    results: Annotated[Path, typer.Argument(help="A tracker's folder, ours or anyone's.")],
    out: Annotated[Path, typer.Argument(help="The folder in which to write.")],
    tracker: Annotated[
        str | None, typer.Option(metavar="NAME", help="What to call the tracker; by default as its folder.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Which sequences; the ones usually scored by default.")] = None,
    root: Annotated[
        Path | None, typer.Option(help="The benchmark's download, for benchmarks whose sequences no list names.")
    ] = None,
    form: Annotated[
        str | None, typer.Option(metavar="xywh|xyxy|center|corners", help="How the files write boxes.")
    ] = None,
    archive: Annotated[bool, typer.Option("--zip", help="Also pack it into OUT/NAME.zip.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 2 if sequences are left out.")] = False,
) -> None:
    """Write a tracker's results as the benchmark's official toolkit or server wants them."""
    from tectum.benchmarks import find
    from tectum.evaluation.protocol import Form
    from tectum.evaluation.result_files import find_results
    from tectum.interop.formats import format_for, pack, write_results

    chosen = find(benchmark)
    wanted = format_for(chosen.name)
    names = chosen.names(root or Path(), split)
    found = find_results(results, names, (chosen.name, chosen.title), chosen.convention == "vot-anchored")
    name = tracker or results.resolve().name
    problems: list[str] = []
    folder = write_results(wanted, out, name, _read(found.runs, Form.of(form) if form else None, problems))
    missing = [sequence for sequence in names if sequence not in found.runs]
    if missing:
        problems.append(f"{len(missing)} of {len(names)} sequences have no results: {', '.join(missing)}.")
    for sentence in problems:
        typer.echo(f"warning: {sentence}", err=True)
    typer.echo(f"{chosen.title}'s official form of {name}: {folder}")
    if archive:
        typer.echo(f"packed: {pack(wanted, out, name)}")
    if strict and problems:
        raise typer.Exit(2)


def _read(
    runs: Mapping[str, tuple[RunFiles, ...]], form: Form | None, problems: list[str]
) -> Iterator[tuple[str, list[Result]]]:
    """Sequences with their runs; one that cannot be read is left out, which becomes a problem."""
    from tectum.errors import TectumError

    for sequence, files in runs.items():
        try:
            yield sequence, [_result(each, form, number) for number, each in enumerate(files)]
        except TectumError as error:
            problems.append(f"{error} {sequence} is left out.")


def _result(files: RunFiles, form: Form | None, number: int) -> Result:
    """One run; where a file of times has a column for each, it is the one of that number."""
    from tectum.benchmarks.numbers import read_rows
    from tectum.evaluation.boxes import to_xywh
    from tectum.evaluation.results import read_run
    from tectum.interop.formats import Result

    run = read_run(files, form)
    seconds = None if files.times is None else read_rows(files.times)
    if seconds is not None:
        seconds = seconds[:, min(number, seconds.shape[1] - 1)]
    return Result(to_xywh(run.values, run.form), run.scores, seconds, run.anchor)
