"""A learned vector for every position of an image."""

import keras


@keras.saving.register_keras_serializable(package="kgen")
class PositionTable2D(keras.layers.Layer):
    """Adds a learned `(H, W, C)` table to an image, so that attention knows where each position lies.

    Inputs and outputs are `(B, H, W, C)`; H and W are fixed by the first call.

    Args:
        initializer: start of the table; by default normal with deviation 0.02.

    Raises:
        ValueError: the first call's H or W is unknown.

    Example:
        ```python
        PositionTable2D()(keras.random.normal((2, 8, 8, 32))).shape  # (2, 8, 8, 32)
        ```
    """

    def __init__(self, initializer=None, **kwargs):
        super().__init__(**kwargs)
        self.initializer = keras.initializers.get(initializer or keras.initializers.RandomNormal(stddev=0.02))

    def build(self, input_shape):
        if None in input_shape[1:]:
            raise ValueError(f"PositionTable2D: height, width and channels must be known; got {tuple(input_shape)}.")
        self.table = self.add_weight(shape=input_shape[1:], initializer=self.initializer, name="table")

    def call(self, inputs):
        return inputs + self.table

    def compute_output_shape(self, input_shape):
        return input_shape

    # === Config ===
    def get_config(self):
        config = super().get_config()
        config.update({"initializer": keras.initializers.serialize(self.initializer)})
        return config
