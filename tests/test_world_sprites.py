"""Flat things for training pairs."""

from __future__ import annotations

import numpy as np
import pytest

from tectum.world.sprites import bent, made_sprite


@pytest.mark.parametrize("seed", range(4))
def test_a_sprites_hull_bounds_its_pixels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    thing = made_sprite(rng)
    for each in (thing, bent(rng, thing)):
        rows, columns = np.nonzero(each.alpha > 127)
        assert each.image.shape[:2] == each.heat.shape == each.alpha.shape == (each.size[1], each.size[0])
        np.testing.assert_array_equal(each.hull.min(axis=0), [columns.min(), rows.min()])
        np.testing.assert_array_equal(each.hull.max(axis=0), [columns.max() + 1, rows.max() + 1])
