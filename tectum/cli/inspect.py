"""`tectum inspect`: look into a system while it tracks, and into what its training depends on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    import torch

    from tectum.geometry import Box
    from tectum.inspection.sensitivity import Tuned
    from tectum.sources.recording import StreamRecording
    from tectum.systems.base import Batch, System
    from tectum.training.batches import Batches
    from tectum.training.recipe import Recipe

USUAL = "recording"
"""The command that is meant where none is named."""


class Inspections(TyperGroup):
    """Takes `tectum inspect bus` for `tectum inspect recording bus`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Reads the group's own arguments."""
        if args and args[0] not in (*self.commands, *ctx.help_option_names):
            args = [USUAL, *args]
        return super().parse_args(ctx, args)


inspect = typer.Typer(
    cls=Inspections, no_args_is_help=True, help="Look into systems: pictures and arrays of what they do."
)


@inspect.command(USUAL)
def recording(
    source: Annotated[
        str, typer.Argument(help="A folder of images, a folder with one sub-folder per sense, or a video.")
    ],
    box: Annotated[
        str | None, typer.Option(metavar="X,Y,W,H", help="The target in the first frame.", show_default=False)
    ] = None,
    box_file: Annotated[
        Path | None, typer.Option(help="A file whose first valid x,y,w,h row is the target, such as a ground truth.")
    ] = None,
    preset: Annotated[str, typer.Option(help="Which tracker.")] = "nano",
    weights: Annotated[Path | None, typer.Option(help="A weights file instead of the bundled one.")] = None,
    against: Annotated[
        str | None,
        typer.Option(metavar="FILE|PRESET", help="Weights to compare with, such as those before distillation."),
    ] = None,
    second: Annotated[
        str | None, typer.Option(metavar="SENSE", help="The sense beside RGB; by default the recording's.")
    ] = None,
    frame: Annotated[
        list[int] | None, typer.Option(min=1, help="A frame to look into, counted from 0; repeat it for several.")
    ] = None,
    frames: Annotated[int, typer.Option(min=1, help="How many to look into, evenly spread, where none is named.")] = 3,
    out: Annotated[Path, typer.Option(help="The folder for pictures and arrays.")] = Path("inspection"),
    device: Annotated[str, typer.Option(help="Where to compute: cpu, cuda, cuda:1 and so on.")] = "cpu",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only warnings and errors.")] = False,
) -> None:
    """Draw scores, attention, elimination and features of a system in some frames of a recording."""
    from tectum.cli.track import shown_beside_rgb
    from tectum.face import load
    from tectum.inspection.inspection import inspect as look_into
    from tectum.sources import open_recording

    boxes, warnings = _target(source, box, box_file)
    opened = open_recording(source)
    sense = second or shown_beside_rgb(opened)
    wanted = _wanted(opened, frame, frames)
    chosen = [Choice(preset, weights), *([_other(against, preset)] if against else [])]
    trackers = [load(each.preset, each.weights, sense, device) for each in chosen]
    with _bar(opened.name, max(wanted), quiet) as advance:
        inspection = look_into(trackers, _names(chosen), opened, boxes[0], wanted, advance)
    paths = inspection.write(out)
    for warning in (*warnings, *opened.warnings, *inspection.left_out):
        typer.echo(f"warning: {warning}", err=True)
    for path in () if quiet else paths:
        typer.echo(f"In {path}")


@inspect.command()
def sensitivity(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe that ships with Tectum, or a YAML file.")],
    settings: Annotated[
        list[str] | None, typer.Argument(help="Settings that replace the recipe's, such as batch.group=16.")
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(help="Tuned weights, or a run's folder for its last ones, to compare with the initial weights."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder that holds the real data which the recipe names.", show_default=False)
    ] = None,
    pairs: Annotated[int, typer.Option(min=1, help="How many of the recipe's first pairs, in whole groups.")] = 64,
    out: Annotated[Path, typer.Option(help="The folder for pictures and arrays.")] = Path("inspection"),
    device: Annotated[str, typer.Option(help="Where to compute: cpu, cuda, cuda:1 and so on.")] = "cpu",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only warnings and errors.")] = False,
) -> None:
    """Draw how much the training loss depends on each parameter, before tuning and after."""
    import torch

    from tectum.cli.initial import initial_system, named_weights
    from tectum.inspection.sensitivity import compare
    from tectum.inspection.sensitivity_sheets import lines, write
    from tectum.tracking.session import usable_device
    from tectum.training.optim import choose_rates
    from tectum.training.recipe_file import read_recipe
    from tectum.weights.files import options_for

    chosen, where, file = read_recipe(recipe, settings), usable_device(device), _last(weights) if weights else None
    if file is not None:
        chosen = replace(chosen, options={**options_for(file), **chosen.options})
    torch.manual_seed(chosen.seed)
    system = initial_system(chosen, named_weights(chosen, data))
    choose_rates(system, chosen.optim.rates)
    tuned = _tuned(chosen, file) if file else None
    batches = _first_batches(chosen, system, data, pairs, where)
    senses = " and ".join(system.senses)
    names = f"{chosen.system} on {senses}", chosen.initial.weights or "random weights"
    with _batches_bar(len(batches) * (2 if tuned else 1), quiet) as advance:
        found = compare(system.to(where), names, batches, tuned, advance)
    paths = write(found, out)
    for line in () if quiet else (*lines(found), *(f"In {path}" for path in paths)):
        typer.echo(line)


def _last(path: Path) -> Path:
    """The weights with which a run ended, if it is the folder of one."""
    from tectum.training.folder import RunFolder

    return RunFolder(path).last if path.is_dir() else path


def _tuned(recipe: Recipe, file: Path) -> Tuned:
    """The weights that a recipe left."""
    from tectum.inspection.sensitivity import Tuned
    from tectum.weights import load

    return Tuned(_name(file), load(recipe.system, file, recipe.second, recipe.options).state_dict())


@dataclass(frozen=True)
class _FirstBatches:
    """The first pairs that a training sees, a batch for each group that it draws, with the loss of the training's end.

    They are made on the CPU, so that they are the same on any device, and one at a time, however often they are gone
    through.

    Attributes:
        groups: all of the training.
        count: how many of them.
        elimination: how far that of candidates is warmed up.
        device: where they are needed.
    """

    groups: Batches
    count: int
    elimination: float | None
    device: torch.device

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Batch]:
        for raw in map(self.groups.__getitem__, range(self.count)):
            if raw is not None:
                yield replace(raw.batch(self.device, 1.0), elimination=self.elimination)


def _first_batches(
    recipe: Recipe, system: System, data: Path | None, pairs: int, device: torch.device
) -> _FirstBatches:
    """So many pairs, in whole groups, or all that there are."""
    import torch

    from tectum.training.batches import Batches, Division
    from tectum.training.loop import sense_draw, usable_crops
    from tectum.training.materials import open_mixture
    from tectum.training.optim import elimination_at

    size, group = recipe.batch.size, recipe.batch.group
    groups = Batches(
        open_mixture(recipe, data, torch.device("cpu")),
        Division(size, group, passes=-(-size // group)),
        *(sense_draw(system, recipe), usable_crops(system, recipe), recipe.seed, recipe.batches),
    )
    return _FirstBatches(groups, min(-(-pairs // group), len(groups)), elimination_at(recipe.batches, recipe), device)


@contextmanager
def _batches_bar(batches: int, quiet: bool) -> Iterator[Callable[[], None]]:
    """A bar over batches; gives the function that tells it of one more."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task("gradients", total=batches)
        yield lambda: bar.advance(task)


@dataclass(frozen=True)
class Choice:
    """A system that is looked into: its preset, and its weights if they are not the bundled ones."""

    preset: str
    weights: Path | None = None


def _target(source: str, box: str | None, box_file: Path | None) -> tuple[list[Box], list[str]]:
    """The one target, and warnings about it."""
    from tectum.cli.boxes import check_one_way, read_box_file
    from tectum.geometry import Box

    check_one_way([box] if box else [], box_file, False, source)
    return read_box_file(box_file) if box_file is not None else ([Box.parse(box or "")], [])


def _wanted(recording: StreamRecording, named: list[int] | None, count: int) -> list[int]:
    """The frames to look into, ascending.

    Raises:
        SourceError: if none is named and the recording does not say how long it is, or it has one frame only.
    """
    from tectum.errors import SourceError

    if named:
        return sorted(set(named))
    if recording.length is None or recording.length < 2:
        raise SourceError(f"Frames of {recording.name} cannot be chosen by its length: name one with --frame.")
    last = recording.length - 1
    steps = [1 + round(place * (last - 1) / max(count - 1, 1)) for place in range(count)]
    return sorted(set(steps if count > 1 else [1 + last // 2]))


def _other(against: str, preset: str) -> Choice:
    """What to compare with: a weights file, of the preset that it names or else the same one, or a preset."""
    from tectum.weights.checkpoints import readable
    from tectum.weights.files import FORMAT, read_metadata

    if not Path(against).suffix and not Path(against).is_dir():
        return Choice(against)
    path = readable(against)
    return Choice(read_metadata(path).get(FORMAT, preset), path)


def _names(chosen: Sequence[Choice]) -> list[str]:
    """Systems by their presets, or by their weights where presets do not tell them apart."""
    presets = [each.preset for each in chosen]
    if len(set(presets)) == len(presets):
        return presets
    return [
        preset if each.weights is None else _name(each.weights) for preset, each in zip(presets, chosen, strict=True)
    ]


def _name(weights: Path) -> str:
    return f"{weights.resolve().parent.name}/{weights.stem}"


@contextmanager
def _bar(name: str, frames: int, quiet: bool) -> Iterator[Callable[[], None]]:
    """A bar over frames; gives the function that tells it of one more."""
    from tectum.cli.progress import frames_bar

    begun, done = time.perf_counter(), 0
    with frames_bar(quiet) as bar:
        task = bar.add_task(name, total=frames, speed=0.0)

        def advance() -> None:
            nonlocal done
            done += 1
            bar.update(task, advance=1, speed=done / max(time.perf_counter() - begun, 1e-9))

        yield advance
