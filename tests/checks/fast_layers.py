"""What a faster `call` of a layer in a training step owes to Keras' own."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import tensorflow as tf

from kgen.training import backend
from kgen.training.backend.fast_layers import fast_layers


def results(layer: Any, inputs: Any, fast: bool, **arguments: Any) -> list[np.ndarray]:
    """Outputs, and the gradients of a function of them by inputs and weights; all float32."""
    with fast_layers([layer] if fast else []), tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = layer(inputs, **arguments)
        slopes = np.random.default_rng(2).normal(size=outputs.shape)
        total = tf.reduce_sum(tf.sin(tf.cast(outputs, "float32")) * slopes)
    gradients = tape.gradient(total, [inputs, *(v.value for v in layer.trainable_variables)])
    return [np.array(tf.cast(tensor, "float32")) for tensor in (outputs, *gradients)]


def assert_close(found: Iterable, expected: Iterable, rtol: float, atol: float) -> None:
    """Pairs of arrays are equal; `atol` is relative to the largest number in each."""
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=rtol, atol=atol * np.abs(other).max())


def check_slope_penalty(make_layer: Callable, inputs: Any, **arguments: Any) -> None:
    """A penalty on the slope of the outputs, and its gradients by the weights, are those of Keras."""
    found = []
    for fast in (True, False):
        layer = make_layer()

        def outputs(x, layer=layer):
            value = tf.sin(layer(x, **arguments))
            return tf.reduce_sum(value, axis=range(1, len(value.shape)))

        def penalty(outputs=outputs):
            return tf.reduce_sum(tf.square(backend.input_gradient(outputs, inputs))), ()

        with fast_layers([layer] if fast else []):
            found.append(backend.value_and_grad(penalty, layer.trainable_variables))
    ((one, _), gradients), ((other, _), expected) = found
    np.testing.assert_allclose(one, other, rtol=1e-4)
    assert_close(map(np.array, gradients), map(np.array, expected), rtol=1e-3, atol=1e-4)


def operations_of(step: Callable, *shape: int | None) -> list[str]:
    """The types of operations in the graph of a step that takes a batch of this shape."""
    graph = tf.function(step).get_concrete_function(tf.TensorSpec((None, *shape))).graph
    return [operation.type for operation in graph.get_operations()]
