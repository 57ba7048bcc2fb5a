"""Tectum: follow a target through video in which colour is joined by a second sense.

import tectum

tracker = tectum.load("nano")
track = tectum.track(tracker, "recordings/bus", box=(585, 94, 66, 83))
track.save("bus.txt")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tectum.errors import TectumError

if TYPE_CHECKING:
    from tectum import weights
    from tectum.face import load, track
    from tectum.frames import Estimate, Frame, Modality, Prompt, Recording, Sequence, Track
    from tectum.geometry import Box
    from tectum.systems.base import System
    from tectum.tracking.session import Session, Tracker
    from tectum.tracking.views import MissingPolicy

__version__ = "0.1.0"

__all__ = [
    "Box",
    "Estimate",
    "Frame",
    "MissingPolicy",
    "Modality",
    "Prompt",
    "Recording",
    "Sequence",
    "Session",
    "System",
    "TectumError",
    "Track",
    "Tracker",
    "__version__",
    "load",
    "track",
    "weights",
]

_HOMES = {
    "Box": "tectum.geometry",
    "Estimate": "tectum.frames",
    "Frame": "tectum.frames",
    "MissingPolicy": "tectum.tracking.views",
    "Modality": "tectum.frames",
    "Prompt": "tectum.frames",
    "Recording": "tectum.frames",
    "Sequence": "tectum.frames",
    "Session": "tectum.tracking.session",
    "System": "tectum.systems.base",
    "Track": "tectum.frames",
    "Tracker": "tectum.tracking.session",
    "load": "tectum.face",
    "track": "tectum.face",
}


def __getattr__(name: str) -> Any:
    """Imports what is asked for when it is asked for, so that `tectum --help` need not wait for PyTorch."""
    if name == "weights":
        return import_module("tectum.weights")
    if name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'tectum' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
