"""How far success falls on world-bench when a sense drops out in every sequence, from the middle on by default.

    python -m benchmarks.missing_senses nano --splits rgbt
    python -m benchmarks.missing_senses duo-tiny=runs/duo.safetensors 'vipt-tiny=runs/vipt-{second}.safetensors'

A row per tracker and pairing of senses: SR in percent with both senses, without the second one and without RGB, and
what the loss of each costs in points, with the 95 % interval over sequences in brackets. Runs lie in `--out`; those
that are complete are not made again.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tectum.benchmarks import find
from tectum.cli.evaluate import DRAWS, evaluate
from tectum.cli.world import rendered_root
from tectum.evaluation.scoring import score
from tectum.evaluation.statistics import Interval, bootstrap
from tectum.frames import Modality
from tectum.world.bench import SPLITS

BENCH = "world-bench"
WHOLE = "whole"
PAIRINGS = {split: max(senses - {Modality.RGB}) for split, senses in SPLITS.items() if len(senses) == 2}
"""The second sense of each split that has one."""


def run(options: argparse.Namespace, tracker: str, split: str) -> dict[str, Path]:
    """Tracks a split with both senses, without the second and without RGB; returns the folder of each, in this order.

    Args:
        options: of the command line.
        tracker: `PRESET` or `PRESET=WEIGHTS`.
        split: one of `PAIRINGS`.
    """
    preset, _, weights = tracker.partition("=")
    second = PAIRINGS[split]
    place = options.out / tracker.replace("/", "_") / split / options.missing
    folders = {}
    for drop in (None, f"{second}={options.part}", f"{Modality.RGB}={options.part}"):
        name = drop or WHOLE
        folders[name] = place / name
        evaluate(
            preset,
            BENCH,
            root=options.root,
            split=split,
            out=folders[name],
            weights=Path(weights.format(second=second)) if weights else None,
            second=second,
            device=options.device,
            missing=options.missing,
            drop=[drop] if drop else None,
            strict=True,
            quiet=True,
            no_score=True,
        )
    return folders


def row(options: argparse.Namespace, tracker: str, split: str) -> str:
    """One row of the table."""
    folders = run(options, tracker, split)
    board = score(BENCH, options.root or rendered_root(find(BENCH), split), folders, split=split)
    tallies = {card.tracker: card.tally for card in board.cards}
    found = bootstrap(board.protocol, {name: tallies[name] for name in folders}, DRAWS)
    rates = [f"{100 * found.scores[name]['SR'].value:.1f}" for name in folders]
    falls = [_fall(each.gap) for each in found.differences if each.tracker == WHOLE and each.key == "SR"]
    cells = (tracker, split, str(len(board.names)), rates[0], rates[1], falls[0], rates[2], falls[1])
    return f"| {' | '.join(cells)} |"


def _fall(gap: Interval) -> str:
    return f"{100 * gap.value:.1f} [{100 * gap.low:.1f}, {100 * gap.high:.1f}]"


def main() -> None:
    """Prints a Markdown table as it comes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "trackers", nargs="+", metavar="PRESET[=WEIGHTS]", help="{second} in WEIGHTS is the second sense"
    )
    parser.add_argument("--splits", nargs="+", choices=PAIRINGS, default=list(PAIRINGS))
    parser.add_argument("--part", default="0.5-1", help="of every sequence, in which the sense is hidden, or a share")
    parser.add_argument("--missing", choices=["copy", "zero"], default="copy")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--root", type=Path, help="another folder of world-bench")
    parser.add_argument("--out", type=Path, default=Path("evaluations") / "missing_senses")
    options = parser.parse_args()
    print("| tracker | split | sequences | both senses | no second | its fall | no RGB | its fall |")
    print("| --- " * 8 + "|")
    for tracker in options.trackers:
        for split in options.splits:
            print(row(options, tracker, split), flush=True)


if __name__ == "__main__":
    main()
