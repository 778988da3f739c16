"""A learned vector for every position of an image."""

from __future__ import annotations

from typing import Any

import keras

from kgen.serializable import serializable
from kgen.types import Tensor


@serializable
class PositionTable2D(keras.layers.Layer):
    """Adds a learned `(H, W, C)` table to an image, which tells attention where each position is.

    Inputs and outputs are `(B, H, W, C)`; the first call fixes H and W.

    Args:
        initializer: start of the table; by default normal with standard deviation 0.02.

    Raises:
        ValueError: if H or W is not known in the first call.

    Example:
        ```python
        PositionTable2D()(keras.random.normal((2, 8, 8, 32))).shape  # (2, 8, 8, 32)
        ```
    """

    def __init__(self, initializer: Any = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.initializer = keras.initializers.get(initializer or keras.initializers.RandomNormal(stddev=0.02))

    def build(self, input_shape: tuple) -> None:
        if None in input_shape[1:]:
            raise ValueError(f"PositionTable2D: height, width and channels must be known; got {tuple(input_shape)}.")
        self.table = self.add_weight(shape=input_shape[1:], initializer=self.initializer, name="table")

    def call(self, inputs: Tensor) -> Tensor:
        return inputs + self.table

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return input_shape
