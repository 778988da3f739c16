"""How well two sets of features cover each other, by balls around points that reach to their nearest neighbours.

Comparing distances needs precision, so all of this is float64 on the host, once at the end of an evaluation. It runs
in blocks of rows: memory grows with the number of points, not with its square.
"""

from __future__ import annotations

import numpy as np

from kgen import checks
from kgen.types import Array

_BLOCK = 2**23  # distances held at a time: 64 MB


def precision_recall(real: Array, generated: Array, neighbors: int = 3) -> tuple[float, float]:
    """Precision: the share of generated points near real ones. Recall: the share of real points near generated ones.

    A point is near a set if a ball around a point of the set contains it, surface included. A ball reaches to the k-th
    nearest neighbour in the set, the point itself excluded [Kynkäänniemi et al. 2019, "Improved precision and recall
    metric for assessing generative models", equations 1 and 2]. If more than k points coincide, their balls have radius
    0 and contain them, so every set has precision and recall 1 against itself.

    Args:
        real, generated: features `(points, dim)`; the numbers of points may differ.
        neighbors: k, at least 1. A larger k means larger balls, and higher numbers.

    Returns:
        `(precision, recall)`, floats from 0 to 1. Both depend on the numbers of points: compare only for equal numbers.

    Raises:
        ValueError: if the features have other shapes, are not finite, or are fewer than `neighbors` + 1.

    Example:

    ```python
    precision_recall(np.random.normal(size=(100, 8)), np.random.normal(size=(100, 8)))
    ```
    """
    real, generated = _centered("precision_recall", real, generated, neighbors)
    real_limits, generated_limits = (_balls(points, neighbors, closed=True)[0] for points in (real, generated))
    precise, recalled = np.zeros(len(generated), bool), np.zeros(len(real), bool)
    for rows, distances in _squared_distances(real, generated):
        precise |= (distances <= real_limits[rows, None]).any(axis=0)
        recalled[rows] = (distances <= generated_limits).any(axis=1)
    return float(precise.mean()), float(recalled.mean())


def density_coverage(real: Array, generated: Array, neighbors: int = 5) -> tuple[float, float]:
    """Density: how many real balls contain a generated point, divided by k. Coverage: the share of balls with a point.

    Balls around real points reach to the k-th nearest real neighbour, surface excluded, as in the authors' code
    [Naeem et al. 2020, "Reliable fidelity and diversity metrics for generative models"]. Each contains k real points,
    its own included, so a set has density and coverage 1 against itself if no distances tie. If more than k points
    coincide, the authors' balls are empty; here they contain these points, and each counts as 1 over their number.

    Args:
        real, generated, neighbors: as in `precision_recall`.

    Returns:
        `(density, coverage)`, floats; density exceeds 1 if generated points stay where real ones are dense.

    Raises:
        ValueError: as in `precision_recall`.

    Example:

    ```python
    density_coverage(np.random.normal(size=(100, 8)), np.random.normal(size=(100, 8)))
    ```
    """
    real, generated = _centered("density_coverage", real, generated, neighbors)
    limits, sizes = _balls(real, neighbors, closed=False)
    held = np.zeros(len(real))
    for rows, distances in _squared_distances(real, generated):
        held[rows] = (distances <= limits[rows, None]).sum(axis=1)
    return float((held / np.maximum(sizes, neighbors)).sum() / len(generated)), float((held > 0).mean())


def _centered(name, real, generated, neighbors):
    """Both in float64, moved to a common centre, where squares are small and differences keep their digits."""
    neighbors = checks.integer(name, "neighbors", neighbors)
    real, generated = np.asarray(real, "float64"), np.asarray(generated, "float64")
    shapes = f"{real.shape} real and {generated.shape} generated ones"
    if real.ndim != 2 or generated.ndim != 2 or real.shape[1] != generated.shape[1]:
        raise ValueError(f"{name}: features must both be (points, dim) with the same dim; got {shapes}.")
    if min(len(real), len(generated)) <= neighbors:
        raise ValueError(f"{name}: {neighbors} neighbors need {neighbors + 1} points or more; got {shapes}.")
    bad = [len(points) - int(np.isfinite(points).all(axis=1).sum()) for points in (real, generated)]
    if any(bad):
        raise ValueError(f"{name}: {bad[0]} real and {bad[1]} generated points are not finite; got {shapes}.")
    center = (real.mean(axis=0) + generated.mean(axis=0)) / 2
    return real - center, generated - center


def _squared_distances(points, others):
    """Blocks `(slice of points, squared distances (rows, others))`, as |x|^2 - 2 x.y + |y|^2: a product of matrices."""
    norms, other_norms = (np.einsum("nd,nd->n", x, x) for x in (points, others))
    step = max(1, _BLOCK // len(others))
    for rows in (slice(start, start + step) for start in range(0, len(points), step)):
        distances = (-2.0 * points[rows]) @ others.T
        distances += norms[rows, None]
        distances += other_norms
        yield rows, distances


def _balls(points, neighbors, closed):
    """The largest squared distance inside the ball around each point, and how many of the points that ball contains.

    Rounding moves a squared distance by some eps (|x|^2 + |y|^2), more for more terms: a point that close to the radius
    is on the surface, and a point that close to the centre is at the centre.
    """
    limits, sizes = np.empty((2, len(points)))
    eps = 8.0 * np.finfo("float64").eps * np.sqrt(points.shape[1])
    for rows, distances in _squared_distances(points, points):
        radii = np.partition(distances, neighbors, axis=1)[:, neighbors]
        slack = eps * (np.square(points[rows]).sum(axis=1) + np.abs(radii))
        limits[rows] = radii + slack if closed else np.maximum(radii - slack, slack)
        sizes[rows] = (distances <= limits[rows, None]).sum(axis=1)
    return limits, sizes
