"""Running numbers that each replica keeps for itself until they are read."""

from __future__ import annotations

from types import ModuleType

import keras
import numpy as np
from keras import ops

from kgen.training import backend
from kgen.types import Array, Tensor


class ReplicaRows:
    """A metric's variable with a row for each replica.

    `tf.distribute` reads a metric's variables as the sum over replicas, but means and samples cannot be added that way.
    So each replica writes to its own row and leaves zeros in the others: the sum then has the rows of all replicas.

    If variables cannot be float64 (JAX by default), a precise one is a pair: a float32 and its rounding error, 48 bits
    together. The host computes with both; a compiled step then computes in float32.

    Args:
        metric: the `keras.metrics.Metric` that owns it.
        name: name of the variable.
        shape: shape of one row.
        precise: whether float64 is wanted.
    """

    def __init__(self, metric: keras.metrics.Metric, name: str, shape: tuple[int, ...], precise: bool = True):
        self.replicas = backend.replicas()
        self.dtype = backend.widest_float() if precise else "float32"
        parts = 2 if precise and self.dtype == "float32" else 1
        self.variable = metric.add_variable(
            (parts, self.replicas, *shape), initializer="zeros", dtype=self.dtype, name=name
        )

    def read(self) -> Array:
        """All rows as numpy `(replicas, ...)`."""
        return self._joined(ops.convert_to_numpy(self.variable))

    def own(self, xp: ModuleType) -> Tensor:
        """This replica's row; `xp` is numpy, or keras.ops in a compiled step."""
        index = backend.replica_index()
        if xp is np:
            return self.read()[int(index)]
        return self._joined(self.variable)[0 if self.replicas == 1 else index]

    def assign(self, value: Tensor, xp: ModuleType) -> None:
        """Sets this replica's row."""
        index, parts = backend.replica_index(), []
        for _ in range(self.variable.shape[0]):
            part = value.astype(self.dtype) if xp is np else ops.cast(value, self.dtype)
            parts.append(part)
            value = value - part
        rows = xp.expand_dims(xp.stack(parts), 1)
        if self.replicas > 1:
            mine = xp.reshape(xp.arange(self.replicas) == index, (1, -1) + (1,) * (len(rows.shape) - 2))
            rows = xp.where(mine, rows, ops.convert_to_numpy(self.variable) if xp is np else self.variable)
        self.variable.assign(rows)

    @staticmethod
    def _joined(stored):
        if stored.shape[0] == 1:
            return stored[0]
        return stored[0].astype("float64") + stored[1] if isinstance(stored, np.ndarray) else stored[0] + stored[1]
