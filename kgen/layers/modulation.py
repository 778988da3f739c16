"""Normalisation whose scale and shift come from a condition vector."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kgen.serializable import serializable
from kgen.types import Tensor

NORMALIZATIONS = ("rms", "layer", "group", "batch", None)


@serializable
class Modulation(keras.layers.Layer):
    """Normalises features, then scales and shifts each channel by functions of a condition.

        y = normalize(x) * (1 + scale(c)) + shift(c)

    where `scale` and `shift` are one linear projection of c that starts at 0, so the layer starts as a plain
    normalisation. This is FiLM (Perez et al. 2018) over a normalised input, the form shared by AdaIN (Huang &
    Belongie 2017) and conditional batch normalisation (de Vries et al. 2017). Without a condition, scale and shift are
    learned constants. Statistics are float32. Except for `"batch"` they depend on one image, not on its batch.

    Called as `layer(x, condition=None)`: x `(B, ..., C)`, condition `(B, P)`. Returns `(B, ..., C)`.

    Args:
        normalization: `"rms"`: each position by the root mean square of its channels; `"layer"`: each position by
            mean and variance of its channels; `"group"`: each group of channels by mean and variance over the image
            (fastest on CPU); `"batch"`: each channel by mean and variance over the batch and all positions in
            training, by their moving averages otherwise (Ioffe & Szegedy 2015); None: nothing.
        groups: number of groups for `"group"`; it must divide the channels.
        epsilon: added to the variance or mean square.
        momentum: of the moving averages of `"batch"`.

    Raises:
        ValueError: if `normalization` is unknown, or `groups` does not divide the channels.

    Example:
        ```python
        x, c = keras.random.normal((2, 8, 8, 32)), keras.random.normal((2, 16))
        Modulation()(x, c).shape  # (2, 8, 8, 32)
        ```
    """

    def __init__(
        self,
        normalization: str | None = "rms",
        groups: int = 8,
        epsilon: float = 1e-5,
        momentum: float = 0.99,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if normalization not in NORMALIZATIONS:
            raise ValueError(f"Modulation: normalization must be one of {NORMALIZATIONS}; got {normalization!r}.")
        self.normalization = normalization
        self.groups = groups
        self.epsilon = epsilon
        self.momentum = momentum

    def build(self, x_shape: tuple, condition_shape: tuple | None = None) -> None:
        channels = x_shape[-1]
        if self.normalization == "group" and channels % self.groups:
            raise ValueError(f"Modulation: {channels} channels cannot be split into groups={self.groups}.")
        # === Layers ===
        self.projection = self.affine = None
        if condition_shape is not None:
            self.projection = keras.layers.Dense(
                2 * channels, kernel_initializer="zeros", dtype=self.dtype_policy, name="scale_and_shift"
            )
            self.projection.build(condition_shape)
        elif self.normalization is not None:
            self.affine = self.add_weight(shape=(2 * channels,), initializer="zeros", name="scale_and_shift")
        if self.normalization == "batch":
            self.moving_mean = self._moving_average("moving_mean", "zeros", channels)
            self.moving_variance = self._moving_average("moving_variance", "ones", channels)

    def _moving_average(self, name, initializer, channels):
        return self.add_weight(
            shape=(channels,),
            initializer=initializer,
            trainable=False,
            dtype="float32",
            autocast=False,
            aggregation="mean",
            name=name,
        )

    def call(self, x: Tensor, condition: Tensor | None = None, training: bool | None = None) -> Tensor:
        scale, shift = self._scale_and_shift(x, condition)
        if self.normalization in ("group", "batch"):
            group = self.normalization == "group"
            mean, variance = self._group_moments(x) if group else self._batch_moments(x, training)
            # Statistics and modulation are folded into one factor and one offset per channel: one pass over x.
            factor = ops.rsqrt(variance + self.epsilon) * (1 + ops.cast(scale, "float32"))
            offset = ops.cast(shift, "float32") - mean * factor
            return x * ops.cast(factor, x.dtype) + ops.cast(offset, x.dtype)
        if self.normalization is not None:
            x = self._normalize_positions(x)
        return x if scale is None else x * (1 + scale) + shift

    def _scale_and_shift(self, x, condition):
        """Two tensors that broadcast to x."""
        if (condition is None) != (self.projection is None):
            built, came = ("without", "passes one") if self.projection is None else ("with", "passes none")
            raise ValueError(f"Modulation: {self.name} was built {built} a condition, but this call {came}.")
        if condition is not None:
            both = self.projection(condition)
        elif self.affine is not None:
            both = ops.expand_dims(self.affine, 0)
        else:
            return None, None
        both = ops.reshape(both, (-1,) + (1,) * (len(x.shape) - 2) + (2 * x.shape[-1],))
        return ops.split(both, 2, axis=-1)

    def _normalize_positions(self, x):
        wide = ops.cast(x, "float32")
        if self.normalization == "layer":
            wide = wide - ops.mean(wide, axis=-1, keepdims=True)
            x = ops.cast(wide, x.dtype)
        size = ops.mean(ops.square(wide), axis=-1, keepdims=True)
        return x * ops.cast(ops.rsqrt(size + self.epsilon), x.dtype)

    def _group_moments(self, x):
        """Float32 mean and variance of each image's groups, repeated for each of their channels."""
        channels = x.shape[-1]
        wide, axes = ops.cast(x, "float32"), tuple(range(1, len(x.shape) - 1))
        mean = self._share_in_groups(ops.mean(wide, axis=axes, keepdims=True), channels)
        square = self._share_in_groups(ops.mean(ops.square(wide), axis=axes, keepdims=True), channels)
        return mean, ops.maximum(square - ops.square(mean), 0.0)

    def _batch_moments(self, x, training):
        """Float32 mean and variance of each channel: of this batch in training, else the moving averages.

        A frozen layer does not train, as in Keras' own batch normalisation.
        """
        if not training or not self.trainable:
            return self.moving_mean.value, self.moving_variance.value
        wide, axes = ops.cast(x, "float32"), tuple(range(len(x.shape) - 1))
        mean = self.mean_of_batch(wide, axes)
        variance = self.mean_of_batch(ops.square(wide - mean), axes)
        for average, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            value = ops.stop_gradient(value)
            average.assign(self.momentum * average.value + (1 - self.momentum) * value)
        return mean, variance

    @staticmethod
    def mean_of_batch(values: Tensor, axes: tuple) -> Tensor:
        """The mean over some axes. Training replaces this method where replicas share a batch."""
        return ops.mean(values, axis=axes)

    def _share_in_groups(self, per_channel, channels):
        grouped = ops.reshape(per_channel, (-1, self.groups, channels // self.groups))
        shared = ops.mean(grouped, axis=-1, keepdims=True) + ops.zeros_like(grouped)
        return ops.reshape(shared, (-1,) + tuple(per_channel.shape[1:]))

    def compute_output_shape(self, x_shape: tuple, condition_shape: tuple | None = None) -> tuple:
        return x_shape
