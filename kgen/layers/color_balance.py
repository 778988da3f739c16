"""Pictures without a tinge."""

import keras
import numpy as np
from keras import ops

# A picture of a red apple is to stay red: grey world may at most halve or double a channel.
_LARGEST_GAIN = 2.0


@keras.saving.register_keras_serializable(package="kgen")
class ColorBalance(keras.layers.Layer):
    """Channels of pictures `(B, H, W, C)` in [0, 1] times a gain each, cut off at 1.

    With `"grey_world"` the gains of each picture make its channels equal on average [Buchsbaum 1980, "A spatial
    processor model for object colour perception"]: mean(x) / mean(x_c), from 1/2 to 2. Post-processing, for a model's
    `postprocessing`.

    Args:
        gains: `"grey_world"`, or a positive number for each channel.

    Raises:
        ValueError: for other gains, or not as many as there are channels.

    Example:
        ```python
        ColorBalance((1.0, 0.95, 1.1))(keras.random.uniform((1, 64, 64, 3))).shape  # (1, 64, 64, 3)
        ```
    """

    def __init__(self, gains="grey_world", **kwargs):
        super().__init__(**kwargs)
        known = gains == "grey_world" if isinstance(gains, str) else min(np.ravel(gains), default=0) > 0
        if not known:
            raise ValueError(f"ColorBalance: gains must be 'grey_world', or positive numbers; got {gains!r}.")
        self.gains = gains if isinstance(gains, str) else tuple(float(gain) for gain in gains)

    def build(self, input_shape):
        if not isinstance(self.gains, str) and len(self.gains) != input_shape[-1]:
            raise ValueError(f"ColorBalance: {len(self.gains)} gains cannot be for {input_shape[-1]} channels.")

    def call(self, images):
        images = ops.cast(images, "float32")
        if isinstance(self.gains, str):
            means = ops.maximum(ops.mean(images, axis=(1, 2), keepdims=True), 1e-6)
            gains = ops.clip(ops.mean(means, axis=-1, keepdims=True) / means, 1 / _LARGEST_GAIN, _LARGEST_GAIN)
        else:
            gains = ops.convert_to_tensor(self.gains, "float32")
        return ops.cast(ops.minimum(images * gains, 1.0), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    # === Config ===
    def get_config(self):
        return {**super().get_config(), "gains": self.gains if isinstance(self.gains, str) else list(self.gains)}
