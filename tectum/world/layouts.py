"""Scenes on disk, in the layouts of benchmarks."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from tectum.errors import BenchmarkError, UnknownNameError
from tectum.frames import Modality
from tectum.world.events import Events, accumulated, in_order
from tectum.world.labels import LABELS
from tectum.world.scene import Scene

QUALITY = 90
"""Of JPEG files."""

Picture = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
"""An RGB image `H×W×3` of 8 bit, or millimetres `H×W` of 16 bit."""


@dataclass(frozen=True)
class Layout:
    """Where a benchmark keeps the files of a sequence.

    Attributes:
        name: for the command line.
        folders: the folder of each sense.
        pattern: of file names without their suffix, to be formatted with the number of the frame from 0.
        annotate: writes the annotations into the sequence's folder.
    """

    name: str
    folders: Mapping[Modality, str]
    pattern: Callable[[int], str]
    annotate: Callable[[Path, Scene], None]


def write_scene(root: Path, scene: Scene, layout: str = "plain", advanced: Callable[[], None] | None = None) -> Path:
    """Renders a scene into `ROOT/NAME`, unless it is there already.

    It is written under a hidden name first, so that an interrupted write is never taken for a sequence. Depth is
    stored as 16-bit PNG in millimetres, events as images and, in `events.npz`, as the stream `t, x, y, p`; what each
    frame is labelled with is in `labels.csv`.

    Args:
        root: the folder of all sequences; it is made where it is missing.
        scene: what to render, in its senses.
        layout: one of `LAYOUTS`.
        advanced: called after each frame.

    Returns:
        The folder of the sequence.

    Raises:
        UnknownNameError: if there is no such layout, or it has no place for one of the senses.
        BenchmarkError: if the files cannot be written.
    """
    chosen = known_layout(layout, scene.senses)
    folder, partial = root / scene.name, root / f".{scene.name}.partial"
    if folder.exists():
        return folder
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        _write_frames(partial, scene, chosen, advanced)
        chosen.annotate(partial, scene)
        _write_labels(partial / "labels.csv", scene)
        return partial.rename(folder)
    except OSError as error:
        raise BenchmarkError(f"Scene {scene.name} cannot be written to {root} ({error.strerror}).") from None


def known_layout(name: str, senses: frozenset[Modality]) -> Layout:
    """The layout of a name, if it has a place for all senses.

    Raises:
        UnknownNameError: if not, or if RGB, by which frames are counted, is not among the senses.
    """
    if name not in LAYOUTS:
        raise UnknownNameError(f"There is no layout '{name}': use one of {', '.join(LAYOUTS)}.")
    layout = LAYOUTS[name]
    if Modality.RGB not in senses or not senses <= set(layout.folders):
        held = ", ".join(layout.folders)
        raise UnknownNameError(f"The layout {name} holds {held}, RGB always, but {sorted(senses)} were asked for.")
    return layout


def _write_frames(folder: Path, scene: Scene, layout: Layout, advanced: Callable[[], None] | None) -> None:
    shown = Scene(scene.script, scene.senses & {Modality.RGB, Modality.THERMAL}, scene.painter.pictures)
    streams: list[Events] = []
    for sense in scene.senses:
        (folder / layout.folders[sense]).mkdir()
    for index in range(scene.length):
        pictures: dict[Modality, Picture] = {
            sense: image for sense, image in shown.frame(index).images.items() if image is not None
        }
        if Modality.DEPTH in scene.senses:
            pictures[Modality.DEPTH] = shown.depth(index)
        if Modality.EVENT in scene.senses:
            streams.append(shown.events(index))
            pictures[Modality.EVENT] = accumulated(streams[-1], scene.size)
        for sense, picture in pictures.items():
            _write_picture(folder / layout.folders[sense] / layout.pattern(index), picture, sense)
        if advanced is not None:
            advanced()
    if streams:
        whole = in_order(streams)
        np.savez_compressed(folder / "events.npz", t=whole["t"], x=whole["x"], y=whole["y"], p=whole["p"])


def _write_picture(stem: Path, picture: Picture, sense: Modality) -> None:
    """Stores measurements and drawn events exactly, what cameras show as JPEG."""
    exact = sense in (Modality.DEPTH, Modality.EVENT)
    stored = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR) if picture.ndim == 3 else picture
    options = [] if exact else [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    suffix = ".png" if exact else ".jpg"
    stem.with_suffix(suffix).write_bytes(cv2.imencode(suffix, stored, options)[1].tobytes())


def _write_labels(path: Path, scene: Scene) -> None:
    rows = [",".join(LABELS), *(",".join("01"[value] for value in row) for row in scene.labels.astype(int).tolist())]
    path.write_text("".join(f"{row}\n" for row in rows))


def _box_lines(boxes: npt.NDArray[np.float64], absent: str) -> str:
    """One line `x,y,w,h` of whole numbers for each box."""
    lines = [",".join(f"{value:.0f}" for value in box) for box in boxes.tolist()]
    return "".join(f"{absent if 'nan' in line else line}\n" for line in lines)


def _annotate_plain(folder: Path, scene: Scene) -> None:
    meta = {"attributes": sorted(scene.attributes), "language": scene.text}
    (folder / "meta.json").write_text(json.dumps(meta, indent=1) + "\n", "utf-8")
    (folder / "groundtruth.txt").write_text(_box_lines(scene.boxes, "nan,nan,nan,nan"))


def _annotate_lasher(folder: Path, scene: Scene) -> None:
    for name in ("init.txt", "visible.txt", "infrared.txt"):
        (folder / name).write_text(_box_lines(scene.boxes, "0,0,0,0"))


def _annotate_depthtrack(folder: Path, scene: Scene) -> None:
    (folder / "groundtruth.txt").write_text(_box_lines(scene.boxes, "nan,nan,nan,nan"))


def _annotate_visevent(folder: Path, scene: Scene) -> None:
    (folder / "groundtruth.txt").write_text(_box_lines(scene.boxes, "0,0,0,0"))
    present = np.isfinite(scene.boxes[:, 0])
    (folder / "absent_label.txt").write_text("".join(f"{each}\n" for each in present.astype(int).tolist()))


LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        Layout("plain", {sense: sense.value for sense in Modality}, lambda index: f"{index + 1:06d}", _annotate_plain),
        Layout(
            "lasher",
            {Modality.RGB: "visible", Modality.THERMAL: "infrared"},
            lambda index: f"{index + 1:06d}",
            _annotate_lasher,
        ),
        Layout(
            "depthtrack",
            {Modality.RGB: "color", Modality.DEPTH: "depth"},
            lambda index: f"{index + 1:08d}",
            _annotate_depthtrack,
        ),
        Layout(
            "visevent",
            {Modality.RGB: "vis_imgs", Modality.EVENT: "event_imgs"},
            lambda index: f"frame{index:04d}",
            _annotate_visevent,
        ),
    )
}
"""The layouts that scenes can be written in."""
