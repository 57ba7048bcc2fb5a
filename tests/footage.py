"""Made-up recordings whose target is known by its look: a bright square on dark noise."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

SIDE = 24
"""Of the target in pixels."""


def place(frame: int) -> tuple[int, int]:
    """Where the target's left top corner is."""
    return 20 + 4 * frame, 40 + (frame % 3)


def ground(seed: int, size: tuple[int, int]) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return cv2.resize(rng.integers(0, 70, (size[1] // 8, size[0] // 8), np.uint8), size)


def write_lasher(root: Path, name: str, frames: int = 8, absent: int | None = None, ending: str = "jpg") -> Path:
    """A sequence in LasHeR's layout: the target is white in RGB and light grey in thermal."""
    folder, lines = root / name, []
    for kind, value in (("visible", 255), ("infrared", 200)):
        (folder / kind).mkdir(parents=True)
        for frame in range(frames):
            image = ground(frame, (160, 120))
            x, y = place(frame)
            image[y : y + SIDE, x : x + SIDE] = value
            cv2.imwrite(str(folder / kind / f"{kind[0]}{frame:03d}.{ending}"), cv2.merge([image] * 3))
    for frame in range(frames):
        x, y = place(frame)
        lines.append(f"{x},{y},0,0" if frame == absent else f"{x},{y},{SIDE},{SIDE}")
    (folder / "visible.txt").write_text("\n".join(lines) + "\n")
    return folder


def found(image: np.ndarray, least: int = 140) -> list[float]:
    """Corners of what is bright in a crop."""
    rows, columns = np.nonzero(image[..., 1] > least)
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
