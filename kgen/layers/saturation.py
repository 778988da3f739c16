"""More or less colourful pictures."""

import keras
import numpy as np
from keras import ops

# How bright red, green and blue look (ITU-R BT.601), as Pillow weighs them.
_LUMA = np.array([0.299, 0.587, 0.114], "float32")


@keras.saving.register_keras_serializable(package="kgen")
class Saturation(keras.layers.Layer):
    """Colours of pictures `(B, H, W, 3)` in [0, 1] moved away from grey: Y + factor (x - Y), Y the luma of a pixel.

    Cut off at 0 and 1. Pictures of one channel stay as they are. Keras' `RandomSaturation` works in training alone, for
    augmentation. Post-processing, for a model's `postprocessing`.

    Args:
        factor: 0 leaves greys, 1 changes nothing, above 1 is more colourful.

    Raises:
        ValueError: for a negative factor.

    Example:
        ```python
        Saturation(1.3)(keras.random.uniform((1, 64, 64, 3))).shape  # (1, 64, 64, 3)
        ```
    """

    def __init__(self, factor=1.2, **kwargs):
        super().__init__(**kwargs)
        if not factor >= 0:
            raise ValueError(f"Saturation: factor must not be negative; got {factor!r}.")
        self.factor = factor

    def call(self, images):
        if images.shape[-1] == 1:
            return images
        images = ops.cast(images, "float32")
        luma = ops.sum(images * ops.convert_to_tensor(_LUMA), axis=-1, keepdims=True)
        return ops.cast(ops.clip(luma + self.factor * (images - luma), 0.0, 1.0), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    # === Config ===
    def get_config(self):
        return {**super().get_config(), "factor": self.factor}
