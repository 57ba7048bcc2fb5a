"""What a study has found, as tables and as JSON."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import asdict
from math import isnan
from typing import Any

from tectum.ablation.findings import Finding, Findings
from tectum.ablation.grid import Run, budget_label, counted, grouped
from tectum.ablation.statistics import DRAWS
from tectum.ablation.table import Measure, Table, Variant
from tectum.evaluation.statistics import Interval
from tectum.evaluation.typesetting import Cell, Column, Kind
from tectum.evaluation.typesetting import Table as Sheet
from tectum.training.folder import surroundings

ENOUGH = 20
"""Sequences below which a bootstrap's intervals are clearly too narrow."""


def sheets(findings: Findings) -> list[Sheet]:
    """A table of all measures side by side, where there are several, and one with the differences for each."""
    overview = [_overview(findings)] if len(findings.by_measure) > 1 else []
    return [*overview, *(_sheet(findings, measure) for measure in findings.by_measure)]


def long_sheet(findings: Findings) -> Sheet:
    """A row for every variant on every measure, for spreadsheets: in full precision, shares in [0, 1]."""
    columns = (
        *("measure", "variant", "mean", "deviation", "seeds", "difference", "p", "verdict", "sequences"),
        *("trained", "parameters", "samples", "recipe_samples"),
    )
    rows = [
        tuple(map(Cell, _long_row(findings, measure, found)))
        for measure, held in findings.by_measure.items()
        for found in held
    ]
    return Sheet(findings.table.title, tuple(Column(name) for name in columns), tuple(rows))


def findings_json(findings: Findings) -> dict[str, Any]:
    """Everything in full precision, ready for `json.dumps`: scores in [0, 1], `None` where there is none."""
    return {
        "title": findings.table.title,
        "budget": budget_label(findings.runs),
        "baseline": findings.table.baseline,
        "measures": [
            {
                "measure": measure.title,
                "benchmark": measure.benchmark,
                "split": measure.split,
                "key": measure.key,
                "says": findings.says[measure],
                "sequences": findings.sequences[measure],
                "variants": {found.variant.name: _finding_json(findings, found) for found in held},
            }
            for measure, held in findings.by_measure.items()
        ],
    }


def study_json(table: Table, runs: Sequence[Run], data: dict[str, str], devices: Sequence[str]) -> dict[str, Any]:
    """What is run, and where: enough to run it again.

    Args:
        table: with what was said on the command line.
        runs: of the table.
        data: hash of each variant's data, by its name.
        devices: of the slots.
    """
    import torch

    return {
        "table": asdict(table),
        "budget": budget_label(runs),
        "data": data,
        "host": platform.node(),
        "devices": list(devices),
        **surroundings(torch.device("cpu"), 1),
        "runs": [
            {
                "variant": run.variant.name,
                "seed": run.seed,
                "folder": "/".join(run.folder.parts[-2:]),
                "recipe": run.digest,
                "samples": run.samples,
                "recipe_samples": run.full,
            }
            for run in runs
        ],
    }


def _spread_notes(findings: Findings, measures: Sequence[Measure]) -> list[str]:
    """What to know of scores: how sure over seeds, and how they are taken."""
    several = max((len(each.spread.values) for each in _all(findings, measures)), default=0) > 1
    said = ["± is the standard deviation over seeds."] if several else []
    return [*said, *dict.fromkeys(f"{measure.place}: {findings.says[measure]}" for measure in measures)]


def _gap_notes(findings: Findings, measure: Measure) -> list[str]:
    """What to know of differences: to what they are, and how sure."""
    held = findings.by_measure[measure]
    if not any(found.gap for found in held):
        return []
    basis = f"Differences are to {findings.table.baseline}, in percentage points"
    if not any(found.has_interval for found in held):
        return [f"{basis}. One seed on one sequence gives no interval: nothing tells whether they are noise."]
    several = max(len(found.spread.values) for found in held) > 1
    over = "seeds and sequences" if several else "sequences, which says nothing of other seeds"
    fewest = findings.sequences[measure]
    return [
        f"{basis}; in brackets the 95 % interval of a bootstrap paired over {over} ({DRAWS} draws). "
        "Where it holds 0, the difference may be noise.",
        *([f"Intervals over so few sequences ({fewest}) are too narrow."] if fewest < ENOUGH else []),
    ]


def verdict(found: Finding) -> str:
    """Whether a difference is told from 0; empty where nothing tells."""
    if found.gap is None or not found.has_interval:
        return ""
    return "noise" if found.gap.noise else ("better" if found.gap.gap.value > 0 else "worse")


def _overview(findings: Findings) -> Sheet:
    measures = list(findings.by_measure)
    columns = [Column("variant"), *(Column(measure.title, Kind.SHARE) for measure in measures), *_COSTS]
    rows = []
    for variant in findings.table.variants:
        held = [_of(findings, measure, variant) for measure in measures]
        if any(held):
            scores = (_score(findings, measure, found) for measure, found in zip(measures, held, strict=True))
            rows.append((Cell(variant.name), *scores, *_costs(findings, variant)))
    said = (budget_label(findings.runs), *_lacking(findings, measures), *_spread_notes(findings, measures))
    return Sheet(f"{findings.table.title} (percent)", tuple(columns), tuple(rows), said)


def _sheet(findings: Findings, measure: Measure) -> Sheet:
    columns = (
        *(Column("variant"), Column(measure.key, Kind.SHARE), Column("by seed")),
        *(Column("difference", Kind.GAP), Column("p", Kind.CHANCE), Column("verdict"), *_COSTS),
    )
    rows = [
        (
            *(Cell(found.variant.name), _score(findings, measure, found), Cell(_singles(found))),
            *((Cell(found.gap.gap), Cell(found.gap.chance)) if found.gap else (Cell(None), Cell(None))),
            Cell(verdict(found)),
            *_costs(findings, found.variant),
        )
        for found in findings.by_measure[measure]
    ]
    title = f"{findings.table.title}: {measure.title} (percent)"
    # An overview has said the rest already.
    scores = _spread_notes(findings, [measure]) if len(findings.by_measure) == 1 else []
    said = (budget_label(findings.runs), *_lacking(findings, [measure]), *scores, *_gap_notes(findings, measure))
    return Sheet(title, columns, tuple(rows), said)


_COSTS = (Column("trained"), Column("parameters"), Column("samples"))


def _costs(findings: Findings, variant: Variant) -> tuple[Cell, ...]:
    """What a variant takes: parameters that train, all parameters, pairs seen."""
    runs = findings.runs_of(variant)
    record = next((findings.records[run.folder] for run in runs if run.folder in findings.records), None)
    counts = (None, None) if record is None else (record.trained, record.parameters)
    said = [None if count is None else f"{count / 1e6:.3g} M" for count in counts]
    return (*map(Cell, said), Cell(grouped(runs[0].samples)))


def _score(findings: Findings, measure: Measure, found: Finding | None) -> Cell:
    """Mean and deviation, the best of all marked, if it is complete."""
    if found is None:
        return Cell(None)
    mean, deviation = found.spread.mean, found.spread.deviation
    value = mean if isnan(deviation) else Interval(mean, mean - deviation, mean + deviation)
    whole = [each for each in findings.by_measure[measure] if _is_whole(findings, measure, each)]
    ranked = sorted({each.spread.mean for each in whole}, reverse=True)[:2] if len(whole) > 1 else []
    rank = ranked.index(mean) + 1 if found in whole and mean in ranked else 0
    return Cell(value, rank)


def _is_whole(findings: Findings, measure: Measure, found: Finding) -> bool:
    every_seed = len(found.spread.values) == len(findings.table.seeds)
    return every_seed and found.sequences == findings.sequences[measure]


def _singles(found: Finding) -> str:
    return " / ".join(Kind.SHARE.write(value) for value in found.spread.values.values())


def _lacking(findings: Findings, measures: Sequence[Measure]) -> list[str]:
    """Sentences on variants that lack seeds or sequences."""
    said = []
    for measure in measures:
        for variant in findings.table.variants:
            found = _of(findings, measure, variant)
            seeds = 0 if found is None else len(found.spread.values)
            if seeds < len(findings.table.seeds):
                every = counted(len(findings.table.seeds), "seed")
                said.append(f"{variant.name} has {seeds} of {every} on {measure.place}.")
            if found is not None and found.sequences < findings.sequences[measure]:
                some = f"{found.sequences} of {counted(findings.sequences[measure], 'sequence')}"
                said.append(f"{variant.name} has only {some} of {measure.place}; its scores are over these.")
    return list(dict.fromkeys(said))


def _long_row(findings: Findings, measure: Measure, found: Finding) -> tuple[str | int | float | Interval | None, ...]:
    record = next((findings.records.get(run.folder) for run in findings.runs_of(found.variant)), None)
    run = findings.runs_of(found.variant)[0]
    return (
        *(measure.title, found.variant.name, found.spread.mean, found.spread.deviation),
        " ".join(f"{seed}:{value:.6g}" for seed, value in found.spread.values.items()),
        *((found.gap.gap, found.gap.chance) if found.gap else (None, None)),
        *(verdict(found), found.sequences),
        *((record.trained, record.parameters) if record else (None, None)),
        *(run.samples, run.full),
    )


def _finding_json(findings: Findings, found: Finding) -> dict[str, Any]:
    runs = findings.runs_of(found.variant)
    gap = found.gap
    return {
        "mean": _null(found.spread.mean),
        "deviation": _null(found.spread.deviation),
        "seeds": {str(seed): _null(value) for seed, value in found.spread.values.items()},
        "sequences": found.sequences,
        "difference": gap
        and {
            "value": _null(gap.gap.value),
            "interval": [_null(gap.gap.low), _null(gap.gap.high)],
            "p": _null(gap.chance),
            "noise": gap.noise if found.has_interval else None,
            "sequences": gap.sequences,
        },
        "runs": {str(run.seed): asdict(held) for run in runs if (held := findings.records.get(run.folder))},
    }


def _all(findings: Findings, measures: Sequence[Measure]) -> list[Finding]:
    return [found for measure in measures for found in findings.by_measure[measure]]


def _of(findings: Findings, measure: Measure, variant: Variant) -> Finding | None:
    return next((found for found in findings.by_measure[measure] if found.variant == variant), None)


def _null(value: float) -> float | None:
    return None if isnan(value) else value
