"""The learned temperature of contrastive learning."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from kgen.serializable import serializable
from kgen.types import Tensor


@serializable
class SimilarityScale(keras.layers.Layer):
    """Turns cosines into logits: y = exp(t) x + b. It learns t, and optionally b.

    1 / exp(t) is known as the temperature. It is learned as a logarithm and kept within bounds after each step
    (Radford et al. 2021, "Learning transferable visual models from natural language supervision"). Without bounds, the
    scale can keep growing while the features stop learning. The output has the shape of the input.

    Args:
        initial: the scale exp(t) at the start.
        largest: the scale stays between 1 and this value.
        initial_bias: b at the start; None for no bias.

    Raises:
        ValueError: unless 1 <= initial <= largest.

    Example:
        ```python
        SimilarityScale(initial=10.0)(keras.ops.array([[0.5]]))  # [[5.0]]
        ```
    """

    def __init__(
        self, initial: float = 1.0 / 0.07, largest: float = 100.0, initial_bias: float | None = None, **kwargs: Any
    ):
        super().__init__(**kwargs)
        if not 1.0 <= initial <= largest:
            raise ValueError(f"SimilarityScale: initial must be from 1 to largest={largest}; got {initial}.")
        self.initial = float(initial)
        self.largest = float(largest)
        self.initial_bias = None if initial_bias is None else float(initial_bias)

    def build(self, input_shape: tuple) -> None:
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

    def call(self, inputs: Tensor) -> Tensor:
        logits = ops.exp(self.log_scale) * inputs
        return logits if self.bias is None else logits + self.bias

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return input_shape
