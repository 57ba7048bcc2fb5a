"""How other senses than colour would see a picture whose things are known."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from tectum.geometry import Image
from tectum.world.sprites import Mask
from tectum.world.textures import Field, noise


def thermal_look(rng: np.random.Generator, heat: Field) -> Image:
    """A thermal image: temperatures blurred, stretched, grained and given as grey.

    Args:
        rng: source of randomness.
        heat: temperatures `H×W` in [0, 1].

    Returns:
        `H×W×3`, 8 bit.
    """
    soft = cv2.GaussianBlur(heat, (0, 0), float(rng.uniform(0.6, 1.6)))
    grain = rng.normal(0, rng.uniform(0, 0.02), heat.shape).astype(np.float32)
    return grey_image(soft + grain)


def imagined_heat(rng: np.random.Generator, image: Image, mask: Mask | None) -> Field:
    """Temperatures for a colour picture without a thermal partner.

    Brightness is bent by a random tone curve that need not rise, smoothed, and what the mask covers is moved to a
    temperature of its own.

    Args:
        rng: source of randomness.
        image: `H×W×3`.
        mask: coverage of the target `H×W`, if known.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    curve = np.interp(np.arange(256), np.linspace(0, 255, 5), rng.random(5)).astype(np.float32)
    heat: Field = np.asarray(cv2.blur(curve[grey], (3, 3)), np.float32)
    if mask is not None:
        cover = mask.astype(np.float32) / 255
        heat = (heat * (1 - 0.6 * cover) + 0.6 * cover * rng.uniform(0, 1)).astype(np.float32)
    return heat


def depth_look(rng: np.random.Generator, image: Image, mask: Mask | None) -> Image:
    """A depth image in JET colours: a receding ground, uneven distances, the masked target at one distance.

    Args:
        rng: source of randomness.
        image: the colour picture `H×W×3`, whose brightness stands in for relief.
        mask: coverage of the target `H×W`, if known.

    Returns:
        `H×W×3`, 8 bit.
    """
    height, width = image.shape[:2]
    ramp = np.linspace(rng.uniform(0.5, 1), rng.uniform(0, 0.5), height, dtype=np.float32)[:, None]
    grey = cv2.blur(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (9, 9)).astype(np.float32) / 255
    depth = ramp * rng.uniform(0.4, 1) + grey * rng.uniform(-0.6, 0.6) + 0.2 * noise(rng, width, height, 3, 2)
    if mask is not None:
        cover = (mask > 127).astype(np.float32)
        depth = depth * (1 - cover) + cover * np.float32(rng.uniform(0, 1)) + 0.02 * cover * grey
    low, high = float(depth.min()), float(depth.max())
    scaled = (255 * (depth - low) / max(high - low, 1e-6)).astype(np.uint8)
    return np.asarray(cv2.cvtColor(cv2.applyColorMap(scaled, cv2.COLORMAP_JET), cv2.COLOR_BGR2RGB), np.uint8)


def event_look(rng: np.random.Generator, image: Image) -> Image:
    """An event image: where brightness would change under a small motion, rises red and falls blue on white.

    Args:
        rng: source of randomness.
        image: the colour picture `H×W×3`.

    Returns:
        `H×W×3`, 8 bit.
    """
    logarithm = np.log(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32) + 8)
    shift = np.array([[1, 0, rng.uniform(-2.5, 2.5)], [0, 1, rng.uniform(-2.5, 2.5)]])
    size = (image.shape[1], image.shape[0])
    change = logarithm - cv2.warpAffine(logarithm, shift, size, borderMode=cv2.BORDER_REPLICATE)
    change = change + rng.normal(0, 0.02, change.shape)
    threshold = rng.uniform(0.08, 0.25)
    ground = 255 if rng.random() < 0.7 else 0
    events = np.full(image.shape, ground, np.uint8)
    events[change > threshold] = (255, 0, 0)
    events[change < -threshold] = (0, 0, 255)
    return events


def grey_image(values: npt.NDArray[np.floating]) -> Image:
    """Values `H×W` in [0, 1] as a grey picture `H×W×3`."""
    grey = np.clip(255 * values, 0, 255).astype(np.uint8)
    return np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), np.uint8)
