"""A fair running sample of features."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from kgen.metrics.replica_rows import ReplicaRows
from kgen.training import backend
from kgen.training.seeds import threefry
from kgen.types import Array, Tensor


class RunningSample:
    """At most `size` feature vectors, chosen at random from all that were seen.

    The n-th vector has a random priority that depends on n alone, and the vectors with the highest priorities are kept.
    Up to `size`, these are all vectors; beyond that, the choice does not depend on the batch size.

    Args:
        metric: the `keras.metrics.Metric` whose variables hold them.
        name: prefix of the variables' names.
        dim: length of a feature vector.
        size: the most vectors to keep, in all replicas together.
    """

    kind = "sample"

    def __init__(self, metric: keras.metrics.Metric, name: str, dim: int, size: int):
        self.size = size
        own_size = -(-size // backend.replicas())
        self.seen = ReplicaRows(metric, f"{name}_seen", ())
        self.priorities = ReplicaRows(metric, f"{name}_priorities", (own_size,), precise=False)
        self.features = ReplicaRows(metric, f"{name}_features", (own_size, dim), precise=False)

    def update(self, features: Tensor) -> None:
        """Takes features `(batch, dim)`: an array, or a tensor in a compiled step."""
        xp = ops if backend.is_traced(features) else np
        seen, kept = self.seen.own(xp), self.features.own(xp)
        priorities = _priorities(seen, features)
        if xp is np:
            features, priorities = np.asarray(features, "float32"), ops.convert_to_numpy(priorities)
            count = len(features)
        else:
            features, count = ops.cast(features, "float32"), ops.cast(ops.shape(features)[0], seen.dtype)
        priorities = xp.concatenate([self.priorities.own(xp), priorities])
        # Empty places have priority zero and come last.
        best = xp.argsort(-priorities)[: kept.shape[0]]
        self.seen.assign(seen + count, xp)
        self.priorities.assign(xp.take(priorities, best), xp)
        self.features.assign(xp.take(xp.concatenate([kept, features]), best, axis=0), xp)

    def read(self) -> Array:
        """float32 `(at most size, dim)`: the sample of everything seen by all replicas, highest priority first."""
        priorities = self.priorities.read().reshape(-1)
        features = self.features.read().reshape(len(priorities), -1)
        best = np.argsort(-priorities, kind="stable")[: self.size]
        return features[best[priorities[best] > 0.0]]


def _priorities(seen, features):
    """float32 `(batch,)` in (0, 1), for the vectors that follow the first `seen`."""
    index = ops.cast(seen, "int32") + ops.arange(ops.shape(features)[0], dtype="int32")
    replica = ops.zeros_like(index) + ops.cast(backend.replica_index(), "int32")
    bits, _ = threefry(replica, ops.zeros_like(index), index, ops.zeros_like(index))
    return (ops.cast(ops.bitwise_and(bits, 0xFFFFFF), "float32") + 0.5) * 2.0**-24
