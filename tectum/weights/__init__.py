"""Weights: bundled models, our own files, and published checkpoints opened safely."""

from tectum.weights.checkpoints import read_published
from tectum.weights.files import bundled, load, save
from tectum.weights.fitting import from_published

__all__ = ["bundled", "from_published", "load", "read_published", "save"]
