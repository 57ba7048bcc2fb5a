"""`tectum weights`: what systems hold, and what they cost."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from tectum.weights.cost import Cost, Macs
    from tectum.weights.published_costs import PublishedCost

weights = typer.Typer(no_args_is_help=True, help="Look into systems and their weights.")

WIDTH = 78
"""Columns of the printed table."""

IN_LAYERS = (
    "of linear layers, convolutions and batch norms alone, as papers count; learned positions, layer norms and "
    "products of features with features, such as attention's, are left out"
)
"""What the second column holds."""


@weights.command("list")
def presets() -> None:
    """List all presets: which come with Tectum, whose published checkpoints they open, and which recipes train them."""
    from rich.console import Console
    from rich.table import Table

    from tectum.weights.origins import origins

    table = Table(box=None, header_style="")
    for heading in ("preset", "comes with Tectum for", "published checkpoint of", "recipes"):
        table.add_column(heading, no_wrap=heading == "preset", overflow="fold")
    for each in origins():
        table.add_row(each.preset, ", ".join(each.bundled), each.published, ", ".join(each.recipes))
    Console(highlight=False).print(table)


@weights.command("info")
def info(
    preset: Annotated[str, typer.Argument(help="Which system, such as bat-b256.")],
    second: Annotated[
        str, typer.Option(metavar="thermal|depth|event", help="The sense beside RGB, for systems that take one.")
    ] = "thermal",
    as_json: Annotated[bool, typer.Option("--json", help="Print all digits as JSON.")] = False,
) -> None:
    """Count a system's parameters and multiply-accumulates, beside what is published; no weights are needed."""
    from tectum.weights.cost import cost
    from tectum.weights.published_costs import PUBLISHED_COSTS

    counted, published = cost(preset, second), PUBLISHED_COSTS.get(preset)
    if as_json:
        typer.echo(json.dumps(_record(preset, counted, published), indent=1, ensure_ascii=False))
        return
    for line in _lines(preset, counted, published):
        typer.echo(line)


def _lines(preset: str, cost: Cost, published: PublishedCost | None) -> Iterator[str]:
    yield f"{preset} on {', '.join(cost.senses)}"
    yield ""
    yield _cells("", "in all", "in layers", *(("published", "difference") if published else ()))
    yield _row(
        "parameters, millions", 1e6, cost.parameters, cost.in_layers, published.parameters if published else None
    )
    yield _row("  that train", 1e6, cost.trainable, None, published.trainable if published else None)
    yield _row("  that stay frozen", 1e6, cost.frozen)
    yield "multiply-accumulates, billions"
    for name, macs in _passes(cost):
        stands = published is not None and published.counterpart(cost) == macs
        yield _row(f"  {name}", 1e9, macs.total, macs.layers, published.macs if published and stands else None)
    yield ""
    yield from _paragraph("in layers", IN_LAYERS)
    if published is not None:
        yield from _paragraph("published", published.source)
    if published is not None and published.note:
        yield from _paragraph("differs", published.note)


def _passes(cost: Cost) -> tuple[tuple[str, Macs], ...]:
    """What is counted, with its name."""
    tracking = ("taking up a target, once", cost.target), ("finding it, each frame", cost.frame)
    joint = ("both in one, as published", cost.joint)
    return (*tracking, joint, ("  with all candidates", cost.unpruned)) if cost.eliminates else (*tracking, joint)


def _row(name: str, unit: float, whole: int, layers: int | None = None, published: float | None = None) -> str:
    """A row whose published figure is compared with the last of our counts."""
    cells = [f"{whole / unit:.3f}", "" if layers is None else f"{layers / unit:.3f}"]
    if published is not None:
        ours = whole if layers is None else layers
        cells += [f"{published / unit:g}", f"{100 * (ours / published - 1):+.1f} %"]
    return _cells(name, *cells)


def _cells(name: str, *cells: str) -> str:
    return f"{name:<30}{''.join(f'{cell:>12}' for cell in cells)}".rstrip()


def _paragraph(name: str, text: str) -> list[str]:
    return textwrap.wrap(f"{name}: {text}", WIDTH, subsequent_indent=" " * (len(name) + 2))


def _record(preset: str, cost: Cost, published: PublishedCost | None) -> dict[str, Any]:
    from dataclasses import asdict

    passes = {"target": cost.target, "frame": cost.frame, "joint": cost.joint, "unpruned": cost.unpruned}
    return {
        "preset": preset,
        "senses": list(cost.senses),
        "parameters": {
            "all": cost.parameters,
            "in_layers": cost.in_layers,
            "trainable": cost.trainable,
            "frozen": cost.frozen,
        },
        "macs": {name: {"all": macs.total, "in_layers": macs.layers} for name, macs in passes.items()},
        "published": asdict(published) if published is not None else None,
    }
