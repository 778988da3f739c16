"""A layer that gives one image's features the statistics of another, which transfers its style."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kgen.serializable import serializable
from kgen.types import Tensor


@serializable
class AdaptiveInstanceNorm(keras.layers.Layer):
    """Gives each channel of each image's features a mean and a standard deviation that come from elsewhere.

        y = sigma_s * (x - mu(x)) / sigma(x) + mu_s

    where mu(x) and sigma(x) are the mean and standard deviation over positions [Huang & Belongie 2017, "Arbitrary style
    transfer in real-time with adaptive instance normalization"]. It has no weights. Because y is linear in mu_s and
    sigma_s, a mix of two styles' statistics gives the same mix of their results.

    Called as `layer(x, statistics)`: x `(B, H, W, C)`, statistics `(B, 2 C)` from `channel_statistics`. If x is only
    part of a larger image, call `layer(x, statistics, own)`: mu(x) and sigma(x) then come from `own`, the statistics of
    the whole image.

    Args:
        epsilon: added to the variance of x.

    Raises:
        ValueError: if the number of statistics does not match the channels.

    Example:
        ```python
        content, style = keras.random.normal((2, 8, 8, 16)), keras.random.normal((2, 5, 7, 16))
        AdaptiveInstanceNorm()(content, channel_statistics(style)).shape  # (2, 8, 8, 16)
        ```
    """

    def __init__(self, epsilon: float = 1e-5, **kwargs: Any):
        super().__init__(**kwargs)
        self.epsilon = epsilon

    def build(self, x_shape: tuple, statistics_shape: tuple, own_shape: tuple | None = None) -> None:
        if statistics_shape[-1] != 2 * x_shape[-1]:
            raise ValueError(
                f"AdaptiveInstanceNorm: {x_shape[-1]} channels need {2 * x_shape[-1]} statistics, as "
                f"returned by channel_statistics; got {statistics_shape[-1]}."
            )

    def call(self, x: Tensor, statistics: Tensor, own: Tensor | None = None) -> Tensor:
        mean, deviation = ops.split(ops.cast(statistics, "float32")[:, None, None, :], 2, axis=-1)
        own = channel_statistics(x, self.epsilon) if own is None else ops.cast(own, "float32")
        own_mean, own_deviation = ops.split(own[:, None, None, :], 2, axis=-1)
        # One factor and one offset per channel: one pass over x.
        factor = deviation / own_deviation
        return x * ops.cast(factor, x.dtype) + ops.cast(mean - own_mean * factor, x.dtype)

    def compute_output_shape(
        self, x_shape: tuple, statistics_shape: tuple | None = None, own_shape: tuple | None = None
    ) -> tuple:
        return x_shape


def channel_statistics(features: Tensor, epsilon: float = 1e-5) -> Tensor:
    """Mean and standard deviation of each channel over positions.

    Args:
        features: `(batch, height, width, C)`.
        epsilon: added to the variance, so that the square root has a finite slope at 0.

    Returns:
        float32 tensor `(batch, 2 C)`: the means, then the standard deviations.

    Example:
        ```python
        channel_statistics(keras.ops.ones((1, 4, 4, 2)))  # [[1, 1, 0.003, 0.003]]
        ```
    """
    wide = ops.cast(features, "float32")
    mean = ops.mean(wide, axis=(1, 2), keepdims=True)
    variance = ops.mean(ops.square(wide - mean), axis=(1, 2))
    return ops.concatenate([mean[:, 0, 0, :], ops.sqrt(variance + epsilon)], axis=-1)
