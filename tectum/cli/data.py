"""`tectum data`: what of a benchmark's download is there, and its sequences in shards."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tectum.benchmarks.base import Benchmark
    from tectum.benchmarks.checking import Finding

DAMAGED = 2
"""Exit code of a strict check of a download that is not whole."""

_STATES = ("present", "missing", "damaged")

data = typer.Typer(no_args_is_help=True, help="Look after downloaded benchmarks.")


@data.command("check")
def check(
    benchmark: Annotated[str, typer.Argument(help="Name of a benchmark, such as lasher.")],
    root: Annotated[Path, typer.Argument(help="Folder of its download.")],
    split: Annotated[
        list[str] | None, typer.Option(help="Split to look at; may be given again.", show_default="all of them")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything found as JSON.")] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help=f"Leave with {DAMAGED} if anything is missing or damaged.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """Tell what of a benchmark's download is there, missing or damaged; no more than a few images are opened."""
    from tectum.benchmarks import find
    from tectum.benchmarks.checking import whole_splits

    chosen = find(benchmark)
    splits, unlisted = _splits(chosen, root, split or whole_splits(chosen))
    findings = _look(chosen, root, tuple(dict.fromkeys(name for names in splits.values() for name in names)), quiet)
    if as_json:
        typer.echo(_as_json(chosen.name, splits, findings))
    else:
        _refuse_nothing(chosen, root, findings)
        typer.echo(_as_text(splits, findings))
    for sentence in unlisted:
        typer.echo(f"warning: {sentence}", err=True)
    if strict and (unlisted or any(finding.state != "present" for finding in findings.values())):
        raise typer.Exit(DAMAGED)


def _splits(
    benchmark: Benchmark, root: Path, wanted: Sequence[str]
) -> tuple[dict[str, tuple[str, ...]], tuple[str, ...]]:
    """The sequences of each split, and sentences on the splits that the download should list but does not."""
    from tectum.errors import BenchmarkError

    splits, unlisted = {}, []
    for split in wanted:
        try:
            splits[split] = benchmark.names(root, split)
        except BenchmarkError as error:
            unlisted.append(str(error))
    return splits, tuple(unlisted)


def _refuse_nothing(benchmark: Benchmark, root: Path, findings: Mapping[str, Finding]) -> None:
    """Raises if nothing at all is there: the folder is a wrong one, and what was looked for helps to find the right."""
    from tectum.errors import BenchmarkError

    if any(finding.state != "missing" for finding in findings.values()):
        return
    if not findings:
        raise BenchmarkError(f"{root} holds no sequences of {benchmark.title}: check the path.")
    try:
        benchmark.truth(root, next(iter(findings)))
    except BenchmarkError as error:
        sentence = f"None of {len(findings)} sequences of {benchmark.title} is in {root}, and this is of the first"
        raise BenchmarkError(f"{sentence}: {error}") from None


@data.command("shard")
def shard(
    benchmark: Annotated[str, typer.Argument(help="Name of a benchmark, such as lasher.")],
    root: Annotated[Path, typer.Argument(help="Folder of its download.")],
    out: Annotated[Path, typer.Argument(help="Folder for the shards.")],
    split: Annotated[str, typer.Option(help="Which split.")] = "train",
    size: Annotated[int, typer.Option(help="Megabytes in a shard.", min=1)] = 1024,
    restarts: Annotated[
        bool, typer.Option(help="Put restart markers into JPEGs, without loss: crops are then read sooner.")
    ] = True,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """Store a split's sequences in a few large files, with checksums, for disks and stores slow with small ones."""
    from rich.console import Console
    from rich.progress import track

    from tectum.benchmarks import find
    from tectum.training.sharding import write_shards
    from tectum.training.videos import FolderClips

    clips = FolderClips(find(benchmark), root, split)
    console = Console(stderr=True)
    hidden = quiet or not console.is_terminal
    written = write_shards(clips, out, size << 20, restarts)
    bar = track(written, clips.name, len(clips), console=console, transient=True, disable=hidden)
    typer.echo(f"{sum(1 for _ in bar)} sequences of {clips.name} are in {out}")


def _look(benchmark: Benchmark, root: Path, names: Sequence[str], quiet: bool) -> dict[str, Finding]:
    """Checks sequences under a bar on the error stream, for disks can be slow."""
    from rich.console import Console
    from rich.progress import track

    from tectum.benchmarks.checking import check_sequences

    console = Console(stderr=True)
    hidden = quiet or not console.is_terminal
    findings = check_sequences(benchmark, root, names)
    bar = track(findings, benchmark.title, len(names), console=console, transient=True, disable=hidden)
    return {finding.name: finding for finding in bar}


def _as_text(splits: Mapping[str, Sequence[str]], findings: Mapping[str, Finding]) -> str:
    """A line per problem, each sequence named once, and a line per split; one that is not there at all is not spelt."""
    begun = [names for names in splits.values() if any(findings[name].state != "missing" for name in names)]
    told = frozenset(name for names in begun for name in names)
    alike: defaultdict[tuple[str, str], list[Finding]] = defaultdict(list)
    for finding in findings.values():
        if finding.reason and finding.name in told:
            alike[finding.state, _without_name(finding)].append(finding)
    problems = [
        f"{state}: {', '.join(each.name for each in group)}: {group[0].reason if len(group) == 1 else reason}"
        for (state, reason), group in alike.items()
    ]
    counts = [_summary(split, [findings[name] for name in names]) for split, names in splits.items()]
    return "\n".join([*problems, *counts])


def _without_name(finding: Finding) -> str:
    """What is wrong with a sequence in words that hold for others too, where paths differ in its name only."""
    parts = re.split(r"([\s/\\]+)", finding.reason)
    return "".join("NAME" if part == finding.name.rpartition("/")[2] else part for part in parts)


def _summary(split: str, findings: Sequence[Finding]) -> str:
    states = Counter(str(finding.state) for finding in findings)
    if states["missing"] == len(findings):
        return f"{split}: none of {len(findings)} sequences"
    frames = f"{sum(finding.frames for finding in findings):,}".replace(",", " ")
    there = f"{split}: {states['present']} of {len(findings)} sequences, {frames} frames"
    return f"{there}; {states['missing']} missing, {states['damaged']} damaged"


def _as_json(benchmark: str, splits: Mapping[str, Sequence[str]], findings: Mapping[str, Finding]) -> str:
    """For each split, its sequences by how they are, and for each problem its reason."""
    table = {
        split: {
            "sequences": len(names),
            "frames": sum(findings[name].frames for name in names),
            **{state: [name for name in names if findings[name].state == state] for state in _STATES},
        }
        for split, names in splits.items()
    }
    reasons = {name: finding.reason for name, finding in findings.items() if finding.reason}
    return json.dumps({"benchmark": benchmark, "splits": table, "reasons": reasons}, indent=1, ensure_ascii=False)
