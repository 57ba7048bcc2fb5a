"""A script as a recording: every frame in every sense, rendered as it is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from tectum.errors import UnknownNameError
from tectum.frames import Frame, Modality
from tectum.frames import Sequence as Annotated
from tectum.geometry import Image
from tectum.world.canvas import Canvas
from tectum.world.depth import Millimetres, jet
from tectum.world.events import Events, Pixels, accumulated, in_order
from tectum.world.labels import Truth, truth
from tectum.world.language import sentence
from tectum.world.painting import Painter
from tectum.world.plan import Plan
from tectum.world.script import FPS, Script
from tectum.world.staging import written
from tectum.world.surfaces import Plane
from tectum.world.textures import Field

SENSES = frozenset(Modality)
"""The senses that a scene can be rendered in."""

STEPS = 6
"""Most samples of light between two frames from which events are made."""

STEP_PIXELS = 2.0
"""Pixels that anything may move from one sample to the next."""

KEPT = 10
"""Every so many frames the state of the event camera is kept, so that going back costs little."""

_SLACK = 1 << 18


class Scene:
    """A recording that is rendered as it is read, the same for the same script.

    Any frame may be asked for in any order; only events need what was before them.

    Args:
        script: the description of the scene.
        senses: what to render.
        pictures: real images `H×W×3` for backdrops and surfaces; without them all is procedural.

    Raises:
        UnknownNameError: if no sense is asked for, or one that there is not.
    """

    def __init__(
        self, script: Script, senses: frozenset[Modality] = frozenset({Modality.RGB}), pictures: Sequence[Image] = ()
    ) -> None:
        if not senses or senses - SENSES:
            raise UnknownNameError(
                f"A scene is rendered in some of {', '.join(sorted(SENSES))}, not in {sorted(senses)}."
            )
        self.script, self._senses = script, senses
        self.painter = Painter(script, tuple(pictures))
        self._event_pixels: dict[int, Pixels] = {}

    @classmethod
    def random(
        cls,
        seed: int,
        length: int = 120,
        size: tuple[int, int] = (640, 480),
        senses: frozenset[Modality] = frozenset({Modality.RGB}),
        pictures: Sequence[Image] = (),
        plan: Plan | None = None,
    ) -> Scene:
        """The scene of a seed: of a plan by chance, or of the given one.

        Args:
            seed: which scene.
            length: in frames.
            size: width and height in pixels.
            senses: what to render.
            pictures: real images for backdrops and surfaces.
            plan: what it is to hold.
        """
        return cls(written(seed, plan or Plan.random(seed), length, size), senses, pictures)

    @property
    def name(self) -> str:
        """The script's name."""
        return self.script.name

    @property
    def senses(self) -> frozenset[Modality]:
        """What is rendered."""
        return self._senses

    @property
    def length(self) -> int:
        """Number of frames."""
        return self.script.length

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.script.camera.size

    @cached_property
    def truth(self) -> Truth:
        """Boxes and labels of all frames."""
        return truth(self.painter)

    @property
    def boxes(self) -> npt.NDArray[np.float64]:
        """The target's boxes `N×4`: the extent of what is seen of it, `nan` where it is hidden or out of view."""
        return self.truth.boxes

    @property
    def labels(self) -> npt.NDArray[np.bool_]:
        """Which of `labels.LABELS` hold in each frame, `N×A`; without a thermal image there is no crossover."""
        return self.truth.labels

    @property
    def attributes(self) -> frozenset[str]:
        """The labels of the whole sequence."""
        found = self.truth.attributes
        return found if Modality.THERMAL in self.senses else found - {"TC"}

    @cached_property
    def text(self) -> str:
        """A sentence that names the target and, in the first frame, nothing else."""
        return sentence(self.script)

    @property
    def sequence(self) -> Annotated:
        """The recording with its annotations."""
        return Annotated(self, self.boxes, self.text, self.attributes)

    def __iter__(self) -> Iterator[Frame]:
        for index in range(self.length):
            yield self.frame(index)

    def frame(self, index: int) -> Frame:
        """Renders one frame in all senses."""
        images: dict[Modality, Image | None] = {}
        light = self._exposed(index) if self.senses & {Modality.RGB, Modality.THERMAL} else {}
        for sense in Modality:
            if sense not in self.senses:
                continue
            if sense is Modality.RGB:
                images[sense] = self._colour(light, index)
            elif sense is Modality.THERMAL:
                images[sense] = self.script.thermal.image(light[Plane.HEAT], self._chance(index, sense))
            elif sense is Modality.DEPTH:
                images[sense] = jet(self.depth(index))
            else:
                images[sense] = accumulated(self.events(index), self.size)
        return Frame(images, index, index / FPS)

    def depth(self, index: int) -> Millimetres:
        """What the depth camera measures in one frame, `H×W` in millimetres, 0 where nothing."""
        canvas = self.painter.paint(index, (), depth=True)
        assert canvas.depth is not None
        assert canvas.echo is not None
        return self.script.ranging.measured(canvas.depth, canvas.echo, self._chance(index, Modality.DEPTH))

    def events(self, index: int) -> Events:
        """What the event camera fires since the frame before, in order of time."""
        pixels, events = self._watched(self._event_pixels_before(index), index)
        self._keep(index + 1, pixels)
        return events

    def colour(self, index: int) -> Image:
        """The colour image of one frame."""
        return self._colour(self._exposed(index), index)

    def _exposed(self, time: float) -> dict[Plane, Field]:
        """Planes averaged while the shutter is open: `COLOUR` as linear reflectance, `HEAT` in degrees."""
        wanted = {Modality.RGB: Plane.COLOUR, Modality.THERMAL: Plane.HEAT}
        planes = [plane for sense, plane in wanted.items() if sense in self.senses] or [Plane.COLOUR]
        moments = self.painter.moments(time)
        total: dict[Plane, Field] = {}
        for moment in moments:
            canvas = self.painter.paint(moment, planes)
            for plane in planes:
                _add(total, plane, canvas)
        factors = {Plane.COLOUR: 1 / 255**2, Plane.HEAT: 1.0}
        return {plane: each * np.float32(factors[plane] / len(moments)) for plane, each in total.items()}

    def _colour(self, exposed: dict[Plane, Field], index: int) -> Image:
        light = self.script.light
        depth = self.painter.paint(index, (), depth=True).depth if light.fog else None
        reaching = light.reaching(exposed[Plane.COLOUR], index, self.painter.stage_view(index), depth)
        return light.developed(reaching, grain(self._chance(index, Modality.RGB), reaching.shape))

    def _chance(self, index: int, sense: Modality) -> np.random.Generator:
        """The noise of one frame in one sense."""
        return np.random.default_rng((self.script.seed, index, list(Modality).index(sense)))

    @cached_property
    def _thresholds(self) -> tuple[Field, Field]:
        return self.script.dvs.thresholds((self.size[1], self.size[0]))

    def _event_pixels_before(self, index: int) -> Pixels:
        """The state of the event camera at the frame before, from the nearest one that was kept."""
        if 0 not in self._event_pixels:
            self._event_pixels[0] = Pixels.starting(_microseconds(-1), self._level(-1))
        start = max(kept for kept in self._event_pixels if kept <= index)
        pixels = self._event_pixels[start]
        for each in range(start, index):
            pixels = self._watched(pixels, each)[0]
            self._keep(each + 1, pixels)
        return pixels

    def _keep(self, index: int, pixels: Pixels) -> None:
        """Keeps the state before a frame: every tenth, and the newest."""
        for old in [kept for kept in self._event_pixels if kept % KEPT]:
            del self._event_pixels[old]
        self._event_pixels[index] = pixels

    def _watched(self, pixels: Pixels, index: int) -> tuple[Pixels, Events]:
        """Lets the event camera watch from the frame before to this one."""
        dvs, start = self.script.dvs, index - 1
        steps = int(np.clip(np.ceil(self.painter.farthest_way(start, index) / STEP_PIXELS), 1, STEPS))
        noise = dvs.background(
            _microseconds(start), _microseconds(index), pixels.level.shape, self._chance(index, Modality.EVENT)
        )
        parts = [noise]
        for step in range(1, steps + 1):
            time = start + step / steps
            pixels, events = dvs.watched(pixels, _microseconds(time), self._level(time), self._thresholds)
            parts.append(events)
        return pixels, in_order(parts)

    def _level(self, time: float) -> Field:
        """The logarithm of light at a moment."""
        light = self.script.light
        canvas = self.painter.paint(time, (Plane.GREY,), depth=light.fog > 0)
        reaching = light.reaching(canvas.planes[Plane.GREY], time, self.painter.stage_view(time), canvas.depth)
        return self.script.dvs.level(reaching)


def _add(total: dict[Plane, Field], plane: Plane, canvas: Canvas) -> None:
    picture = canvas.planes[plane]
    if plane not in total:
        total[plane] = np.zeros(picture.shape, np.float32)
    # Light is the square of what is stored, so that averages are those of light.
    (cv2.accumulateSquare if plane is Plane.COLOUR else cv2.accumulate)(picture, total[plane])


def _microseconds(time: float) -> float:
    return 1e6 * time / FPS


def grain(rng: np.random.Generator, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """Standard normal numbers of a shape: a random stretch of a long list, for drawing them anew takes too long."""
    count = int(np.prod(shape))
    start = int(rng.integers(_SLACK))
    return _normal_numbers(count)[start : start + count].reshape(shape)


@lru_cache(maxsize=2)
def _normal_numbers(count: int) -> npt.NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal(count + _SLACK, np.float32)
