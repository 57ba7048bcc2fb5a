"""`tectum world`: procedural sequences on disk, and sheets that show them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tectum.benchmarks.base import Benchmark
    from tectum.frames import Modality
    from tectum.geometry import Image
    from tectum.world.scene import Scene

world = typer.Typer(no_args_is_help=True, help="Render procedural scenes whose truth is known.")


@world.command("render")
def render(
    out: Annotated[Path, typer.Option(help="The folder for the sequences.")],
    count: Annotated[int, typer.Option(min=1, help="How many sequences.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="Of the first sequence; the others follow it.")] = 0,
    senses: Annotated[str, typer.Option(help="rgb and any of thermal, depth, event, with commas between; or all.")] = (
        "rgb,thermal"
    ),
    length: Annotated[int, typer.Option(min=1, help="Frames in a sequence.")] = 100,
    size: Annotated[str, typer.Option(metavar="WIDTHxHEIGHT", help="Of the images in pixels.")] = "480x360",
    layout: Annotated[
        str, typer.Option(metavar="plain|lasher|depthtrack|visevent", help="Whose layout of files.")
    ] = "plain",
    pictures: Annotated[
        Path | None, typer.Option(help="A folder of real images for backgrounds and surfaces.", show_default=False)
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
) -> None:
    """Write sequences in a benchmark's layout; started again, it continues where it was ended."""
    from tectum.world.layouts import known_layout, write_scene
    from tectum.world.scene import Scene

    wanted, pixels = _senses(senses), _size(size)
    known_layout(layout, wanted)
    real = _pictures(pictures)
    with _bar(count * length, quiet) as advance:
        for each in range(seed, seed + count):
            scene = Scene.random(each, length, pixels, wanted, real)
            if (out / scene.name).exists():
                advance(length)
                continue
            write_scene(out, scene, layout, lambda: advance(1))
    typer.echo(f"In {out}: {count} sequences of {length} frames")


@world.command("bench")
def bench(
    out: Annotated[
        Path | None, typer.Option(help="The folder for the benchmark.", show_default="a folder of the cache")
    ] = None,
    split: Annotated[
        list[str] | None,
        typer.Option(metavar="rgb|rgbt|rgbd|rgbe|rgbl|all", help="Which; may be given again; all if not."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
) -> None:
    """Render world-bench, sixty fixed sequences; what is there already is kept."""
    from tectum.world.bench import ALL, bench_folder, chosen_splits

    splits = tuple(each for name in split or [ALL] for each in chosen_splits(name))
    typer.echo(f"world-bench: {_rendered(out or bench_folder(), splits, quiet)}")


@world.command("show")
def show(
    out: Annotated[Path, typer.Option(help="The picture to write, a PNG.")] = Path("sheet.png"),
    seed: Annotated[int, typer.Option(min=0, help="Which scene.")] = 0,
    senses: Annotated[str, typer.Option(help="rgb, thermal, depth, event with commas between; or all.")] = "all",
    length: Annotated[int, typer.Option(min=1, help="Frames in the scene.")] = 100,
    size: Annotated[str, typer.Option(metavar="WIDTHxHEIGHT", help="Of the images in pixels.")] = "480x360",
    frames: Annotated[int, typer.Option(min=1, help="How many frames to show.")] = 6,
    pictures: Annotated[
        Path | None, typer.Option(help="A folder of real images for backgrounds and surfaces.", show_default=False)
    ] = None,
) -> None:
    """Draw a contact sheet of a scene: frames in all senses with the target's box and what makes them hard."""
    import numpy as np

    from tectum.evaluation.report import ContactSheet
    from tectum.world.scene import Scene

    scene = Scene.random(seed, length, _size(size), _senses(senses), _pictures(pictures))
    sheet = ContactSheet(columns=1, tile_width=min(2000, scene.size[0] * len(scene.senses)))
    for index in np.unique(np.linspace(0, length - 1, frames).round().astype(int)).tolist():
        sheet.add(_drawn(scene, index), _caption(scene, index))
    typer.echo(f"{scene.name}: {scene.text}")
    typer.echo(f"attributes: {' '.join(sorted(scene.attributes))}")
    typer.echo(f"In {sheet.save(out)}")


def rendered_root(benchmark: Benchmark, split: str | None, quiet: bool = False) -> Path | None:
    """The folder of a benchmark that needs no download, once a split is rendered there; `None` for all others.

    Args:
        benchmark: any.
        split: which sequences; all by default.
        quiet: whether to show no progress bar.

    Raises:
        UnknownNameError: if there is no such split.
        BenchmarkError: if the files cannot be written.
    """
    from tectum.benchmarks.worldbench import WorldBench
    from tectum.world.bench import bench_folder, chosen_splits

    return _rendered(bench_folder(), chosen_splits(split), quiet) if isinstance(benchmark, WorldBench) else None


def _rendered(root: Path, splits: tuple[str, ...], quiet: bool) -> Path:
    """Renders what a folder lacks of some splits of world-bench, behind a bar, and returns the folder."""
    from tectum.world.bench import LENGTH, missing, render_bench

    with _bar(LENGTH * sum(1 for _ in missing(root, splits)), quiet) as advance:
        return render_bench(root, splits, lambda: advance(1))


def _drawn(scene: Scene, index: int) -> Image:
    from tectum.evaluation.drawing import draw_estimates
    from tectum.geometry import Box

    return draw_estimates(scene.frame(index), [], [Box.of(scene.boxes[index])])


def _caption(scene: Scene, index: int) -> str:
    from tectum.world.labels import LABELS

    held = [name for name, holds in zip(LABELS, scene.labels[index], strict=True) if holds]
    return f"{scene.name} frame {index}   {scene.text}   {' '.join(held)}"


def _senses(text: str) -> frozenset[Modality]:
    from tectum.frames import Modality

    if text.strip().lower() == "all":
        return frozenset(Modality)
    return frozenset(Modality.of(word.strip()) for word in text.split(",") if word.strip())


def _size(text: str) -> tuple[int, int]:
    """Reads `480x360`.

    Raises:
        UnknownNameError: if it is not two numbers of at least 64.
    """
    from tectum.errors import UnknownNameError

    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal() and min(int(width), int(height)) >= 64):
        raise UnknownNameError(f"'{text}' is no size: write width and height, at least 64 pixels, as 480x360.")
    return int(width), int(height)


def _pictures(folder: Path | None) -> tuple[Image, ...]:
    if folder is None:
        return ()
    from tectum.sources.folders import list_images
    from tectum.sources.images import read_image
    from tectum.sources.rendering import eight_bit, three_channels

    return tuple(three_channels(eight_bit(read_image(path))) for path in list_images(folder))


@contextmanager
def _bar(frames: int, quiet: bool) -> Iterator[Callable[[int], None]]:
    """A bar over frames; gives the function that tells it of progress."""
    from tectum.cli.progress import frames_bar

    begun, done = time.perf_counter(), 0
    with frames_bar(quiet) as bar:
        task = bar.add_task("rendering", total=frames, speed=0.0)

        def advance(number: int) -> None:
            nonlocal done
            done += number
            bar.update(task, advance=number, speed=done / max(time.perf_counter() - begun, 1e-9))

        yield advance
