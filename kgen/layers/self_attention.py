"""Self-attention between the positions of an image."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kgen.layers.modulation import Modulation
from kgen.layers.multi_head_attention import multi_head_attention
from kgen.layers.spectral_normalization import SpectralNormalization
from kgen.serializable import serializable
from kgen.types import Tensor


@serializable
class SelfAttention2D(keras.layers.Layer):
    """Lets every position of an image look at every other, so that distant parts agree with each other.

        y = x + gate * W_o attention(W_q n(x), W_k n(x), W_v n(x))

    over the H * W positions, with n RMS normalisation. The gate is one learned number. At its default start of 0 the
    layer starts as the identity and lets attention in as it becomes useful (SAGAN, Zhang et al. 2019). Inputs and
    outputs are `(B, H, W, C)`. Memory grows with (H * W)^2: 32x32 is large.

    Args:
        num_heads: number of attention heads; it must divide C.
        gate_initializer: start of the gate. Use `"ones"` where attention must work from the first step.
        spectral_normalization: keep the spectral norm of the two projections at 1 (discriminators).
        twice_differentiable: allow gradient penalties on every backend, see `multi_head_attention`.

    Raises:
        ValueError: if `num_heads` does not divide C.

    Example:
        ```python
        SelfAttention2D(num_heads=4)(keras.random.normal((2, 8, 8, 32))).shape  # (2, 8, 8, 32)
        ```
    """

    def __init__(
        self,
        num_heads: int = 4,
        gate_initializer: Any = "zeros",
        spectral_normalization: bool = False,
        twice_differentiable: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.gate_initializer = keras.initializers.get(gate_initializer)
        self.spectral_normalization = spectral_normalization
        self.twice_differentiable = twice_differentiable

    def build(self, x_shape: tuple) -> None:
        channels = x_shape[-1]
        if channels % self.num_heads:
            raise ValueError(f"SelfAttention2D: {channels} channels cannot be split into num_heads={self.num_heads}.")
        # === Layers ===
        self.normalize = Modulation("rms", dtype=self.dtype_policy, name="normalize")
        self.query_key_value = keras.layers.Dense(3 * channels, dtype=self.dtype_policy, name="query_key_value")
        self.output_projection = keras.layers.Dense(channels, dtype=self.dtype_policy, name="output_projection")
        if self.spectral_normalization:
            self.query_key_value = SpectralNormalization(self.query_key_value, dtype=self.dtype_policy)
            self.output_projection = SpectralNormalization(self.output_projection, dtype=self.dtype_policy)
        for layer in (self.normalize, self.query_key_value, self.output_projection):
            layer.build(x_shape)
        self.gate = self.add_weight(shape=(), initializer=self.gate_initializer, name="gate")

    def call(self, x: Tensor, training: bool | None = None) -> Tensor:
        shape = ops.shape(x)
        positions = ops.reshape(self.normalize(x), (-1, shape[1] * shape[2], x.shape[-1]))
        query, key, value = ops.split(self.query_key_value(positions, training=training), 3, axis=-1)
        out = multi_head_attention(query, key, value, self.num_heads, twice_differentiable=self.twice_differentiable)
        out = self.output_projection(out, training=training)
        return x + self.gate * ops.reshape(out, (-1, shape[1], shape[2], x.shape[-1]))

    def compute_output_shape(self, x_shape: tuple) -> tuple:
        return x_shape
