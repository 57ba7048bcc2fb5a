"""What makes each frame hard, under the benchmarks' own names, from the true state of the scene.

Numbers are those of the benchmarks' papers where they give any: OTB (Wu, Lim, Yang, CVPR 2013), LaSOT (Fan et al.,
CVPR 2019), RGBT234 (Li et al., Pattern Recognition 2019), LasHeR (Li et al., TIP 2022) and VisEvent (Wang et al.,
2023). What they leave to the annotator's eye has a number here; both are in `DEFINITIONS`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from tectum.geometry import Box
from tectum.world.canvas import Canvas
from tectum.world.painting import Painter
from tectum.world.surfaces import Plane

DEFINITIONS = {
    "LI": "low illumination: less than 0.12 of the light that shows white as white falls on the target",
    "OE": "over-exposure: glare or light of 0.45 and more is added to the target, or more than 1.6 falls on it",
    "TC": "thermal crossover: half of the target's contrast has gone, or it is within 1.2 degrees of what is around it",
    "PO": "partial occlusion: a tenth of the target in the view or more is hidden (LasHeR: partially)",
    "FO": "full occlusion: no more than 5 % of the target in the view is seen (LaSOT, LasHeR: fully)",
    "OV": "out of view: no more than 5 % of the target is in the view (LaSOT: it leaves completely)",
    "SA": "similar appearance: a thing of the same kind is within three of the target's sizes (LasHeR: nearby)",
    "MB": "motion blur: while the shutter is open the target moves by 3 pixels and a tenth of its size or more",
    "FM": "fast motion: the target's middle moves by more than 20 pixels between frames (OTB, RGBT234)",
    "SV": "scale variation: the box's area over the first box's is outside [0.5, 2] (LaSOT, LasHeR)",
    "ARC": "aspect ratio change: the box's aspect over the first box's is outside [0.5, 2] (LaSOT, LasHeR)",
    "LR": "low resolution: the box has fewer than 400 square pixels (OTB, LasHeR)",
    "BC": "background clutter: colours around differ from the target's mean by less than 0.12 of the range",
    "CM": "camera motion: what is behind the target moves by more than 3 pixels between frames",
    "DEF": "deformation: the target's outline changes by itself",
}
"""Each label with the number that decides."""

LABELS = tuple(DEFINITIONS)
"""The labels in the order of the columns of `Truth.labels`."""

LEAST_SEEN = 0.05
"""Share of the target that must be seen for a box to be annotated."""

COARSE = 0.25
"""Scale at which light, temperatures and colours about the target are looked at."""


@dataclass(frozen=True)
class Truth:
    """What is known of the target.

    Attributes:
        boxes: `N×4`, the extent of what is seen of the target in the view; `nan` where less than a twentieth of it is.
        seen: `N`, share of the target in the view that nothing hides.
        inside: `N`, share of the target that is in the view.
        labels: `N×A`, whether each of `LABELS` holds.
    """

    boxes: npt.NDArray[np.float64]
    seen: npt.NDArray[np.float64]
    inside: npt.NDArray[np.float64]
    labels: npt.NDArray[np.bool_]

    @property
    def attributes(self) -> frozenset[str]:
        """Labels of the sequence: those of a frame in twenty or more, and every occlusion or exit of any frame.

        `NO` stands for a target that nothing ever hides.
        """
        share = self.labels.mean(axis=0)
        least = {"PO": 0.0, "FO": 0.0, "OV": 0.0}
        held = {name for name, each in zip(LABELS, share, strict=True) if each > least.get(name, 0.05)}
        return frozenset(held if held & {"PO", "FO"} else held | {"NO"})


@dataclass(frozen=True)
class State:
    """The target at one moment.

    Attributes:
        box: extent of what is seen, `None` where too little is.
        seen: share of the target in the view that nothing hides.
        inside: share of the target in the view.
        middle: of the whole target, in pixels of the view.
        extent: square root of the area of the whole target's box.
    """

    box: Box | None
    seen: float
    inside: float
    middle: tuple[float, float]
    extent: float


def truth(painter: Painter) -> Truth:
    """Looks at every frame of a script."""
    length = painter.script.length
    states = [state(painter, index) for index in range(length)]
    boxes = np.array([each.box or (np.nan,) * 4 for each in states], np.float64).reshape(-1, 4)
    labels = np.array([frame_labels(painter, states, index) for index in range(length)], bool)
    return Truth(boxes, np.array([each.seen for each in states]), np.array([each.inside for each in states]), labels)


def state(painter: Painter, time: float) -> State:
    """The target at one moment, from its pixels."""
    script = painter.script
    cover = painter.paint(time, (), cover=True).cover
    assert cover is not None
    left, top, right, bottom = script.target.span(time, script.camera)
    extent = math.sqrt(max(right - left, 1.0) * max(bottom - top, 1.0))
    whole, inner = painter.areas_of_target(time)
    visible = cover > 127
    count = float(np.count_nonzero(visible))
    inside, seen = inner / max(whole, 1.0), min(1.0, count / max(inner, 1.0))
    shown = count >= max(4.0, LEAST_SEEN * whole)
    return State(_extent(visible) if shown else None, seen, inside, ((left + right) / 2, (top + bottom) / 2), extent)


def _extent(visible: npt.NDArray[np.bool_]) -> Box:
    x, y, w, h = cv2.boundingRect(visible.view(np.uint8))
    return Box(float(x), float(y), float(w), float(h))


def frame_labels(painter: Painter, states: list[State], index: int) -> list[bool]:
    """Whether each of `LABELS` holds in a frame."""
    now, before, script = states[index], states[max(index - 1, 0)], painter.script
    held = dict.fromkeys(LABELS, False)
    held["OV"] = now.inside <= LEAST_SEEN
    held["FO"] = not held["OV"] and now.seen <= LEAST_SEEN
    held["PO"] = not held["OV"] and LEAST_SEEN < now.seen < 0.9
    held["FM"] = math.dist(now.middle, before.middle) > 20
    held["CM"] = index > 0 and _background_moves(painter, index) > 3
    held["DEF"] = script.target.outline.supple
    held["SA"] = not held["OV"] and _has_double(painter, now, index)
    exposure = script.light.exposure
    smeared = painter.way_of_target(index - exposure / 2, index + exposure / 2)
    held["MB"] = not held["OV"] and smeared >= max(3.0, 0.1 * now.extent)
    if now.box is not None:
        first = states[0].box or now.box
        held["SV"] = not 0.5 <= now.box.area / first.area <= 2
        held["ARC"] = not 0.5 <= (now.box.w / now.box.h) / (first.w / first.h) <= 2
        held["LR"] = now.box.area < 400
        held |= _seen_about(painter, index)
    return [held[name] for name in LABELS]


def _background_moves(painter: Painter, index: int) -> float:
    """Pixels by which the ground behind the middle of the view moves since the frame before."""
    camera = painter.script.camera
    middle = np.array([*np.array(camera.size) / 2, 1.0])
    return float(np.hypot(*((camera.view_of_ground(index) - camera.view_of_ground(index - 1)) @ middle)))


def _has_double(painter: Painter, now: State, index: int) -> bool:
    script = painter.script
    for other in script.others:
        if other.kind == script.target.kind:
            left, top, right, bottom = other.span(index, script.camera)
            inside = right > 0 and bottom > 0 and left < script.camera.size[0] and top < script.camera.size[1]
            if inside and math.dist(now.middle, ((left + right) / 2, (top + bottom) / 2)) < 3 * now.extent:
                return True
    return False


def _seen_about(painter: Painter, index: int) -> dict[str, bool]:
    """What light, temperatures and colours on the target and around it say."""
    canvas = painter.paint(index, (Plane.COLOUR, Plane.HEAT), cover=True, scale=COARSE)
    target, around = _target_and_ring(canvas)
    if not target.any() or not around.any():
        return {}
    light, view = painter.script.light, painter.stage_view(index, COARSE)
    falling = float(light.falling(index, view, canvas.size)[target].mean())
    veil = light.veil(index, view, canvas.size)
    glare = float(veil[target].mean()) if veil is not None else 0.0
    heat, colour = canvas.planes[Plane.HEAT], canvas.planes[Plane.COLOUR].astype(np.float32)
    crossover = painter.script.crossover
    contrast = float(np.abs(heat[target] - heat[around].mean()).mean())
    differing = np.abs(colour[around] - colour[target].mean(axis=0)).mean()
    return {
        "LI": falling + glare < 0.12,
        "OE": glare >= 0.45 or falling > 1.6,
        "TC": contrast < 1.2 or (crossover is not None and crossover.at(index) >= 0.5),
        "BC": bool(differing < 0.12 * 255),
    }


def _target_and_ring(canvas: Canvas) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """The target's pixels, and those around it up to about its own size away."""
    assert canvas.cover is not None
    target = canvas.cover > 127
    reach = max(2, round(0.4 * math.sqrt(float(target.sum()))))
    wide = cv2.dilate(canvas.cover, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)) > 127
    return target, wide & (canvas.cover < 20)
