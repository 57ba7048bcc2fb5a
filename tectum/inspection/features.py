"""Features compared: how alike they are, what stands out among them, and where most of their variance lies."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]


def similarity(one: Array, other: Array) -> Array:
    """Cosine similarity at every place.

    Args:
        one: features `C×S×S`.
        other: features of the same shape.

    Returns:
        `S×S` in [-1, 1]; `nan` where either has none.
    """
    lengths = np.linalg.norm(one, axis=0) * np.linalg.norm(other, axis=0)
    result: Array = (one * other).sum(axis=0) / np.maximum(lengths, 1e-12)
    return result


def salience(features: Array) -> Array:
    """How far each place's feature lies from their mean, `C×S×S` to `S×S`; `nan` where there is none."""
    mean = np.nanmean(features, axis=(1, 2), keepdims=True)
    result: Array = np.linalg.norm(features - mean, axis=0)
    return result


def as_points(features: Array) -> Array:
    """Features `C×S×S` as points `N×C` in the order of places, without those that have none."""
    points = features.reshape(len(features), -1).T
    return points[~np.isnan(points).any(axis=1)]


def principal(points: Array, count: int) -> tuple[Array, Array, Array]:
    """The directions in which points vary most.

    Args:
        points: `N×C`.
        count: how many directions, at most `C` and `N`.

    Returns:
        The mean `C`, orthonormal directions `C×count`, and each one's share of the variance, in [0, 1].
    """
    mean = points.mean(axis=0)
    _, spread, directions = np.linalg.svd(points - mean, full_matrices=False)
    shares = spread**2 / np.maximum((spread**2).sum(), 1e-12)
    return mean, directions[:count].T, shares[:count].astype(np.float32)


def gap(one: Array, other: Array) -> float:
    """How far two clouds of points `N×C` lie apart: the distance of their means over their joint deviation.

    The joint deviation is the root of the mean squared distance of points to their own cloud's mean.
    """
    means = one.mean(axis=0), other.mean(axis=0)
    squares = [((cloud - mean) ** 2).sum(axis=1) for cloud, mean in zip((one, other), means, strict=True)]
    deviation = float(np.sqrt(np.concatenate(squares).mean()))
    return float(np.linalg.norm(means[0] - means[1])) / max(deviation, 1e-12)


def colours(streams: Array) -> Array:
    """Features as colours, alike where features are, in all streams alike.

    The first three principal components of all streams together become red, green and blue, each from its 2nd to
    its 98th percentile.

    Args:
        streams: `streams×C×S×S`.

    Returns:
        `streams×S×S×3` in [0, 1]; `nan` where there is no feature.
    """
    points = np.concatenate([as_points(features) for features in streams])
    mean, directions, _ = principal(points, 3)
    low, high = np.percentile((points - mean) @ directions, (2, 98), axis=0)
    projected = (np.moveaxis(streams, 1, -1) - mean) @ directions
    shown: Array = np.clip((projected - low) / np.maximum(high - low, 1e-12), 0, 1).astype(np.float32)
    return shown
