"""The kernel distance between two sets of features."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from kgen import checks
from kgen.metrics.distribution_metric import SampleMetric
from kgen.metrics.reference_statistics import ReferenceStatistics
from kgen.serializable import serializable
from kgen.types import Array

# Rows of the kernel in memory at once.
_BLOCK = 1000


@serializable
class KernelDistance(SampleMetric):
    """Squared maximum mean discrepancy with the kernel `(x . y / dim + 1)^3`; 0 is best, and it can be slightly below.

    It uses the unbiased estimate [Gretton et al. 2012; for images Binkowski et al. 2018, "Demystifying MMD GANs"] on
    random subsets. The result is the mean over subsets and, as `kernel_distance_std`, their standard deviation. Unlike
    the Frechet distance, its mean does not depend on the number of images. With the features of that paper's Inception
    network it is the KID.

    Args:
        feature_extractor, value_range, name: see `FeatureMetric`.
        reference: `ReferenceStatistics` of the real images; then pass None for them.
        subsets: the number of subsets; 1 is used if a subset holds all images, and the deviation is then NaN.
        subset_size: images of each side in a subset, at least 2, drawn without replacement; all if there are fewer.
        seed: seed for drawing the subsets.
        max_samples: the most feature vectors to keep for each side; beyond that, a fair sample.

    Raises:
        ValueError: if `subsets`, `subset_size` or `max_samples` is too small.

    Example:

    ```python
    distance = kgen.metrics.KernelDistance("efficientnet_lite0")
    distance.update_state(real, model.generate(1000))
    distance.result()     # {"kernel_distance_efficientnet_lite0": ..., "kernel_distance_std_efficientnet_lite0": ...}
    ```
    """

    measures = {"kernel_distance": "min", "kernel_distance_std": "min"}

    def __init__(
        self,
        feature_extractor: Any = None,
        reference: ReferenceStatistics | None = None,
        subsets: int = 100,
        subset_size: int = 1000,
        seed: int = 0,
        **kwargs: Any,
    ):
        super().__init__(feature_extractor, reference, **kwargs)
        self.subsets = checks.integer("KernelDistance", "subsets", subsets)
        self.subset_size = checks.integer("KernelDistance", "subset_size", subset_size, least=2)
        self.seed = seed

    def compare(self, real: Array, generated: Array) -> list[float]:
        sets = [in_one_order(features) for features in (real, generated)]
        sizes = [min(self.subset_size, len(features)) for features in sets]
        subsets = 1 if sizes == [len(real), len(generated)] else self.subsets
        draw = np.random.default_rng(self.seed)
        members = [np.zeros((subsets, len(features))) for features in sets]
        for row in range(subsets):
            for member, size in zip(members, sizes):
                member[row, draw.choice(member.shape[1], size, replace=False)] = 1.0
        values = subset_kernel_distances(*sets, *members)
        # One subset says nothing about how much others would differ.
        return [values.mean(), values.std() if subsets > 1 else math.nan]


def in_one_order(features: Array) -> Array:
    """Features sorted, so that random subsets do not depend on the order in which they came."""
    return features[np.argsort(features.astype("float64") @ np.cos(np.arange(features.shape[1])), kind="stable")]


def kernel_distance(real: Array, generated: Array) -> float:
    """The unbiased squared MMD of two sets of features `(n, dim)` and `(m, dim)`, n and m at least 2.

    `sum_{i != j} k(x_i, x_j) / n (n - 1) + sum_{i != j} k(y_i, y_j) / m (m - 1) - 2 mean k(x_i, y_j)`.

    Example:

    ```python
    kernel_distance(np.zeros((2, 1)), np.ones((2, 1)))     # 1 + (1 + 1)^3 - 2 * 1 = 7.0
    ```
    """
    everyone = [np.ones((1, len(features))) for features in (real, generated)]
    return float(subset_kernel_distances(real, generated, *everyone)[0])


def subset_kernel_distances(real: Array, generated: Array, real_members: Array, generated_members: Array) -> Array:
    """`kernel_distance` of many subsets at once, `(subsets,)`.

    Each value of the kernel is computed once, in blocks, and added to the sums of the subsets it belongs to. Subsets
    overlap, so this is less work than one kernel per subset.

    Args:
        real, generated: `(n, dim)` and `(m, dim)`.
        real_members, generated_members: `(subsets, n)` and `(subsets, m)`, 1 if a row is in a subset, else 0.
    """
    x, y = np.asarray(real, "float64"), np.asarray(generated, "float64")
    n, m = real_members.sum(axis=1), generated_members.sum(axis=1)
    across = np.zeros(len(n))
    for start in range(0, len(x), _BLOCK):
        rows = slice(start, start + _BLOCK)
        across += ((real_members[:, rows] @ _kernel(x[rows], y)) * generated_members).sum(axis=1)
    within = [_within(x, real_members) / (n * (n - 1)), _within(y, generated_members) / (m * (m - 1))]
    return within[0] + within[1] - 2.0 * across / (n * m)


def _within(x, members):
    """The sums over pairs `i != j` of each subset; the kernel is symmetric, so half of it is enough."""
    total = np.zeros(len(members))
    for start in range(0, len(x), _BLOCK):
        rows = slice(start, start + _BLOCK)
        sums = (members[:, rows] @ _kernel(x[rows], x[start:])) * members[:, start:]
        total += 2.0 * sums.sum(axis=1) - sums[:, :_BLOCK].sum(axis=1)
    square = (x * x).sum(axis=1) / x.shape[1] + 1.0
    return total - members @ square**3


def _kernel(x, y):
    values = x @ y.T / x.shape[1] + 1.0
    # Much faster than a power.
    return values * values * values
