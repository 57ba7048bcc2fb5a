"""The procedural world: seeded scenes in colour and in heat, with exact boxes."""

from __future__ import annotations

from tectum.world.scene import Scene

__all__ = ["Scene"]
