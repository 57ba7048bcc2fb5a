"""The procedural world: seeded scenes in colour, heat, depth, events and words, with exact truth."""

from __future__ import annotations

from tectum.world.plan import Plan
from tectum.world.scene import Scene

__all__ = ["Plan", "Scene"]
