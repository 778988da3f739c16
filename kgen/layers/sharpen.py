"""Sharper pictures."""

import functools

import keras
import numpy as np
from keras import ops

from kgen.layers.resize import along_sides


@keras.saving.register_keras_serializable(package="kgen")
class Sharpen(keras.layers.Layer):
    """Unsharp masking of pictures `(B, H, W, C)` in [0, 1]: x + amount (x - G x), cut off at 0 and 1.

    G blurs by a Gaussian, whose weights within the picture are divided by their sum. Post-processing, for a model's
    `postprocessing`.

    Args:
        amount: how much of what blurring takes away is added; 0 changes nothing.
        radius: standard deviation of the Gaussian in pixels, above 0.

    Raises:
        ValueError: for a negative amount, or a radius that is not positive.

    Example:
        ```python
        Sharpen(0.5)(keras.random.uniform((1, 64, 64, 3))).shape  # (1, 64, 64, 3)
        ```
    """

    def __init__(self, amount=0.5, radius=1.0, **kwargs):
        super().__init__(**kwargs)
        if not amount >= 0:
            raise ValueError(f"Sharpen: amount must not be negative; got {amount!r}.")
        if not radius > 0:
            raise ValueError(f"Sharpen: radius must be positive; got {radius!r}.")
        self.amount = amount
        self.radius = radius

    def call(self, images):
        height, width = images.shape[1:3]
        images = ops.cast(images, "float32")
        blurred = along_sides(images, _gaussian(height, self.radius), _gaussian(width, self.radius))
        return ops.cast(ops.clip(images + self.amount * (images - blurred), 0.0, 1.0), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    # === Config ===
    def get_config(self):
        return {**super().get_config(), "amount": self.amount, "radius": self.radius}


@functools.lru_cache(maxsize=64)
def _gaussian(length, radius):
    places = np.arange(length)
    weights = np.exp(-0.5 * ((places - places[:, None]) / radius) ** 2)
    return (weights / weights.sum(axis=1, keepdims=True)).astype("float32")
