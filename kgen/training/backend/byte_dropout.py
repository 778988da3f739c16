"""Dropout in training with a random byte for each number, where Keras draws a random float of four bytes.

A number is dropped if its byte is below `256 rate`, rounded: a rate of 0.3 is 77 / 256 = 0.3008, and what stays is
divided by 1 - 77 / 256, so that the mean is right. Where rounding would change the rate by more than a fiftieth of
itself, as for 0.01, Keras' own dropout runs. Masks come from the layer's seeds, as in Keras.
"""

from __future__ import annotations

from collections.abc import Callable

import keras
import tensorflow as tf


def can_use(layer: keras.layers.Layer) -> bool:
    """Whether it is a plain `Dropout` with a rate that is close enough to a multiple of 1/256."""
    if type(layer) is not keras.layers.Dropout or not 0.0 < layer.rate < 1.0 or layer.noise_shape is not None:
        return False
    return abs(_threshold(layer) / 256 - layer.rate) <= layer.rate / 50 and _threshold(layer) < 256


def call_of(layer: keras.layers.Layer) -> Callable | None:
    """The replacement for the layer's `call`; None if the layer cannot use it."""
    if not can_use(layer):
        return None

    def call(inputs, training=False):
        if not training:
            return inputs
        threshold, count = _threshold(layer), tf.size(inputs)
        # Keras stores seeds as 64-bit integers.
        seed = tf.cast(layer.seed_generator.next() % (tf.int32.max - 1), "int32")
        words = tf.random.stateless_uniform([(count + 3) // 4], seed, None, None, tf.uint32)
        numbers = tf.reshape(tf.bitcast(words, tf.uint8), [-1])[:count]
        kept = tf.reshape(numbers, tf.shape(inputs)) >= tf.constant(threshold, tf.uint8)
        return inputs * (tf.cast(kept, inputs.dtype) * tf.cast(256 / (256 - threshold), inputs.dtype))

    return call


def _threshold(layer):
    return round(256 * layer.rate)
