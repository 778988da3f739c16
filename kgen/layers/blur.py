"""A degradation that blurs images."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from kgen.layers.degradation import Degradation, Range, checked_range, drawn_between
from kgen.layers.seeded_layer import Seed
from kgen.serializable import serializable
from kgen.types import Tensor

# Below this sigma, a pixel sees no neighbours. The result is the image itself, without a division by 0.
_LEAST = 0.05


@serializable
class Blur(Degradation):
    """Blurs images `(B, H, W, C)` in [0, 1] by a Gaussian, with one sigma for each image.

    At the border, only pixels inside the image count; their weights are divided by their sum. In contrast, Keras'
    `RandomGaussianBlur` draws one sigma for the whole batch, of at most one pixel.

    Args:
        sigma: standard deviation in pixels, a number or `(low, high)`; 0 changes nothing.
        seed: as in `Degradation`.

    Raises:
        ValueError: if `sigma` is negative.

    Example:
        ```python
        Blur((0, 2), seed=0)(keras.random.uniform((2, 64, 64, 3))).shape  # (2, 64, 64, 3)
        ```
    """

    def __init__(self, sigma: Range = (0.0, 2.0), seed: Seed = None, **kwargs: Any):
        super().__init__(seed=seed, **kwargs)
        self.sigma = checked_range("Blur", "sigma", sigma)

    def parameters(self, batch: int | Tensor, shape: tuple, seed: keras.random.SeedGenerator) -> dict[str, Tensor]:
        return {"sigma": drawn_between(self.sigma, batch, seed)}

    def apply(self, images: Tensor, parameters: dict[str, Tensor]) -> Tensor:
        height, width = images.shape[1:3]
        sigma = ops.maximum(parameters["sigma"], _LEAST)
        x = ops.transpose(images, (0, 3, 1, 2))
        x = ops.matmul(_weights(height, sigma), ops.matmul(x, ops.swapaxes(_weights(width, sigma), 2, 3)))
        return ops.transpose(x, (0, 2, 3, 1))


def _weights(length, sigma):
    """`(B, 1, length, length)`, rows that sum to 1."""
    places = np.arange(length, dtype="float32")
    weights = ops.exp(-0.5 * ops.square((places - places[:, None])[None, None] / sigma))
    return weights / ops.sum(weights, axis=-1, keepdims=True)
