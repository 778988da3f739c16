"""The kernel distance between two sets of features."""

from __future__ import annotations

import keras
import numpy as np

from kgen.metrics.sample_metric import SampleMetric, check_count

# Rows of the kernel that are in memory at once.
_BLOCK = 1000


@keras.saving.register_keras_serializable(package="kgen")
class KernelDistance(SampleMetric):
    """Squared maximum mean discrepancy with the kernel `(x . y / dim + 1)^3`; 0 is best, a little less possible.

    The unbiased estimate [Gretton et al. 2012; for pictures Binkowski et al. 2018, "Demystifying MMD GANs"] on random
    subsets: the result is the mean over them, and as `kernel_distance_std` their standard deviation. Unlike the Frechet
    distance it is as large, on average, of few pictures as of many. Known as KID where the features are those of that
    paper's Inception network.

    Args:
        feature_extractor, reference, max_samples, value_range, name: as of `SampleMetric`.
        subsets: how many. One where the subsets would be all there is.
        subset_size: pictures of either side in a subset, drawn without replacement; of fewer pictures, all.
        seed: of the subsets.

    Example:

    ```python
    distance = kgen.metrics.KernelDistance("efficientnet_lite0")
    distance.update_state(real, model.generate(1000))
    distance.result()     # {"kernel_distance_efficientnet_lite0": ..., "kernel_distance_std_efficientnet_lite0": ...}
    ```
    """

    measures = {"kernel_distance": "min", "kernel_distance_std": "min"}

    def __init__(self, feature_extractor=None, reference=None, subsets=100, subset_size=1000, seed=0, **kwargs):
        super().__init__(feature_extractor, reference, **kwargs)
        self.subsets = check_count("KernelDistance", "subsets", subsets)
        self.subset_size = check_count("KernelDistance", "subset_size", subset_size, 2)
        self.seed = seed

    def compare(self, real, generated):
        sets = [in_one_order(features) for features in (real, generated)]
        sizes = [min(self.subset_size, len(features)) for features in sets]
        subsets = 1 if sizes == [len(real), len(generated)] else self.subsets
        draw = np.random.default_rng(self.seed)
        members = [np.zeros((subsets, len(features))) for features in sets]
        for row in range(subsets):
            for member, size in zip(members, sizes):
                member[row, draw.choice(member.shape[1], size, replace=False)] = 1.0
        values = subset_kernel_distances(*sets, *members)
        return [values.mean(), values.std()]

    def get_config(self):
        own = {key: getattr(self, key) for key in ("subsets", "subset_size", "seed")}
        return {**super().get_config(), **own}


def in_one_order(features):
    """Features sorted, so that what is drawn from them does not depend on the order in which they came."""
    return features[np.argsort(features.astype("float64") @ np.cos(np.arange(features.shape[1])), kind="stable")]


def kernel_distance(real, generated):
    """The unbiased squared MMD of two sets of features `(n, dim)` and `(m, dim)`, n and m at least 2, as a float.

    `sum_{i != j} k(x_i, x_j) / n (n - 1) + sum_{i != j} k(y_i, y_j) / m (m - 1) - 2 mean k(x_i, y_j)`.

    Example:

    ```python
    kernel_distance(np.zeros((2, 1)), np.ones((2, 1)))     # 1 + (1 + 1)^3 - 2 * 1 = 7.0
    ```
    """
    everyone = [np.ones((1, len(features))) for features in (real, generated)]
    return float(subset_kernel_distances(real, generated, *everyone)[0])


def subset_kernel_distances(real, generated, real_members, generated_members):
    """`kernel_distance` of many subsets at once, `(subsets,)`.

    Each value of the kernel is computed once, in blocks, and added to the sums of the subsets that it belongs to: less
    work than the kernel of each subset, where they overlap.

    Args:
        real, generated: `(n, dim)` and `(m, dim)`.
        real_members, generated_members: `(subsets, n)` and `(subsets, m)`, 1 where a row is in a subset, else 0.
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
    """The sums over pairs `i != j` of each subset; the kernel is symmetric, so half of it will do."""
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
