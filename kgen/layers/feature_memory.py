"""Features drawn towards those that are known."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kgen")
class FeatureMemory(keras.layers.Layer):
    """What comes in, put together from the known vectors that are most like it.

        y = sum_i softmax_i(sharpness cos(x, k_i)) k_i

    with the known vectors k: one step of a modern Hopfield network [Ramsauer et al. 2021, "Hopfield networks is all
    you need"]. A network behind it sees hardly anything but what it has learned from. `(B, D)` to `(B, D)`.

    Args:
        size: how many vectors are known.
        sharpness: 0 gives the mean of them all, a large number the one with the largest cosine.

    Raises:
        ValueError: if `size` is below 1, or `sharpness` negative.

    Example:
        ```python
        memory = FeatureMemory(size=2, sharpness=100.0)
        memory.build((None, 2))
        memory.known.assign([[1.0, 0.0], [0.0, 1.0]])
        memory(keras.ops.convert_to_tensor([[0.9, 0.2]]))  # [[1.0, 0.0]]
        ```
    """

    def __init__(self, size, sharpness=80.0, **kwargs):
        super().__init__(**kwargs)
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise ValueError(f"FeatureMemory: size must be an integer of at least 1; got {size!r}.")
        if sharpness < 0:
            raise ValueError(f"FeatureMemory: sharpness must not be negative; got {sharpness}.")
        self.size = size
        self.sharpness = sharpness

    def build(self, input_shape):
        self.known = self.add_weight(
            shape=(self.size, input_shape[-1]),
            initializer="glorot_uniform",
            trainable=False,
            dtype="float32",
            name="known",
        )

    def call(self, inputs):
        # Cosines of float16 are too coarse for a softmax as sharp as this.
        known = ops.cast(self.known, "float32")
        inputs = ops.normalize(ops.cast(inputs, "float32"), axis=-1)
        like = ops.matmul(inputs, ops.transpose(ops.normalize(known, axis=-1)))
        return ops.cast(ops.matmul(ops.softmax(self.sharpness * like), known), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    # === Config ===
    def get_config(self):
        return {**super().get_config(), "size": self.size, "sharpness": self.sharpness}
