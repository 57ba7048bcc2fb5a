"""OpenCV's classical trackers, where this OpenCV has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2


def opencv_trackers() -> dict[str, Callable[[], Any]]:
    """Makers of KCF and CSRT by name; `pip install opencv-contrib-python-headless` has both."""
    found = {}
    for name in ("KCF", "CSRT"):
        kind = getattr(cv2, f"Tracker{name}", None) or getattr(getattr(cv2, "legacy", None), f"Tracker{name}", None)
        if kind is not None:
            found[name] = kind.create
    return found
