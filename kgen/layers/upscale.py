"""Larger pictures."""

import keras
from keras import ops

from kgen.layers.resize import KERNELS, enlarge, resize


@keras.saving.register_keras_serializable(package="kgen")
class Upscale(keras.layers.Layer):
    """Pictures so many times as large, `(B, H, W, C)` in [0, 1], by a kernel that blurs little: as Pillow resizes.

    Values that a kernel overshoots by are cut off at 0 and 1. Post-processing, for a model's `postprocessing`.

    Args:
        factor: above 1; sides are rounded to whole pixels. Pictures whose sides are not known beforehand, in a network
            of `keras.Input((None, None, 3))`, need an integer.
        interpolation: `"lanczos"`, `"bicubic"` or `"bilinear"`, from sharp to soft.

    Raises:
        ValueError: for another factor or interpolation.

    Example:
        ```python
        Upscale(2)(keras.random.uniform((1, 64, 64, 3))).shape  # (1, 128, 128, 3)
        ```
    """

    def __init__(self, factor=2, interpolation="lanczos", **kwargs):
        super().__init__(**kwargs)
        if isinstance(factor, bool) or not factor > 1:
            raise ValueError(f"Upscale: factor must be above 1; got {factor!r}.")
        if interpolation not in KERNELS:
            raise ValueError(f"Upscale: interpolation must be one of {sorted(KERNELS)}; got {interpolation!r}.")
        self.factor = factor
        self.interpolation = interpolation

    def call(self, images):
        size = self.compute_output_shape(images.shape)[1:3]
        images = ops.cast(images, "float32")
        if None in size:
            larger = enlarge(images, self.factor, self.interpolation)
        else:
            larger = resize(images, size, self.interpolation)
        return ops.cast(ops.clip(larger, 0.0, 1.0), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape
        if None in (height, width) and not isinstance(self.factor, int):
            raise ValueError(
                f"Upscale: sides that are not known beforehand need a factor that is an integer; got {self.factor!r}."
            )
        height, width = (None if side is None else round(side * self.factor) for side in (height, width))
        return (batch, height, width, channels)

    # === Config ===
    def get_config(self):
        return {**super().get_config(), "factor": self.factor, "interpolation": self.interpolation}
