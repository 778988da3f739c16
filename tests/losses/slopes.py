"""Values and gradients of losses on any backend."""

from keras import ops

from kgen.training import backend


def slope(loss, inputs):
    """`(values, gradient of their sum with respect to inputs)` of a loss with one value per sample, as arrays."""
    inputs = ops.convert_to_tensor(inputs)
    return ops.convert_to_numpy(loss(inputs)), ops.convert_to_numpy(
        ops.stop_gradient(backend.input_gradient(loss, inputs))
    )
