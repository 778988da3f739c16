"""How sharply likeness counts: the learned temperature of contrastive learning."""

import math

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kgen")
class SimilarityScale(keras.layers.Layer):
    """Logits of cosines: y = exp(t) x + b, with t learned, and b where there is one.

    1 / exp(t) is known as the temperature. Learned as a logarithm, and kept within bounds after each step, as by
    Radford et al. 2021, "Learning transferable visual models from natural language supervision": without them a scale
    that grows and grows stands in for features that learn. Takes any shape and gives it back.

    Args:
        initial: the scale exp(t) at the start.
        largest: the scale is kept between 1 and this.
        initial_bias: b at the start; None for no bias.

    Raises:
        ValueError: unless 1 <= initial <= largest.

    Example:
        ```python
        SimilarityScale(initial=10.0)(keras.ops.array([[0.5]]))  # [[5.0]]
        ```
    """

    def __init__(self, initial=1.0 / 0.07, largest=100.0, initial_bias=None, **kwargs):
        super().__init__(**kwargs)
        if not 1.0 <= initial <= largest:
            raise ValueError(f"SimilarityScale: initial must be from 1 to largest={largest}; got {initial}.")
        self.initial = float(initial)
        self.largest = float(largest)
        self.initial_bias = None if initial_bias is None else float(initial_bias)

    def build(self, input_shape):
        highest = math.log(self.largest)
        self.log_scale = self.add_weight(
            shape=(),
            initializer=keras.initializers.Constant(math.log(self.initial)),
            constraint=lambda value: ops.clip(value, 0.0, highest),
            name="log_scale",
        )
        self.bias = None
        if self.initial_bias is not None:
            self.bias = self.add_weight(
                shape=(), initializer=keras.initializers.Constant(self.initial_bias), name="bias"
            )

    def call(self, inputs):
        logits = ops.exp(self.log_scale) * inputs
        return logits if self.bias is None else logits + self.bias

    def compute_output_shape(self, input_shape):
        return input_shape

    # === Config ===
    def get_config(self):
        config = super().get_config()
        config.update({"initial": self.initial, "largest": self.largest, "initial_bias": self.initial_bias})
        return config
