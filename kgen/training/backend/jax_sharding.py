"""A batch that `keras.distribution` shares between devices, such that any number of them equals one.

JAX sees the whole batch, so losses need nothing. It refuses to share out rows whose number the devices do not divide:
all devices then compute all of them, as a last batch is short and rare. And what a step draws by itself, such as the
latents of a generator, is in no device's share until it is said that it has rows like the batch.

This changes what Keras does not promise to keep, how its trainer goes through data; it is done for the versions in
`CHECKED`. Before you add one, run tests/distributed/test_sharding.py with it.
"""

from __future__ import annotations

from typing import Any

import jax
import keras

from kgen.types import Tensor

# Versions of Keras, without the patch number.
CHECKED = ("3.15",)


def adapt(model: keras.Model) -> None:
    """Lets Keras' trainer take batches that the devices do not divide, in all that is fitted and evaluated."""
    if ".".join(keras.__version__.split(".")[:2]) not in CHECKED:
        return

    # What the trainer calls with each iterator, before it begins.
    def build(iterator=None, data_batch=None):
        if iterator is not None and keras.distribution.distribution() is not None and jax.process_count() == 1:
            iterator._get_iterator = lambda: map(_shared, iterator.data_adapter.get_jax_iterator())
        type(model)._symbolic_build(model, iterator=iterator, data_batch=data_batch)

    model.__dict__["_symbolic_build"] = build


def _shared(batch):
    return keras.tree.map_structure(lambda x: None if x is None else jax.device_put(x, _layout(x)), batch)


def like_batch(tensor: Tensor) -> Tensor:
    """A constraint on where a tensor's rows are, if there is a distribution."""
    if keras.distribution.distribution() is None or not isinstance(tensor, jax.core.Tracer):
        return tensor
    return jax.lax.with_sharding_constraint(tensor, _layout(tensor))


def _layout(tensor: Any) -> Any:
    """Rows shared out over the devices of the batch's axis, if these divide their number."""
    distribution: Any = keras.distribution.distribution()
    mesh = distribution.device_mesh
    if tensor.shape[0] % mesh.shape[mesh.axis_names.index(distribution.batch_dim_name)] == 0:
        return distribution.get_data_layout(tensor.shape).backend_layout
    return keras.distribution.TensorLayout([None] * len(tensor.shape), mesh).backend_layout
