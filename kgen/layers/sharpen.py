"""A filter that sharpens images."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from kgen.checks import number
from kgen.layers.image_filter import ImageFilter
from kgen.layers.resize import along_sides
from kgen.serializable import serializable
from kgen.types import Tensor


@serializable
class Sharpen(ImageFilter):
    """Sharpens images `(B, H, W, C)` in [0, 1] by unsharp masking, for a model's `postprocessing`.

        y = x + amount (x - G x)

    clipped to [0, 1]. G is a Gaussian blur; at the border, its weights inside the image are divided by their sum.

    Args:
        amount: how much of the detail that blurring removes is added, at least 0; 0 changes nothing.
        radius: standard deviation of the Gaussian in pixels, above 0.

    Raises:
        ValueError: if `amount` is negative or `radius` is not positive.

    Example:
        ```python
        Sharpen(0.5)(keras.random.uniform((1, 64, 64, 3))).shape  # (1, 64, 64, 3)
        ```
    """

    def __init__(self, amount: float = 0.5, radius: float = 1.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.amount = number("Sharpen", "amount", amount, least=0.0)
        if not radius > 0:
            raise ValueError(f"Sharpen: radius must be positive; got {radius!r}.")
        self.radius = radius

    def apply(self, images: Tensor) -> Tensor:
        height, width = images.shape[1:3]
        blurred = along_sides(images, _gaussian(height, self.radius), _gaussian(width, self.radius))
        return images + self.amount * (images - blurred)


@functools.lru_cache(maxsize=64)
def _gaussian(length, radius):
    places = np.arange(length)
    weights = np.exp(-0.5 * ((places - places[:, None]) / radius) ** 2)
    return (weights / weights.sum(axis=1, keepdims=True)).astype("float32")
