"""A filter that removes colour casts from images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from kgen.layers.image_filter import ImageFilter
from kgen.serializable import serializable
from kgen.types import Tensor

# An image of a red apple must stay red: grey world may at most halve or double a channel.
_LARGEST_GAIN = 2.0


@serializable
class ColorBalance(ImageFilter):
    """Multiplies each channel of images `(B, H, W, C)` in [0, 1] by a gain, for a model's `postprocessing`.

    With `"grey_world"`, the gains of each image make its channels equal on average [Buchsbaum 1980, "A spatial
    processor model for object colour perception"]: mean(x) / mean(x_c), between 1/2 and 2. Values are clipped at 1.

    Args:
        gains: `"grey_world"`, or a positive number for each channel.

    Raises:
        ValueError: if `gains` is something else, or if there is not one gain for each channel.

    Example:
        ```python
        ColorBalance((1.0, 0.95, 1.1))(keras.random.uniform((1, 64, 64, 3))).shape  # (1, 64, 64, 3)
        ```
    """

    def __init__(self, gains: str | Sequence[float] = "grey_world", **kwargs: Any):
        super().__init__(**kwargs)
        numbers = () if isinstance(gains, str) else tuple(np.ravel(gains).tolist())
        known = gains == "grey_world" if isinstance(gains, str) else numbers and all(0 < n < np.inf for n in numbers)
        if not known:
            raise ValueError(f"ColorBalance: gains must be 'grey_world' or positive numbers; got {gains!r}.")
        self.gains = gains if isinstance(gains, str) else numbers

    def build(self, images_shape: tuple) -> None:
        if not isinstance(self.gains, str) and len(self.gains) != images_shape[-1]:
            raise ValueError(
                f"ColorBalance: gains must have one number per channel; got {len(self.gains)} for {images_shape[-1]} "
                "channels."
            )

    def apply(self, images: Tensor) -> Tensor:
        if isinstance(self.gains, str):
            means = ops.maximum(ops.mean(images, axis=(1, 2), keepdims=True), 1e-6)
            return images * ops.clip(ops.mean(means, axis=-1, keepdims=True) / means, 1 / _LARGEST_GAIN, _LARGEST_GAIN)
        return images * ops.convert_to_tensor(self.gains, "float32")
