"""Pictures out of focus."""

import keras
import numpy as np
from keras import ops

from kgen.layers.degradation import Degradation, checked_range, drawn_between

# Narrower, and a pixel has no neighbours: the identity, without a division by 0.
_LEAST = 0.05


@keras.saving.register_keras_serializable(package="kgen")
class Blur(Degradation):
    """Pictures `(B, H, W, C)` in [0, 1] blurred by a Gaussian, of one deviation for each picture.

    The weights within the picture are divided by their sum. Keras' `RandomGaussianBlur` draws one deviation for the
    whole batch, of at most one pixel.

    Args:
        sigma: deviation in pixels, a number or `(low, high)`; 0 changes nothing.
        seed: as of `Degradation`.

    Raises:
        ValueError: for a negative deviation.

    Example:
        ```python
        Blur((0, 2), seed=0)(keras.random.uniform((2, 64, 64, 3))).shape  # (2, 64, 64, 3)
        ```
    """

    def __init__(self, sigma=(0.0, 2.0), seed=None, **kwargs):
        super().__init__(seed=seed, **kwargs)
        self.sigma = checked_range("Blur", "sigma", sigma)

    def parameters(self, batch, shape, seed):
        return {"sigma": drawn_between(self.sigma, batch, seed)}

    def apply(self, images, parameters):
        height, width = images.shape[1:3]
        sigma = ops.maximum(parameters["sigma"], _LEAST)
        x = ops.transpose(images, (0, 3, 1, 2))
        x = ops.matmul(_weights(height, sigma), ops.matmul(x, ops.swapaxes(_weights(width, sigma), 2, 3)))
        return ops.transpose(x, (0, 2, 3, 1))

    # === Config ===
    def get_config(self):
        return {**super().get_config(), "sigma": list(self.sigma)}


def _weights(length, sigma):
    """`(B, 1, length, length)`, rows that sum to 1."""
    places = np.arange(length, dtype="float32")
    weights = ops.exp(-0.5 * ops.square((places - places[:, None])[None, None] / sigma))
    return weights / ops.sum(weights, axis=-1, keepdims=True)
