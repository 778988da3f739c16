"""Features pulled towards known ones."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kgen.checks import integer, number
from kgen.serializable import serializable
from kgen.types import Tensor


@serializable
class FeatureMemory(keras.layers.Layer):
    """Replaces each vector by a mixture of the known vectors that are most like it.

        y = sum_i softmax_i(sharpness cos(x, k_i)) k_i

    with the known vectors k: one step of a modern Hopfield network [Ramsauer et al. 2021, "Hopfield networks is all
    you need"]. A network behind it sees little else than what it was trained on. `(B, D)` to `(B, D)`.

    Args:
        size: number of known vectors.
        sharpness: 0 gives the mean of all of them, a large number the one with the largest cosine.

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

    def __init__(self, size: int, sharpness: float = 80.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.size = integer("FeatureMemory", "size", size)
        self.sharpness = number("FeatureMemory", "sharpness", sharpness, least=0.0)

    def build(self, input_shape: tuple) -> None:
        self.known = self.add_weight(
            shape=(self.size, input_shape[-1]),
            initializer="glorot_uniform",
            trainable=False,
            dtype="float32",
            name="known",
        )

    def call(self, inputs: Tensor) -> Tensor:
        # Cosines in float16 are too coarse for such a sharp softmax.
        known = ops.cast(self.known, "float32")
        inputs = ops.normalize(ops.cast(inputs, "float32"), axis=-1)
        like = ops.matmul(inputs, ops.transpose(ops.normalize(known, axis=-1)))
        return ops.cast(ops.matmul(ops.softmax(self.sharpness * like), known), self.compute_dtype)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return input_shape
