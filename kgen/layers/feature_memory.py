"""A layer that pulls features towards known ones."""

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

    where k are the known vectors: one step of a modern Hopfield network [Ramsauer et al. 2021, "Hopfield networks is
    all you need"]. The network after it sees little but inputs like those it was trained on. `(B, D)` to `(B, D)`.

    The softmax is a distribution over the known vectors. Guidance away from vectors n acts on its logarithm, as in Ho &
    Salimans 2022, "Classifier-free diffusion guidance": `guidance cos(x, k) - (guidance - 1) cos(n, k)` replaces the
    cosine. The result is still a mixture of known vectors.

    Args:
        size: number of known vectors.
        sharpness: 0 gives the mean of all known vectors, a large number the one with the largest cosine.
        names: list of strings, the texts whose features the known vectors are; or None. They are saved, so that another
            text encoder can compute the vectors again.
        stands_for: list of integers, for each known vector the index of the one to output in its place; None to output
            the vectors themselves.

    Raises:
        ValueError: if `size` is below 1, `sharpness` is negative, or `names` or `stands_for` has another length.

    Example:
        ```python
        memory = FeatureMemory(size=2, sharpness=100.0)
        memory.build((None, 2))
        memory.known.assign([[1.0, 0.0], [0.0, 1.0]])
        memory(keras.ops.convert_to_tensor([[0.9, 0.2]]))  # [[1.0, 0.0]]
        ```
    """

    def __init__(
        self,
        size: int,
        sharpness: float = 400.0,
        names: list[str] | None = None,
        stands_for: list[int] | None = None,
        **kwargs: Any,
    ):
        # Nothing in it learns: otherwise the guard against NaN would copy the known vectors in every step.
        super().__init__(**{**kwargs, "trainable": False})
        self.size = integer("FeatureMemory", "size", size)
        self.sharpness = number("FeatureMemory", "sharpness", sharpness, least=0.0)
        for name, values in (("names", names), ("stands_for", stands_for)):
            if values is not None and len(values) != size:
                raise ValueError(
                    f"FeatureMemory: {name} must have one item for each of the {size} vectors; got {len(values)}."
                )
        self.names = None if names is None else list(names)
        self.stands_for = None if stands_for is None else [int(number) for number in stands_for]

    def build(self, input_shape: tuple) -> None:
        self.known = self.add_weight(
            shape=(self.size, input_shape[-1]),
            initializer="glorot_uniform",
            trainable=False,
            dtype="float32",
            name="known",
        )

    def call(self, inputs: Tensor, unlike: Tensor | None = None, guidance: float = 1.0) -> Tensor:
        like = guidance * self._cosines(inputs)
        if unlike is not None:
            like = like - (guidance - 1.0) * self._cosines(unlike)
        known = ops.cast(self.known, "float32")
        if self.stands_for is not None:
            known = ops.take(known, ops.convert_to_tensor(self.stands_for, "int32"), axis=0)
        return ops.cast(ops.matmul(ops.softmax(self.sharpness * like), known), self.compute_dtype)

    def _cosines(self, vectors):
        # In float16, cosines are too coarse for a softmax this sharp.
        known, vectors = ops.cast(self.known, "float32"), ops.normalize(ops.cast(vectors, "float32"), axis=-1)
        # Thousands of known vectors are neither copied nor transposed, only their products are.
        lengths = ops.sqrt(ops.sum(ops.square(known), axis=-1))
        products = ops.transpose(ops.matmul(known, ops.transpose(vectors)))
        return products / ops.maximum(lengths, keras.config.epsilon())

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return input_shape
