"""A first guess at what is missing."""

import keras
from keras import ops

# A wider window has a say where the narrower ones hold hardly a known pixel.
_WINDOWS = (3, 7, 15, 31)
_FADING = 1e-2


@keras.saving.register_keras_serializable(package="kgen")
class FillMissing(keras.layers.Layer):
    """Missing pixels from known ones around them: `(B, H, W, C + 1)` to `(B, H, W, C)`, as of `RandomMask`.

    With m the last channel, 1 where a pixel x is missing, it becomes a mean of known pixels in windows k of 3, 7, 15
    and 31 pixels, A_k the mean over a window [normalised convolution; Knutsson & Westin 1993]:

        sum_k e^k A_k((1 - m) x) / sum_k e^k A_k(1 - m),  e = 0.01

    Known pixels stay as they are; where no window holds a known pixel, so does x.

    Example:
        ```python
        FillMissing()(RandomMask(0.5)(keras.random.uniform((2, 64, 64, 3)))).shape  # (2, 64, 64, 3)
        ```
    """

    def call(self, inputs):
        inputs = ops.cast(inputs, "float32")
        images, missing = inputs[..., :-1], inputs[..., -1:]
        known = 1.0 - missing
        both = ops.concatenate([images * known, known], axis=-1)
        means = sum(_FADING**k * _window_means(both, window) for k, window in enumerate(_WINDOWS))
        share = means[..., -1:]
        filled = ops.where(share > 0.0, means[..., :-1] / ops.maximum(share, 1e-12), images)
        return ops.cast(images * known + filled * missing, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:3], input_shape[3] - 1)


def _window_means(maps, window):
    """Means over windows as far as they lie within the picture: down, then across, which costs less."""
    for sides in ((window, 1), (1, window)):
        maps = ops.average_pool(maps, sides, strides=1, padding="same", data_format="channels_last")
    return maps
