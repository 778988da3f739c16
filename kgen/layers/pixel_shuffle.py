"""Channels into pixels: upsampling without interpolation."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kgen")
class PixelShuffle(keras.layers.Layer):
    """Moves blocks of channels into space: `(B, H, W, factor^2 * C)` to `(B, factor * H, factor * W, C)`.

        y[b, f*h + i, f*w + j, c] = x[b, h, w, (f*i + j) * C + c]

    After a convolution this is the sub-pixel convolution of Shi et al. (2016): a coarse convolution makes the fine
    pixels, several times cheaper on CPU than a convolution over the upsampled image.

    Args:
        factor: how many times larger both sides become.

    Raises:
        ValueError: `factor` is below 1, or factor^2 does not divide the channels.

    Example:
        ```python
        PixelShuffle(2)(keras.random.normal((1, 4, 4, 12))).shape  # (1, 8, 8, 3)
        ```
    """

    def __init__(self, factor=2, **kwargs):
        super().__init__(**kwargs)
        if factor < 1:
            raise ValueError(f"PixelShuffle: factor must be at least 1; got {factor}.")
        self.factor = factor

    def build(self, input_shape):
        if input_shape[-1] % self.factor**2:
            raise ValueError(
                f"PixelShuffle: {input_shape[-1]} channels cannot be spread over {self.factor}x{self.factor} pixels."
            )

    def call(self, inputs):
        factor, shape = self.factor, ops.shape(inputs)
        channels = inputs.shape[-1] // factor**2
        x = ops.reshape(inputs, (-1, shape[1], shape[2], factor, factor, channels))
        x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
        return ops.reshape(x, (-1, factor * shape[1], factor * shape[2], channels))

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape
        height, width = (None if side is None else side * self.factor for side in (height, width))
        return (batch, height, width, channels // self.factor**2)

    # === Config ===
    def get_config(self):
        config = super().get_config()
        config.update({"factor": self.factor})
        return config
