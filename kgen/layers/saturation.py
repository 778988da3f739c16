"""A filter that makes images more or less colourful."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from kgen.checks import number
from kgen.layers.image_filter import ImageFilter
from kgen.serializable import serializable
from kgen.types import Tensor

# How bright red, green and blue look (ITU-R BT.601), as in Pillow.
_LUMA = np.array([0.299, 0.587, 0.114], "float32")


@serializable
class Saturation(ImageFilter):
    """Makes images `(B, H, W, 3)` in [0, 1] more or less colourful, for a model's `postprocessing`.

        y = Y + factor (x - Y),    Y the luma of a pixel

    clipped to [0, 1]. Images with one channel do not change. In contrast, Keras' `RandomSaturation` works only in
    training, for augmentation.

    Args:
        factor: at least 0. 0 leaves only greys, 1 changes nothing, above 1 is more colourful.

    Raises:
        ValueError: if `factor` is negative.

    Example:
        ```python
        Saturation(1.3)(keras.random.uniform((1, 64, 64, 3))).shape  # (1, 64, 64, 3)
        ```
    """

    def __init__(self, factor: float = 1.2, **kwargs: Any):
        super().__init__(**kwargs)
        self.factor = number("Saturation", "factor", factor, least=0.0)

    def apply(self, images: Tensor) -> Tensor:
        if images.shape[-1] == 1:
            return images
        grey = luma(images)
        return grey + self.factor * (images - grey)


def luma(images: Tensor) -> Tensor:
    """How bright the pixels of images `(B, H, W, 3)` look, `(B, H, W, 1)`."""
    return ops.sum(images * ops.convert_to_tensor(_LUMA), axis=-1, keepdims=True)
