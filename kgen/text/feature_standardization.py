"""Text features with zero mean and unit deviation over the training captions."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from kgen.serializable import serializable
from kgen.types import Array, Tensor


@serializable
class FeatureStandardization(keras.layers.Layer):
    """(x - mean) / (deviation + epsilon), clipped, with mean and deviation of each feature learned by `adapt`.

    Language models have a few features that are far larger than the rest, and some that never change; a network that
    reads them raw learns slowly. Before `adapt` the layer changes nothing.

    Args:
        epsilon: share of the mean deviation that is added to each deviation, so that a constant feature is not
            amplified.
        limit: largest magnitude of the result; it keeps an unusual caption near those seen in training.

    Example:

    ```python
    standardize = kgen.text.FeatureStandardization()
    standardize.build((None, 384))
    standardize.adapt(features)                 # (N, 384)
    ```
    """

    def __init__(self, epsilon: float = 0.05, limit: float = 6.0, **kwargs: Any):
        super().__init__(**{"dtype": "float32", "trainable": False, **kwargs})
        self.epsilon = epsilon
        self.limit = limit

    def build(self, input_shape):
        size = (input_shape[-1],)
        self.mean = self.add_weight(shape=size, initializer="zeros", trainable=False, name="mean")
        self.scale = self.add_weight(shape=size, initializer="ones", trainable=False, name="scale")
        self.adapted = self.add_weight(shape=(), initializer="zeros", trainable=False, name="adapted")
        self.built = True

    def adapt(self, features: Array) -> None:
        """Sets mean and deviation from an array `(N, features)`.

        Raises:
            ValueError: for another shape, or no rows.
        """
        features = np.asarray(features, "float64")
        if features.ndim != 2 or not len(features):
            raise ValueError(f"FeatureStandardization: adapt needs an array (N, features); got shape {features.shape}.")
        deviation = features.std(axis=0)
        # A single caption has no spread: then only the mean is subtracted.
        spread = deviation.mean() or 1.0
        self.mean.assign(features.mean(axis=0).astype("float32"))
        self.scale.assign((1.0 / (deviation + self.epsilon * spread)).astype("float32"))
        self.adapted.assign(1.0)

    def call(self, inputs: Tensor) -> Tensor:
        """Standardized features; unchanged before `adapt`."""
        result = (ops.cast(inputs, "float32") - self.mean) * self.scale
        return ops.where(self.adapted > 0, ops.clip(result, -self.limit, self.limit), inputs)
