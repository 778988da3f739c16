"""Running mean and covariance of features."""

from __future__ import annotations

import functools
from types import ModuleType
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from kgen.metrics.replica_rows import ReplicaRows
from kgen.training import backend
from kgen.types import Array, Tensor

# Rows at a time: the centred copy of a block stays small, and the product is still one large matrix product.
_BLOCK = 4096


class Moments(NamedTuple):
    """Count, mean `(dim,)` and covariance `(dim, dim)` (by count - 1) of features, float64."""

    count: int  # type: ignore[assignment]  # tuples have a method of this name
    mean: Array
    covariance: Array


class RunningMoments:
    """Mean and covariance in one pass and constant memory, independent of the order and size of batches.

    Batches are centred on their own mean and merged by the rule of Chan, Golub and LeVeque [1983, "Algorithms for
    computing the sample variance"], in float64, so no digits are lost if the mean is much larger than the spread.

    Args:
        metric: the `keras.metrics.Metric` whose variables hold them.
        name: prefix of the variables' names.
        dim: length of a feature vector.
    """

    kind = "moments"

    def __init__(self, metric: keras.metrics.Metric, name: str, dim: int):
        self.count = ReplicaRows(metric, f"{name}_count", ())
        self.mean = ReplicaRows(metric, f"{name}_mean", (dim,))
        self.scatter = ReplicaRows(metric, f"{name}_scatter", (dim, dim))

    def update(self, features: Tensor) -> None:
        """Takes features `(batch, dim)`: an array, or a tensor in a compiled step."""
        xp = ops if backend.is_traced(features) else np
        state = tuple(rows.own(xp) for rows in (self.count, self.mean, self.scatter))
        if xp is np:
            features = np.asarray(features)
            for start in range(0, len(features), _BLOCK):
                state = merged(state, scattered(features[start : start + _BLOCK].astype("float64"), np), np)
        else:
            state = merged(state, scattered(ops.cast(features, self.mean.dtype), ops), ops)
        for rows, value in zip((self.count, self.mean, self.scatter), state):
            rows.assign(value, xp)

    def read(self) -> Moments:
        """The `Moments` of everything seen by all replicas."""
        replicas = zip(self.count.read(), self.mean.read(), self.scatter.read())
        count, mean, scatter = functools.reduce(lambda total, state: merged(total, state, np), replicas)
        with np.errstate(invalid="ignore", divide="ignore"):
            return Moments(int(round(float(count))), mean, scatter / (count - 1.0))


def scattered(features: Tensor, xp: ModuleType) -> tuple[Tensor, Tensor, Tensor]:
    """`(count, mean, sum of squares about the mean)` of features `(batch, dim)`; the batch may be empty."""
    count = xp.sum(xp.ones_like(features[:, 0]))
    mean = xp.sum(features, axis=0) / xp.maximum(count, 1.0)
    centred = features - mean
    # NumPy sees that both are one array, and computes half of the product.
    return count, mean, xp.matmul(xp.transpose(centred), centred)


def merged(first: tuple[Tensor, ...], second: tuple[Tensor, ...], xp: ModuleType) -> tuple[Tensor, Tensor, Tensor]:
    """The moments of two sets of features together, from the moments of each."""
    (count_1, mean_1, scatter_1), (count_2, mean_2, scatter_2) = first, second
    count = count_1 + count_2
    share = count_2 / xp.maximum(count, 1.0)
    between = mean_2 - mean_1
    return (
        count,
        mean_1 + share * between,
        scatter_1 + scatter_2 + xp.expand_dims(between, 1) * xp.expand_dims(between, 0) * (count_1 * share),
    )
