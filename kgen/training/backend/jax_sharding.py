"""A batch that `keras.distribution` splits over devices, with the same result for any number of devices.

JAX sees the whole batch, so losses need no change. But it refuses to split rows that do not divide evenly over the
devices. All devices then compute all rows; only the short last batch needs this. And random tensors that a step draws,
such as a generator's latents, are not split until JAX is told that they have rows like the batch.

This changes an internal of Keras, how its trainer iterates over data, so it is done only for the versions in `CHECKED`.
Before you add one, run tests/distributed/test_sharding.py with it.
"""

from __future__ import annotations

from typing import Any

import jax
import keras

from kgen.types import Tensor

# Versions of Keras, without the patch number.
CHECKED = ("3.15",)


def adapt(model: keras.Model) -> None:
    """Lets Keras' trainer take batches that do not divide evenly over the devices, in `fit` and `evaluate`."""
    if ".".join(keras.__version__.split(".")[:2]) not in CHECKED:
        return

    # The trainer calls this with each iterator before the first batch.
    def build(iterator=None, data_batch=None):
        if iterator is not None and keras.distribution.distribution() is not None and jax.process_count() == 1:
            iterator._get_iterator = lambda: map(_shared, iterator.data_adapter.get_jax_iterator())
        type(model)._symbolic_build(model, iterator=iterator, data_batch=data_batch)

    model.__dict__["_symbolic_build"] = build


def _shared(batch):
    return keras.tree.map_structure(lambda x: None if x is None else jax.device_put(x, _layout(x)), batch)


def like_batch(tensor: Tensor) -> Tensor:
    """The tensor with its rows placed like the batch's, if there is a distribution."""
    if keras.distribution.distribution() is None or not isinstance(tensor, jax.core.Tracer):
        return tensor
    return jax.lax.with_sharding_constraint(tensor, _layout(tensor))


def _layout(tensor: Any) -> Any:
    """Splits rows over the devices of the batch axis if they divide evenly; else every device has all rows."""
    distribution: Any = keras.distribution.distribution()
    mesh = distribution.device_mesh
    if tensor.shape[0] % mesh.shape[mesh.axis_names.index(distribution.batch_dim_name)] == 0:
        return distribution.get_data_layout(tensor.shape).backend_layout
    return keras.distribution.TensorLayout([None] * len(tensor.shape), mesh).backend_layout
