"""Batch normalisation in training by TensorFlow's fused kernel, inside Keras' own layer.

Keras reads its input about five times in the forward pass, and five times more for the gradient; the kernel reads it
twice. Weights, statistics and what is saved stay those of the layer.

This relies on internals that Keras may change: that `call(inputs, training, mask)` of the layer normalises by the
moments of the batch over all axes but the last, and moves `moving_mean` and `moving_variance` towards them by
`momentum`. So it runs only with the Keras versions that it was checked with. Before you add a version to `CHECKED`,
read `keras/src/layers/normalization/batch_normalization.py` there, and run tests/training/test_fused_batch_norm.py.
"""

from __future__ import annotations

from collections.abc import Callable

import keras
import tensorflow as tf

# Versions of Keras, without the patch number.
CHECKED = ("3.15",)


def can_fuse(layer: keras.layers.Layer) -> bool:
    """Whether it is a plain `BatchNormalization` over the last axis, in a Keras version that this was checked with."""
    return (
        type(layer) is keras.layers.BatchNormalization
        and ".".join(keras.__version__.split(".")[:2]) in CHECKED
        and layer.built
        and layer.input_spec.ndim in (2, 4)
        and layer.axis in (-1, layer.input_spec.ndim - 1)
        and layer.dtype_policy.compute_dtype in ("float32", "bfloat16", "float16")
        and layer.dtype_policy.variable_dtype == "float32"
        and not layer.renorm
        and not layer.synchronized
    )


def call_of(layer: keras.layers.Layer) -> Callable | None:
    """The replacement for the layer's `call`; None if the layer cannot use it."""
    if not can_fuse(layer):
        return None
    by_keras = layer.call

    def call(inputs, training=None, mask=None):
        if not training or not layer.trainable or mask is not None:
            return by_keras(inputs, training=training, mask=mask)
        channels = inputs.shape[-1]
        grid = inputs if len(inputs.shape) == 4 else inputs[:, None, None, :]
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=grid,
            scale=tf.ones([channels]) if layer.gamma is None else layer.gamma.value,
            offset=tf.zeros([channels]) if layer.beta is None else layer.beta.value,
            mean=tf.zeros([0]),
            variance=tf.zeros([0]),
            epsilon=layer.epsilon,
            exponential_avg_factor=1.0,
            is_training=True,
        )
        # The kernel divides the variance by count - 1; Keras' moving variance uses the one divided by count.
        count = tf.cast(tf.size(grid) // channels, variance.dtype)
        variance *= (count - 1.0) / count
        for average, value in ((layer.moving_mean, mean), (layer.moving_variance, variance)):
            average.assign(average * layer.momentum + value * (1.0 - layer.momentum))
        return outputs if len(inputs.shape) == 4 else outputs[:, 0, 0, :]

    return call
