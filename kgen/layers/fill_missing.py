"""A first guess at missing pixels."""

from __future__ import annotations

import keras
from keras import ops

from kgen.serializable import serializable
from kgen.types import Tensor

# A wider window counts only where the narrower ones hold hardly any known pixel.
_WINDOWS = (3, 7, 15, 31)
_FADING = 1e-2


@serializable
class FillMissing(keras.layers.Layer):
    """Fills missing pixels from known ones around them: `(B, H, W, C + 1)` to `(B, H, W, C)`, see `RandomMask`.

    The last channel m is 1 where a pixel x is missing. Such a pixel becomes a mean of known pixels in windows k of 3,
    7, 15 and 31 pixels [normalised convolution; Knutsson & Westin 1993], where A_k is the mean over a window:

        sum_k e^k A_k((1 - m) x) / sum_k e^k A_k(1 - m),  e = 0.01

    Known pixels do not change, nor do missing ones with no known pixel in any window.

    Example:
        ```python
        FillMissing()(RandomMask(0.5)(keras.random.uniform((2, 64, 64, 3)))).shape  # (2, 64, 64, 3)
        ```
    """

    def call(self, inputs: Tensor) -> Tensor:
        inputs = ops.cast(inputs, "float32")
        images, missing = inputs[..., :-1], inputs[..., -1:]
        known = 1.0 - missing
        both = ops.concatenate([images * known, known], axis=-1)
        means = sum(_FADING**k * _window_means(both, window) for k, window in enumerate(_WINDOWS))
        share = means[..., -1:]
        filled = ops.where(share > 0.0, means[..., :-1] / ops.maximum(share, 1e-12), images)
        return ops.cast(images * known + filled * missing, self.compute_dtype)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return (*input_shape[:3], input_shape[3] - 1)


def _window_means(maps, window):
    """Means over the part of each window that lies within the image: down, then across, which costs less."""
    for sides in ((window, 1), (1, window)):
        maps = ops.average_pool(maps, sides, strides=1, padding="same", data_format="channels_last")
    return maps
