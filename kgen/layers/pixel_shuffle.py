"""Channels moved into pixels: upsampling without interpolation."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kgen.checks import integer
from kgen.serializable import serializable
from kgen.types import Tensor


@serializable
class PixelShuffle(keras.layers.Layer):
    """Moves blocks of channels into space: `(B, H, W, factor^2 * C)` to `(B, factor * H, factor * W, C)`.

        y[b, f*h + i, f*w + j, c] = x[b, h, w, (f*i + j) * C + c]

    It is `keras.ops.depth_to_space` as a layer. After a convolution this is the sub-pixel convolution of Shi et al.
    (2016): a coarse convolution makes the fine pixels. On CPU it is several times cheaper than a convolution over
    the upsampled image.

    Args:
        factor: how many times larger both sides become; 1 changes nothing.

    Raises:
        ValueError: if `factor` is below 1, or factor^2 does not divide the channels.

    Example:
        ```python
        PixelShuffle(2)(keras.random.normal((1, 4, 4, 12))).shape  # (1, 8, 8, 3)
        ```
    """

    def __init__(self, factor: int = 2, **kwargs: Any):
        super().__init__(**kwargs)
        self.factor = integer("PixelShuffle", "factor", factor)

    def build(self, input_shape: tuple) -> None:
        if input_shape[-1] % self.factor**2:
            raise ValueError(
                f"PixelShuffle: {input_shape[-1]} channels cannot be spread over {self.factor}x{self.factor} pixels."
            )

    def call(self, inputs: Tensor) -> Tensor:
        # Keras refuses a factor of 1.
        return inputs if self.factor == 1 else ops.depth_to_space(inputs, self.factor, data_format="channels_last")

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        batch, height, width, channels = input_shape
        height, width = (None if side is None else side * self.factor for side in (height, width))
        return (batch, height, width, channels // self.factor**2)
