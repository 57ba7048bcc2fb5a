"""`tectum track`: follow targets through any recording."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tectum.frames import Modality, Recording


def track(
    source: Annotated[
        str | None,
        typer.Argument(
            help="A folder of images, a folder with one sub-folder per sense, a video, a camera's number or a URL.",
            show_default=False,
        ),
    ] = None,
    rgb: Annotated[str | None, typer.Option(metavar="PATH", help="Where colour images come from.")] = None,
    thermal: Annotated[str | None, typer.Option(metavar="PATH", help="Where thermal images come from.")] = None,
    depth: Annotated[str | None, typer.Option(metavar="PATH", help="Where depth images come from.")] = None,
    event: Annotated[str | None, typer.Option(metavar="PATH", help="Where event images come from.")] = None,
    box: Annotated[
        list[str] | None, typer.Option(metavar="X,Y,W,H", help="A target in the first frame; repeat it for several.")
    ] = None,
    box_file: Annotated[
        Path | None, typer.Option(help="A file whose first valid x,y,w,h row is the target, such as a ground truth.")
    ] = None,
    select: Annotated[bool, typer.Option("--select", help="Draw the targets in a window.")] = False,
    out: Annotated[Path, typer.Option(help="The folder for results files.")] = Path("results"),
    video: Annotated[
        Path | None, typer.Option(help="Also write an MP4 with the boxes drawn: a file, or a folder that exists.")
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="Which tracker.", show_default="nano, or the one that the weights are of")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="A weights file, or the folder of a training, instead of the bundled one.")
    ] = None,
    second: Annotated[
        str | None,
        typer.Option(metavar="thermal|depth|event", help="The sense beside RGB; by default the recording's."),
    ] = None,
    device: Annotated[str, typer.Option(help="Where to compute: cpu, cuda, cuda:1 and so on.")] = "cpu",
    missing: Annotated[
        str, typer.Option(metavar="copy|zero|stop", help="What to do in a frame that lacks a sense.")
    ] = "copy",
    align: Annotated[Path | None, typer.Option(help="A file that lays the other sensors over RGB.")] = None,
    render: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="How raw sensors become images, such as depth.color_map=gray; repeat."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only warnings and errors.")] = False,
) -> None:
    """Follow one target, or several, through a recording and write a box per frame."""
    from tectum.cli.boxes import check_one_way, read_box_file
    from tectum.cli.rendering import read_renderings
    from tectum.cli.running import Run
    from tectum.face import load
    from tectum.geometry import Box
    from tectum.sources import open_recording

    check_one_way(box or [], box_file, select, source)
    boxes, warnings = [Box.parse(each) for each in box or []], list[str]()
    if box_file is not None:
        boxes, warnings = read_box_file(box_file)
    looks = read_renderings(render or [])
    sources = _sources(source, rgb, thermal, depth, event)
    recording = open_recording(sources, depth=looks.depth, thermal=looks.thermal, alignment=align)
    tracker = load(preset, weights, second or _beside_rgb(recording, weights), device, missing)
    run = Run(tracker, recording, out, video, quiet)
    try:
        run.go(boxes)
    finally:
        run.report([*warnings, *recording.warnings])


def _sources(source: str | None, *given: str | None) -> str | dict[Modality, str]:
    """What to open: one source, or one for each sense; a source beside `--thermal` and the like is RGB."""
    from tectum.errors import SourceError
    from tectum.frames import Modality

    by_sense = {sense: path for sense, path in zip(Modality, given, strict=True) if path is not None}
    if source is None and not by_sense:
        raise SourceError("There is nothing to track in: name a folder, a video, a camera or a URL, or use --rgb.")
    if source is not None and Modality.RGB in by_sense:
        raise SourceError(f"Both {source} and --rgb {by_sense[Modality.RGB]} are given: leave one of them out.")
    if source is None:
        return by_sense
    return {Modality.RGB: source, **by_sense} if by_sense else source


def _beside_rgb(recording: Recording, weights: Path | None) -> Modality | None:
    """What to see beside RGB: of what the recording shows, the sense that the weights were saved for goes first."""
    from tectum.weights.files import second_for

    saved = None if weights is None else second_for(weights)
    return saved if saved in recording.senses else shown_beside_rgb(recording)


def shown_beside_rgb(recording: Recording) -> Modality | None:
    """The first sense of a recording beside RGB, if it has one."""
    from tectum.frames import Modality

    return next((sense for sense in Modality if sense in recording.senses and sense is not Modality.RGB), None)
