"""Where the targets are in the first frame: from the command line, from a file, or drawn with the mouse."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tectum.errors import BoxError
from tectum.frames import Frame
from tectum.geometry import Box


def check_one_way(boxes: Sequence[str], file: Path | None, select: bool, source: str | None) -> None:
    """Makes sure that the targets are given in exactly one way.

    Raises:
        BoxError: if they are not; it points to a ground truth beside the recording, which is never used unasked.
    """
    ways = [bool(boxes), file is not None, select]
    if sum(ways) > 1:
        raise BoxError("Give the target in one way only: --box, --box-file or --select.")
    if any(ways):
        return
    truth = Path(source or "") / "groundtruth.txt"
    if source and truth.is_file():
        raise BoxError(f"No target is given: to start from the recording's own annotation add --box-file {truth}.")
    raise BoxError("No target is given: add --box x,y,w,h (in pixels of the first frame), --box-file or --select.")


def read_box_file(path: Path) -> tuple[list[Box], list[str]]:
    """Reads the first row of a file that is a box, which may be a whole ground truth.

    Args:
        path: a text file with `x,y,w,h` rows.

    Returns:
        A list of the one box, and a warning if it does not stand in the first row.

    Raises:
        BoxError: if the file cannot be read, its first row is no box, or no row has an area.
    """
    try:
        rows = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        cause = error.strerror if isinstance(error, OSError) else "it is not text"
        raise BoxError(f"The box file {path} cannot be read ({cause}): give a text file of x,y,w,h rows.") from None
    for number, row in enumerate(rows, start=1):
        if not row.strip():
            continue
        try:
            box = Box.parse(row)
        except BoxError as error:
            raise BoxError(f"Row {number} of the box file {path}: {error}") from None
        if all(math.isfinite(value) for value in box) and box.w > 0 and box.h > 0:
            late = f"The box is that of row {number} of {path}, the first row with one; it was used for frame 0."
            return [box], [late] if number > 1 else []
    raise BoxError(f"The box file {path} has no row with a box that has an area: write one as x,y,w,h.")


def draw_boxes(frame: Frame) -> list[Box]:
    """Lets the user draw the targets on the first frame in a window.

    Raises:
        BoxError: if there is no display, OpenCV has no windows, or nothing was drawn.
    """
    import cv2

    otherwise = "give the target with --box x,y,w,h instead"
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise BoxError(f"--select needs a display, and there is none here: {otherwise}.")
    image = next((image for image in frame.images.values() if image is not None), None)
    if image is None:
        raise BoxError("--select needs an image in the first frame, and every sense is missing there.")
    title = "Draw each target and press Enter; Esc when done"
    try:
        drawn = cv2.selectROIs(title, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), showCrosshair=False)
        cv2.destroyAllWindows()
    except cv2.error:
        raise BoxError(
            f"--select needs an OpenCV with windows, and this one is headless: "
            f"pip install opencv-python in place of opencv-python-headless, or {otherwise}."
        ) from None
    boxes = [Box.of(row) for row in drawn if row[2] > 0 and row[3] > 0]
    if not boxes:
        raise BoxError(f"No target was drawn: draw a rectangle and press Enter, or {otherwise}.")
    return boxes
