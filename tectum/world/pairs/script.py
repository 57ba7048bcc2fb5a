"""What is to be seen in each pair: which things stand where, drawn at random for a whole batch at once."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace

import numpy as np
import numpy.typing as npt

from tectum.world.pairs.stock import Stock

Floats = npt.NDArray[np.float32]
Whole = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Ranges:
    """How pairs vary.

    Attributes:
        region: share of pairs in which a part of the plate itself is the target.
        absent: share in which the search crop lacks the target.
        moved: share in which the search shows another plate than the template.
        wide: share of search crops displaced by up to `reach`, the others by a few tenths.
        reach: largest displacement of the target from the middle, in nominal target sizes.
        zoom: standard deviation of the logarithm of the target's change of size.
        alike: share of other things that look like the target.
        hidden: share of search crops in which something stands before a part of the target.
        loose: share of targets whose box is annotated loosely.
        turn: standard deviation of the target's turn between the crops, in radians.
        spun: share of targets that turn by any angle instead.
    """

    region: float = 0.25
    absent: float = 0.05
    moved: float = 0.15
    wide: float = 0.5
    reach: float = 1.15
    zoom: float = 0.35
    alike: float = 0.4
    hidden: float = 0.25
    loose: float = 0.35
    turn: float = 0.2
    spun: float = 0.12


@dataclass(frozen=True)
class Layer:
    """One thing in each of `B` crops.

    Attributes:
        thing: `B` indices into the stock.
        view: `B` indices of its look.
        affine: `B×2×3` from its tile, -1 to 1, to the crop's pixels.
        gain: `B×4` by which red, green, blue and heat are multiplied.
        bias: `B×4` added to them, in [-1, 1].
        near: `B` share of the way from what is behind it to the nearest, in [0, 1].
        flow: `B×2` by how many pixels it moves in the exposure of an event image.
        shown: `B`, whether it is there at all.
    """

    thing: Whole
    view: Whole
    affine: Floats
    gain: Floats
    bias: Floats
    near: Floats
    flow: Floats
    shown: Flags

    def of(self, rows: slice) -> Layer:
        """The same in some of the crops."""
        return Layer(*(getattr(self, each.name)[rows] for each in fields(self)))


@dataclass(frozen=True)
class Crop:
    """All that one crop of each pair shows.

    Attributes:
        size: its side in pixels.
        plate: `B` indices into the stock.
        window: `B×2×3` from the crop's pixels to the plate's, -1 to 1.
        flow: `B×2` by how many pixels the plate moves in the exposure of an event image.
        layers: things from back to front.
        boxes: the target `B×4` as `x, y, w, h` in fractions of the crop's side, `nan` where absent.
    """

    size: int
    plate: Whole
    window: Floats
    flow: Floats
    layers: tuple[Layer, ...]
    boxes: Floats

    def of(self, rows: slice) -> Crop:
        """The same for some of the pairs."""
        layers = tuple(layer.of(rows) for layer in self.layers)
        return Crop(self.size, self.plate[rows], self.window[rows], self.flow[rows], layers, self.boxes[rows])


@dataclass(frozen=True)
class Script:
    """The template crops and the search crops of a batch."""

    template: Crop
    search: Crop


@dataclass(frozen=True)
class Aim:
    """Where the target is to lie: middles `B×2` and roots of areas `B`, in crop pixels."""

    size: int
    center: Floats
    extent: Floats


@dataclass
class _Cast:
    """Who plays, the same in both crops of a pair."""

    stock: Stock
    ranges: Ranges
    rng: np.random.Generator
    count: int
    region: Flags = field(init=False)
    target: Whole = field(init=False)

    def __post_init__(self) -> None:
        things = len(self.stock.hulls)
        self.region = self.rng.random(self.count) < self.ranges.region
        self.target = self.rng.integers(0, things, self.count)

    def uniform(self, low: float, high: float, *shape: int) -> Floats:
        return self.rng.uniform(low, high, (self.count, *shape)).astype(np.float32)

    def normal(self, deviation: float, *shape: int) -> Floats:
        return self.rng.normal(0, deviation, (self.count, *shape)).astype(np.float32)

    def chance(self, share: float) -> Flags:
        return self.rng.random(self.count) < share


def write_script(
    rng: np.random.Generator,
    stock: Stock,
    count: int,
    sizes: tuple[int, int] = (128, 256),
    factors: tuple[float, float] = (2.0, 4.0),
    ranges: Ranges | None = None,
) -> Script:
    """Draws `count` pairs.

    Args:
        rng: source of randomness; nothing else decides what is drawn.
        stock: what there is to choose from.
        count: pairs `B`.
        sizes: sides of template and search crop in pixels.
        factors: sides of their windows over the square root of the target's area.
        ranges: how pairs vary.
    """
    cast = _Cast(stock, ranges or Ranges(), rng, count)
    middle = np.full((count, 2), sizes[0] / 2, np.float32)
    first = Aim(sizes[0], middle, np.full(count, sizes[0] / factors[0], np.float32))
    second = _search_aim(cast, sizes[1], sizes[1] / factors[1])
    looks = _Looks(cast)
    plate = rng.integers(0, len(stock.plates), count)
    region = _regions(cast, plate)
    template = looks.crop(first, plate, region, view=0, absent=np.zeros(count, bool), crowd=0.3)
    other = np.where(cast.chance(cast.ranges.moved) & ~cast.region, rng.integers(0, len(stock.plates), count), plate)
    search = looks.crop(second, other, region, view=1, absent=cast.chance(cast.ranges.absent), crowd=1.0)
    return Script(template, search)


def _search_aim(cast: _Cast, size: int, nominal: float) -> Aim:
    ranges = cast.ranges
    near = np.clip(cast.normal(0.25, 2), -ranges.reach, ranges.reach)
    offset = np.where(cast.chance(ranges.wide)[:, None], cast.uniform(-ranges.reach, ranges.reach, 2), near)
    extent = nominal * np.exp(np.clip(cast.normal(ranges.zoom), -0.8, 0.8))
    return Aim(size, (size / 2 + offset * nominal).astype(np.float32), extent.astype(np.float32))


def _regions(cast: _Cast, plate: Whole) -> Floats:
    """A part of each plate that stands out, as middle and half sides `B×4` in the plate's -1 to 1."""
    half = cast.uniform(0.05, 0.22, 2)
    tries = cast.rng.uniform(-0.75, 0.75, (4, cast.count, 2))
    cells = cast.stock.lively.shape[-1]
    place = np.clip(((tries + 1) / 2 * cells).astype(int), 0, cells - 1)
    lively = cast.stock.lively[plate[None], place[..., 1], place[..., 0]]
    best = tries[lively.argmax(axis=0), np.arange(cast.count)]
    return np.concatenate([best, half], axis=1).astype(np.float32)


class _Looks:
    """Draws what both crops of a pair share, then each crop."""

    def __init__(self, cast: _Cast) -> None:
        self.cast = cast
        self.angle = cast.normal(0.3)
        self.margins = cast.uniform(-0.06, 0.15, 4) * cast.chance(cast.ranges.loose)[:, None]
        self.zoom = cast.uniform(0.5, 1.6)
        self.gain = 1 + cast.uniform(-0.4, 0.4, 4)
        self.bias = cast.uniform(-0.15, 0.15, 4)
        self.bias[:, 3] = cast.uniform(-0.4, 0.4)
        # Most things stand close to what is behind them.
        self.near = 0.03 + 0.8 * cast.uniform(0, 1) ** 2

    def crop(self, aim: Aim, plate: Whole, region: Floats, view: int, absent: Flags, crowd: float) -> Crop:
        cast = self.cast
        target, boxes = self._target(aim, view)
        turn = cast.normal(0.12) * (view > 0)
        stretch = np.exp(cast.normal(0.15) * (view > 0))
        window, part = self._window(aim, region, turn, stretch)
        boxes = np.where(cast.region[:, None], part, boxes)
        target = _only(target, ~absent & ~cast.region)
        # A region cannot leave its plate: where it should be absent, the pair stays as it is.
        boxes[absent & ~cast.region] = np.nan
        layers = [self._other(aim, view, crowd) for _ in range(2)]
        layers.append(target)
        if view:
            layers.append(self._occluder(aim, boxes, absent))
        flow = cast.normal(1.0, 2)
        return Crop(aim.size, plate, window, flow, tuple(layers), (boxes / aim.size).astype(np.float32))

    def _target(self, aim: Aim, view: int) -> tuple[Layer, Floats]:
        cast = self.cast
        angle = self.angle + (self._turn() if view else 0)
        stretch = np.exp(cast.normal(0.15) * (view > 0))
        linear = _linear(np.ones(cast.count, np.float32), angle, stretch)
        hull = cast.stock.hulls[cast.target, view]
        tight = _widened(_extent(hull, linear), self.margins)
        scale = aim.extent / np.sqrt(tight[:, 2] * tight[:, 3])
        middle = tight[:, :2] + tight[:, 2:] / 2
        affine = np.concatenate([linear * scale[:, None, None], np.zeros((cast.count, 2, 1), np.float32)], axis=2)
        affine[:, :, 2] = aim.center - middle * scale[:, None]
        box = np.concatenate([tight[:, :2] * scale[:, None] + affine[:, :, 2], tight[:, 2:] * scale[:, None]], axis=1)
        views = np.full(cast.count, view)
        shown = np.ones(cast.count, bool)
        flow = cast.normal(2.0, 2)
        return Layer(cast.target, views, affine, self.gain, self.bias, self.near, flow, shown), box

    def _turn(self) -> Floats:
        cast = self.cast
        spun = cast.chance(cast.ranges.spun)
        return np.where(spun, cast.uniform(-np.pi, np.pi), cast.normal(cast.ranges.turn)).astype(np.float32)

    def _other(self, aim: Aim, view: int, crowd: float) -> Layer:
        """Something else, beside the target and of about its size; some look like it."""
        cast = self.cast
        alike = cast.chance(cast.ranges.alike) & ~cast.region
        thing = np.where(alike, cast.target, cast.rng.integers(0, len(cast.stock.hulls), cast.count))
        away, direction = cast.uniform(0.9, 2.0) * aim.extent, cast.uniform(0, 2 * np.pi)
        center = aim.center + away[:, None] * np.stack([np.cos(direction), np.sin(direction)], axis=1)
        linear = _linear(aim.extent * cast.uniform(0.35, 0.8), cast.normal(0.4), np.exp(cast.normal(0.1)))
        # A look-alike differs from the target by a little colour and warmth.
        gain = np.where(alike[:, None], self.gain * (1 + cast.uniform(-0.3, 0.3, 4)), 1 + cast.uniform(-0.4, 0.4, 4))
        bias = np.where(alike[:, None], self.bias + cast.uniform(-0.2, 0.2, 4), cast.uniform(-0.3, 0.3, 4))
        return Layer(
            thing,
            np.full(cast.count, view),
            np.concatenate([linear, center[:, :, None]], axis=2).astype(np.float32),
            gain.astype(np.float32),
            bias.astype(np.float32),
            self.near * cast.uniform(0.6, 1.0),
            cast.normal(2.0, 2),
            cast.chance(0.45 * crowd),
        )

    def _occluder(self, aim: Aim, boxes: Floats, absent: Flags) -> Layer:
        """Something before a side of the target."""
        cast = self.cast
        sides = np.nan_to_num(boxes[:, 2:], nan=1.0)
        way = np.where(cast.rng.random((cast.count, 2)) < 0.5, -1, 1) * cast.uniform(0.3, 0.6, 2)
        center = aim.center + way * sides
        linear = _linear(aim.extent * cast.uniform(0.2, 0.5), cast.normal(0.4), np.exp(cast.normal(0.4)))
        return Layer(
            cast.rng.integers(0, len(cast.stock.hulls), cast.count),
            np.zeros(cast.count, np.int64),
            np.concatenate([linear, center[:, :, None]], axis=2).astype(np.float32),
            1 + cast.uniform(-0.4, 0.4, 4),
            cast.uniform(-0.3, 0.3, 4),
            np.minimum(1, self.near + cast.uniform(0.03, 0.3)),
            cast.normal(2.0, 2),
            cast.chance(cast.ranges.hidden) & ~absent,
        )

    def _window(self, aim: Aim, region: Floats, turn: Floats, stretch: Floats) -> tuple[Floats, Floats]:
        """From crop to plate, and where a plate's own target then lies in the crop."""
        cast, size = self.cast, aim.size
        # Plate units in a crop pixel: for a region given by the aim, else by the pair's zoom, kept inside the plate.
        side = cast.stock.plates.shape[-1]
        area = 4 * region[:, 2] * region[:, 3]
        scale = np.where(cast.region, np.sqrt(area) / aim.extent, np.minimum(2 * self.zoom / side, 1.9 / size))
        linear = _linear(scale, np.where(cast.region, turn, 0), np.where(cast.region, stretch, 1))
        free = np.maximum(1 - scale * size / 2, 0)[:, None]
        middle = np.where(cast.region[:, None], region[:, :2], cast.uniform(-1, 1, 2) * free)
        pivot = np.where(cast.region[:, None], aim.center, size / 2)
        shift = middle - np.einsum("bij,bj->bi", linear, pivot)
        window = np.concatenate([linear, shift[:, :, None]], axis=2).astype(np.float32)
        # What a person would draw around a turned rectangle stays close to the stretched one.
        root = np.sqrt(stretch)
        wide = 2 * region[:, 2:] / scale[:, None] * np.stack([1 / root, root], axis=1)
        return window, np.concatenate([aim.center - wide / 2, wide], axis=1).astype(np.float32)


def _linear(scale: Floats, angle: Floats, stretch: Floats) -> Floats:
    """Maps `B×2×2` that stretch by the root of `stretch` across and its inverse down, turn, and scale."""
    root = np.sqrt(stretch)
    cos, sin = np.cos(angle), np.sin(angle)
    rows = np.stack([np.stack([cos * root, -sin / root], axis=-1), np.stack([sin * root, cos / root], axis=-1)], axis=1)
    return np.asarray(rows * np.asarray(scale)[:, None, None], np.float32)


def _extent(hull: Floats, linear: Floats) -> Floats:
    """Tight boxes `B×4` of outlines `B×N×2` after maps `B×2×2`."""
    points = np.einsum("bij,bnj->bni", linear, hull)
    low, high = points.min(axis=1), points.max(axis=1)
    return np.concatenate([low, high - low], axis=1).astype(np.float32)


def _widened(boxes: Floats, margins: Floats) -> Floats:
    """Boxes with left, top, right and bottom moved outwards by shares of their sides."""
    sides = boxes[:, 2:]
    low = boxes[:, :2] - margins[:, :2] * sides
    return np.concatenate([low, sides * (1 + margins[:, :2] + margins[:, 2:])], axis=1).astype(np.float32)


def _only(layer: Layer, shown: Flags) -> Layer:
    return replace(layer, shown=layer.shown & shown)
