"""Base of the layers that improve finished images."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kgen.types import Tensor


class ImageFilter(keras.layers.Layer):
    """Base of the layers that improve images `(B, H, W, C)` in [0, 1], for a model's `postprocessing`.

    A subclass defines `apply(images)`. It gets float32, and its result is clipped to [0, 1]. Under mixed precision a
    filter stays in float32, because fewer bits would round the image.

    Example:
        ```python
        @kgen.serializable.serializable
        class Invert(ImageFilter):
            def apply(self, images):
                return 1.0 - images
        ```
    """

    def __init__(self, **kwargs: Any):
        super().__init__(**{"dtype": "float32", **kwargs})

    def apply(self, images: Tensor) -> Tensor:
        """Returns the filtered images; `images` are float32."""
        raise NotImplementedError(f"{type(self).__name__} must define apply().")

    def call(self, images: Tensor) -> Tensor:
        return ops.cast(ops.clip(self.apply(ops.cast(images, "float32")), 0.0, 1.0), self.compute_dtype)

    def compute_output_shape(self, images_shape: tuple) -> tuple:
        return images_shape
