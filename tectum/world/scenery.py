"""The things that stand about in scenes, before or behind those that move."""

from __future__ import annotations

import numpy as np

from tectum.world.cast import Maker
from tectum.world.outlines import Outline, Part, block, disc, limb, lobes


def _tree(rng: np.random.Generator) -> Outline:
    wide = rng.uniform(0.16, 0.3)
    crown = lobes(rng, 0, -0.66, wide, 0.3, 0.18)
    inner = [
        Part(lobes(rng, x * wide, y, wide * 0.5, 0.13, 0.25), "second")
        for x, y in rng.uniform((-0.6, -0.85), (0.6, -0.5), (3, 2)).tolist()
    ]
    parts = (Part(limb(0, -0.5, 0, 0.02, 0.025, 0.035), "dark"), Part(crown, pivot=(0, -0.66), soft=0.015), *inner)
    materials = (("body", "leaf"), ("second", "leaf"), ("dark", "wood"))
    return Outline("tree", parts, rng.uniform(3, 6), materials, supple=True)


def _bush(rng: np.random.Generator) -> Outline:
    tufts = [
        Part(lobes(rng, x, -0.45, rng.uniform(0.35, 0.6), 0.5, 0.22), "second" if dark else "body", (x, 0), soft=0.02)
        for x, dark in ((-0.5, True), (0.45, False), (0.0, True), (0.15, False))
    ]
    return Outline("bush", tuple(tufts), rng.uniform(0.8, 1.6), (("body", "leaf"), ("second", "leaf")), supple=True)


def _post(rng: np.random.Generator) -> Outline:
    half = rng.uniform(0.02, 0.045)
    parts = (Part(block(-half, -1, half, 0)), Part(block(-half * 1.5, -1, half * 1.5, -0.97), "second"))
    return Outline("post", parts, rng.uniform(2.5, 4), (("body", "metal"), ("second", "metal")))


def _sign(rng: np.random.Generator) -> Outline:
    wide = rng.uniform(0.14, 0.24)
    parts = (Part(block(-0.02, -0.7, 0.02, 0), "dark"), Part(block(-wide, -1, wide, -0.62, 0.03)))
    return Outline("sign", parts, rng.uniform(1.8, 2.6), (("body", "metal"), ("dark", "metal")))


def _crate(rng: np.random.Generator) -> Outline:
    wide = rng.uniform(0.5, 1.2)
    planks = [Part(block(-wide, y, wide, y + 0.04), "second") for y in (-0.97, -0.66, -0.35, -0.05)]
    return Outline("crate", (Part(block(-wide, -1, wide, 0)), *planks), rng.uniform(0.6, 1.2), (("body", "wood"),))


def _fence(rng: np.random.Generator) -> Outline:
    long, gap = rng.uniform(2.0, 4.0), rng.uniform(0.25, 0.5)
    bars = [Part(limb(x, -1, x, 0, 0.035, 0.035)) for x in np.arange(-long, long, gap).tolist()]
    rails = [Part(block(-long, y, long, y + 0.06), "second") for y in (-0.95, -0.2)]
    return Outline("fence", (*bars, *rails), rng.uniform(0.9, 1.3), (("body", "metal"), ("second", "metal")))


def _house(rng: np.random.Generator) -> Outline:
    wide, rows, columns = rng.uniform(0.4, 1.1), int(rng.integers(2, 5)), int(rng.integers(2, 6))
    xs, ys = np.linspace(-wide, wide, columns + 1), np.linspace(-0.92, -0.08, rows + 1)
    across, down = 0.28 * (xs[1] - xs[0]), 0.3 * (ys[1] - ys[0])
    panes = [
        Part(block(x - across, y - down, x + across, y + down), "glass")
        for x in ((xs[1:] + xs[:-1]) / 2).tolist()
        for y in ((ys[1:] + ys[:-1]) / 2).tolist()
    ]
    roof = Part(((-wide * 1.05, -0.97), (0, -1.25), (wide * 1.05, -0.97)), "second")
    gable = [roof] if rng.random() < 0.4 else []
    materials = (("body", "stone"), ("second", "stone"), ("glass", "glass"))
    return Outline("house", (*gable, Part(block(-wide, -1, wide, 0)), *panes), rng.uniform(6, 14), materials)


def _shelf(rng: np.random.Generator) -> Outline:
    wide, boards = rng.uniform(0.25, 0.5), np.linspace(-0.97, -0.05, int(rng.integers(3, 6))).tolist()
    books = []
    for board in boards[1:]:
        edges = np.sort(rng.uniform(-wide * 0.92, wide * 0.92, 10)).tolist()
        tops = board - rng.uniform(0.08, 0.2, 9)
        books += [
            Part(block(left, top, right, board), str(role))
            for left, right, top, role in zip(edges, edges[1:], tops, rng.choice(["a", "b", "c", "d"], 9), strict=False)
        ]
    planks = [Part(block(-wide, board, wide, board + 0.03), "second") for board in boards]
    materials = (("body", "wood"), ("second", "wood"), *((role, "cloth") for role in "abcd"))
    return Outline("shelf", (Part(block(-wide, -1, wide, 0)), *books, *planks), rng.uniform(1.4, 2.1), materials)


def _picture(rng: np.random.Generator) -> Outline:
    wide = rng.uniform(0.1, 0.22)
    parts = (Part(block(-wide, -1, wide, -0.7), "dark"), Part(block(-wide * 0.88, -0.98, wide * 0.88, -0.72)))
    return Outline("picture", parts, rng.uniform(1.7, 2.3), (("body", "plastic"), ("dark", "wood")))


def _table(rng: np.random.Generator) -> Outline:
    wide = rng.uniform(0.6, 1.1)
    legs = [Part(block(x, -0.95, x + 0.06, 0), "second") for x in (-wide + 0.05, wide - 0.11)]
    things = [
        Part(block(x, -1 - y, x + 0.2, -0.97), "third" if dark else "dark")
        for x, y, dark in zip(rng.uniform(-wide, wide - 0.2, 3).tolist(), (0.1, 0.25, 0.15), (1, 0, 1), strict=True)
    ]
    materials = (("body", "wood"), ("second", "wood"), ("third", "plastic"), ("dark", "plastic"))
    return Outline("table", (*legs, *things, Part(block(-wide, -1, wide, -0.92))), rng.uniform(0.7, 0.9), materials)


def _crown(rng: np.random.Generator) -> Outline:
    parts = [Part(lobes(rng, 0, -0.5, 0.5, 0.5, 0.15))]
    parts += [
        Part(lobes(rng, x, y - 0.5, 0.2, 0.2, 0.3), "second") for x, y in rng.uniform(-0.25, 0.25, (3, 2)).tolist()
    ]
    return Outline("tree", tuple(parts), rng.uniform(4, 8), (("body", "leaf"), ("second", "leaf")), flies=True)


def _roof(rng: np.random.Generator) -> Outline:
    wide = rng.uniform(0.35, 0.9)
    parts = (Part(block(-wide, -1, wide, 0)), Part(block(-wide, -0.5, wide, 0), "second"))
    return Outline("house", parts, rng.uniform(7, 14), (("body", "stone"), ("second", "stone")), flies=True)


def _manhole(rng: np.random.Generator) -> Outline:
    parts = (Part(disc(0, -0.5, 0.5), "dark"), Part(disc(0, -0.5, 0.4), "body"))
    return Outline("cover", parts, rng.uniform(0.8, 2.5), (("body", "stone"), ("dark", "stone")), flies=True)


SCENERY: dict[str, tuple[Maker, ...]] = {
    "street": (_house, _house, _tree, _sign, _post, _fence),
    "field": (_tree, _tree, _bush, _bush, _fence),
    "room": (_shelf, _picture, _table, _crate, _picture),
    "air": (_crown, _crown, _roof, _manhole),
}
"""What stands about in each place."""

OCCLUDERS: dict[str, tuple[Maker, ...]] = {
    "street": (_post, _post, _tree, _sign, _bush),
    "field": (_tree, _bush, _bush, _post),
    "room": (_crate, _table, _post),
    "air": (_crown, _crown, _roof),
}
"""What may come between the camera and the target in each place."""
