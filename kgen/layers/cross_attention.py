"""Attention from the positions of an image to the tokens of a text."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kgen.layers.modulation import Modulation
from kgen.layers.multi_head_attention import multi_head_attention
from kgen.serializable import serializable
from kgen.types import Tensor


@serializable
class CrossAttention2D(keras.layers.Layer):
    """Lets every position of an image read the tokens of a text.

        y = x + gate * W_o attention(W_q n(x), W_k n(tokens), W_v n(tokens); mask)

    with n RMS normalisation (of each position and each token) and the gate one learned number, which starts at 0 by
    default. A row whose mask is all zero reads nothing: y = x.

    Called as `layer(x, tokens, mask=None)`: x `(B, H, W, C)`, tokens `(B, T, D)`, mask `(B, T)` with 1 (or True) for
    real tokens; padding has no effect. Returns `(B, H, W, C)`.

    Args:
        num_heads: number of attention heads; it must divide C.
        gate_initializer: start of the gate. Use `"ones"` where the text must be read from the first step.

    Raises:
        ValueError: if `num_heads` does not divide C.

    Example:
        ```python
        x, tokens = keras.random.normal((2, 8, 8, 32)), keras.random.normal((2, 5, 16))
        CrossAttention2D()(x, tokens, mask=keras.ops.ones((2, 5))).shape  # (2, 8, 8, 32)
        ```
    """

    def __init__(self, num_heads: int = 4, gate_initializer: Any = "zeros", **kwargs: Any):
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.supports_masking = True  # `mask` is an ordinary argument here: nothing to warn of
        self.gate_initializer = keras.initializers.get(gate_initializer)

    def build(self, x_shape: tuple, tokens_shape: tuple) -> None:
        channels = x_shape[-1]
        if channels % self.num_heads:
            raise ValueError(f"CrossAttention2D: {channels} channels cannot be split into num_heads={self.num_heads}.")
        # === Layers ===
        self.normalize = Modulation("rms", dtype=self.dtype_policy, name="normalize")
        self.normalize.build(x_shape)
        self.normalize_tokens = Modulation("rms", dtype=self.dtype_policy, name="normalize_tokens")
        self.normalize_tokens.build(tokens_shape)
        self.query = keras.layers.Dense(channels, dtype=self.dtype_policy, name="query")
        self.query.build(x_shape)
        self.key_value = keras.layers.Dense(2 * channels, dtype=self.dtype_policy, name="key_value")
        self.key_value.build(tokens_shape)
        # No bias: a row that attends to nothing must add nothing.
        self.output_projection = keras.layers.Dense(
            channels, use_bias=False, dtype=self.dtype_policy, name="output_projection"
        )
        self.output_projection.build(x_shape)
        self.gate = self.add_weight(shape=(), initializer=self.gate_initializer, name="gate")

    def call(self, x: Tensor, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        shape = ops.shape(x)
        positions = ops.reshape(self.normalize(x), (-1, shape[1] * shape[2], x.shape[-1]))
        key, value = ops.split(self.key_value(self.normalize_tokens(tokens)), 2, axis=-1)
        out = multi_head_attention(self.query(positions), key, value, self.num_heads, mask)
        out = self.output_projection(out)
        return x + self.gate * ops.reshape(out, (-1, shape[1], shape[2], x.shape[-1]))

    def compute_mask(self, inputs: Any, previous_mask: Any) -> None:
        return None  # the mask belongs to the tokens, not to the image

    def compute_output_shape(
        self, x_shape: tuple, tokens_shape: tuple | None = None, mask_shape: tuple | None = None
    ) -> tuple:
        return x_shape
