"""Clusters of points."""

from __future__ import annotations

import numpy as np

from kgen.types import Array

_ROUNDS, _BEGINNINGS = 20, 3


def k_means(points: Array, count: int, random: np.random.Generator) -> tuple[Array, Array]:
    """`(nearest mean of each point, means)` of points `(n, length)`: the best of several runs of Lloyd's algorithm."""
    found = [_lloyd(points, far_apart(points, count, random)) for _ in range(_BEGINNINGS)]
    means = min(found, key=lambda each: squared_distances(points, each).min(axis=1).sum())
    return squared_distances(points, means).argmin(axis=1), means


def far_apart(points: Array, count: int, random: np.random.Generator) -> Array:
    """`count` of the points, each probably far from those before [Arthur & Vassilvitskii 2007, "k-means++"]."""
    chosen, nearest = [points[random.integers(len(points))]], np.inf
    for _ in range(count - 1):
        nearest = np.minimum(nearest, np.maximum(squared_distances(points, chosen[-1][None])[:, 0], 1e-12))
        chosen.append(points[random.choice(len(points), p=nearest / nearest.sum())])
    return np.stack(chosen)


def squared_distances(points: Array, means: Array) -> Array:
    """Squared distances `(n, k)` of points `(n, length)` from means `(k, length)`."""
    points_squared = np.einsum("nd,nd->n", points, points)[:, None]
    return points_squared - 2.0 * points @ means.T + np.einsum("kd,kd->k", means, means)


def _lloyd(points, means):
    for _ in range(_ROUNDS):
        chosen = np.eye(len(means), dtype=points.dtype)[squared_distances(points, means).argmin(axis=1)]
        sizes = chosen.sum(axis=0)[:, None]
        means = np.where(sizes > 0, chosen.T @ points / np.maximum(sizes, 1.0), means)
    return means
