"""What things are made of: colours with names, and how a material looks to each sense."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (178, 38, 36),
    "orange": (214, 116, 40),
    "yellow": (214, 188, 60),
    "green": (58, 124, 62),
    "blue": (44, 78, 162),
    "purple": (112, 62, 140),
    "pink": (218, 140, 164),
    "brown": (108, 76, 52),
    "white": (222, 222, 218),
    "grey": (128, 130, 132),
    "black": (36, 36, 40),
}
"""Basic colour terms of English and what they look like, RGB, 8 bit."""

TEXTURES = ("plain", "striped", "checked", "spotted", "mottled")
"""Names of the patterns that a surface may have."""

BODY_TEMPERATURE = 33.0
"""Of bare skin, in degrees Celsius."""


@dataclass(frozen=True)
class Material:
    """How a material behaves.

    Attributes:
        living: how far towards the temperature of skin it is warmed from within, 0 to 1.
        sunlit: degrees by which full daylight warms it above the air.
        spread: degrees by which its temperature varies over a surface.
        echo: share of a depth camera's light that comes back, 0 to 1; less than a half leaves holes.
        gloss: strength of highlights, 0 to 1.
        rough: how much its brightness varies from place to place.
    """

    living: float = 0.0
    sunlit: float = 0.0
    spread: float = 1.0
    echo: float = 1.0
    gloss: float = 0.0
    rough: float = 0.25

    def temperature(self, air: float, sun: float) -> float:
        """Degrees Celsius in air of a temperature under a sun of strength 0 to 1."""
        return air + self.living * (BODY_TEMPERATURE - air) + self.sunlit * sun


MATERIALS: dict[str, Material] = {
    "skin": Material(living=1.0, spread=1.5),
    "cloth": Material(living=0.45, sunlit=3.0, spread=2.5, rough=0.4),
    "fur": Material(living=0.6, sunlit=2.0, spread=3.0, echo=0.45, rough=0.8),
    "feather": Material(living=0.5, spread=2.0, echo=0.8, rough=0.5),
    "metal": Material(sunlit=7.0, spread=1.5, echo=0.8, gloss=0.6),
    "rubber": Material(sunlit=9.0, spread=1.5, echo=0.4),
    "glass": Material(sunlit=-2.0, spread=0.5, echo=0.2, gloss=0.8),
    "plastic": Material(sunlit=5.0, spread=1.0, gloss=0.4),
    "wood": Material(sunlit=4.0, spread=1.0, rough=0.5),
    "leaf": Material(sunlit=-1.0, spread=2.0, rough=1.2),
    "stone": Material(sunlit=8.0, spread=2.0, rough=0.6),
    "soil": Material(sunlit=5.0, spread=4.0, rough=1.0),
}


@dataclass(frozen=True)
class Finish:
    """What covers one part of a thing.

    Attributes:
        colour: the name of its ground colour.
        accent: the name of its pattern's colour.
        texture: the name of its pattern.
        material: the name of its material.
        warmth: degrees by which it is warmer than its material says, as an engine makes it.
        fade: how far its colours are bleached to grey, 0 to 1.
        seed: of its random details.
    """

    colour: str
    accent: str
    texture: str
    material: str
    warmth: float = 0.0
    fade: float = 0.1
    seed: int = 0

    @classmethod
    def random(cls, rng: np.random.Generator, material: str, plain: float = 0.45) -> Finish:
        """Colours and a pattern by chance; `plain` is the share without a pattern."""
        colour, accent = (str(name) for name in rng.choice(list(COLOURS), 2, replace=False))
        texture = "plain" if rng.random() < plain else str(rng.choice(TEXTURES[1:]))
        warmth, fade = float(rng.normal(0, 1.5)), float(rng.uniform(0, 0.3))
        return cls(colour, accent, texture, material, warmth, fade, int(rng.integers(2**31)))
