"""Attention: within an image, from an image to a text, and the blocks made of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from kgen.checks import integer
from kgen.layers.modulation import Modulation
from kgen.layers.spectral_normalization import SpectralNormalization
from kgen.serializable import serializable
from kgen.types import Tensor


def multi_head_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    num_heads: int,
    mask: Tensor | None = None,
    twice_differentiable: bool = False,
) -> Tensor:
    """Multi-head attention over sequences, without projections.

    Each head h attends on its own slice of the channels (Vaswani et al. 2017, "Attention Is All You Need"):

        out_h = softmax(q_h k_h^T / sqrt(C / num_heads)) v_h

    A row whose mask is all zero attends to nothing: its output is 0, not an average of padding and not NaN.

    Args:
        query: `(B, T, C)` float tensor.
        key, value: `(B, S, C)` float tensors.
        num_heads: number of heads; it must divide C.
        mask: optional `(B, S)` tensor, bool or number; 0 hides a position of `key` and `value`.
        twice_differentiable: use separate products, not a fused kernel. Gradient penalties need this on torch, whose
            fused kernel has no second derivative; `keras.ops.dot_product_attention` always calls it there.

    Returns:
        `(B, T, C)` tensor.

    Example:
        ```python
        q, kv = keras.random.normal((2, 16, 32)), keras.random.normal((2, 5, 32))
        multi_head_attention(q, kv, kv, num_heads=4).shape  # (2, 16, 32)
        ```
    """
    width = query.shape[-1]

    def split(x):
        return ops.reshape(x, (-1, ops.shape(x)[1], num_heads, width // num_heads))

    if mask is not None:
        mask = ops.cast(mask, "bool")
    attend = _written_out if twice_differentiable else _fused
    out = attend(split(query), split(key), split(value), None if mask is None else mask[:, None, None, :])
    out = ops.reshape(out, (-1, ops.shape(query)[1], width))
    if mask is not None:
        anything = ops.any(mask, axis=-1)[:, None, None]
        out = ops.where(anything, out, ops.zeros_like(out))
    return out


def _fused(query, key, value, mask):
    dtype = keras.backend.standardize_dtype(value.dtype)
    if dtype == "float16":  # its scores overflow, and JAX cannot compile the operation for a CPU
        query, key, value = (ops.cast(x, "float32") for x in (query, key, value))
    return ops.cast(ops.dot_product_attention(query, key, value, mask=mask, flash_attention=False), dtype)


def _written_out(query, key, value, mask):
    scores = ops.cast(ops.einsum("bthc,bshc->bhts", query, key), "float32") / query.shape[-1] ** 0.5
    if mask is not None:
        scores = ops.where(mask, scores, -1e9)
    return ops.einsum("bhts,bshc->bthc", ops.cast(ops.softmax(scores), value.dtype), value)


@serializable
class PositionTable2D(keras.layers.Layer):
    """Adds a learned `(H, W, C)` table to an image, so that attention knows where each position is.

    Inputs and outputs are `(B, H, W, C)`; the first call fixes H and W.

    Args:
        initializer: initial values of the table; by default normal with standard deviation 0.02.

    Raises:
        ValueError: if H, W or C is not known in the first call.

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


@serializable
class SelfAttention2D(keras.layers.Layer):
    """Lets every position of an image look at every other, so that distant parts agree with each other.

        y = x + gate * W_o attention(W_q n(x), W_k n(x), W_v n(x))

    over the H * W positions, where n is RMS normalisation. The gate is one learned number. It starts at 0 by default:
    the layer starts as the identity and lets attention in as it becomes useful (SAGAN, Zhang et al. 2019). Inputs and
    outputs are `(B, H, W, C)`. Memory grows with (H * W)^2: 32x32 is already large.

    Args:
        num_heads: number of attention heads; it must divide C.
        gate_initializer: initial value of the gate. Use `"ones"` if attention must work from the first step.
        spectral_normalization: keep the spectral norm of the two projections at 1 (for discriminators).
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
        self.num_heads = integer("SelfAttention2D", "num_heads", num_heads)
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


@serializable
class CrossAttention2D(keras.layers.Layer):
    """Lets every position of an image read the tokens of a text.

        y = x + gate * W_o attention(W_q n(x), W_k n(tokens), W_v n(tokens); mask)

    where n is RMS normalisation (of each position and each token). The gate is one learned number, which starts at 0 by
    default. A row whose mask is all zero reads nothing: y = x.

    Called as `layer(x, tokens, mask=None)`: x `(B, H, W, C)`, tokens `(B, T, D)`, mask `(B, T)` with 1 (or True) for
    real tokens; padding has no effect. Returns `(B, H, W, C)`.

    Args:
        num_heads: number of attention heads; it must divide C.
        gate_initializer: initial value of the gate. Use `"ones"` if the text must be read from the first step.

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
        self.num_heads = integer("CrossAttention2D", "num_heads", num_heads)
        self.supports_masking = True  # `mask` is an ordinary argument here: Keras need not warn
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


@serializable
class TransformerBlock2D(keras.layers.Layer):
    """A transformer block over the positions of an image: cross-attention, self-attention and an MLP.

        x = x + gate * cross_attention(x, tokens)    (where there are tokens)
        x = x + gate * self_attention(x)
        x = x + W_2 act(W_1 modulation(x, c))

    This is the decoder block of Vaswani et al. (2017) in pre-normalised form; a condition c modulates its MLP. Called
    as `block(x, tokens=None, mask=None, condition=None)`: x `(B, H, W, C)`, tokens `(B, T, D)`, mask `(B, T)`,
    condition `(B, P)`. Returns `(B, H, W, C)`. If the first call leaves out an input, all later calls must do so too.

    Args:
        num_heads: number of attention heads; it must divide C.
        mlp_ratio: width of the MLP as a multiple of C.
        activation: activation of the MLP, a name or a function.
        gate_initializer: initial value of both gates. They start open: these blocks make up a whole coarse stage.

    Raises:
        ValueError: if `num_heads` does not divide C, or if one call has tokens or a condition and another does not.

    Example:
        ```python
        x, tokens = keras.random.normal((2, 8, 8, 32)), keras.random.normal((2, 5, 16))
        TransformerBlock2D()(x, tokens=tokens, condition=keras.random.normal((2, 10))).shape  # (2, 8, 8, 32)
        ```
    """

    def __init__(
        self,
        num_heads: int = 4,
        mlp_ratio: float = 2,
        activation: str | Callable = "leaky_relu",
        gate_initializer: Any = "ones",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.num_heads = integer("TransformerBlock2D", "num_heads", num_heads)
        self.supports_masking = True  # `mask` is an ordinary argument here: Keras need not warn
        self.mlp_ratio = mlp_ratio
        self.activation = keras.activations.get(activation)
        self.gate_initializer = keras.initializers.get(gate_initializer)

    def build(self, x_shape: tuple, tokens_shape: tuple | None = None, condition_shape: tuple | None = None) -> None:
        channels, policy = x_shape[-1], self.dtype_policy
        # === Layers ===
        self.cross_attention = None
        if tokens_shape is not None:
            self.cross_attention = CrossAttention2D(
                self.num_heads, self.gate_initializer.clone(), dtype=policy, name="cross_attention"
            )
            self.cross_attention.build(x_shape, tokens_shape)
        self.self_attention = SelfAttention2D(
            self.num_heads, self.gate_initializer.clone(), dtype=policy, name="self_attention"
        )
        self.self_attention.build(x_shape)
        self.modulation = Modulation("rms", dtype=policy, name="modulation")
        self.modulation.build(x_shape, condition_shape)
        hidden = int(self.mlp_ratio * channels)
        self.expand = keras.layers.Dense(hidden, dtype=policy, name="expand")
        self.expand.build(x_shape)
        self.contract = keras.layers.Dense(channels, dtype=policy, name="contract")
        self.contract.build((*x_shape[:-1], hidden))

    def call(
        self,
        x: Tensor,
        tokens: Tensor | None = None,
        mask: Tensor | None = None,
        condition: Tensor | None = None,
        training: bool | None = None,
    ) -> Tensor:
        if (tokens is None) != (self.cross_attention is None):
            built, came = ("without", "passes some") if self.cross_attention is None else ("with", "passes none")
            raise ValueError(f"TransformerBlock2D: {self.name} was built {built} tokens, but this call {came}.")
        if self.cross_attention is not None:
            x = self.cross_attention(x, tokens, mask=mask)
        x = self.self_attention(x, training=training)
        return x + self.contract(self.activation(self.expand(self.modulation(x, condition))))

    def compute_mask(self, inputs: Any, previous_mask: Any) -> None:
        return None  # the mask belongs to the tokens, not to the image

    def compute_output_shape(
        self,
        x_shape: tuple,
        tokens_shape: tuple | None = None,
        mask_shape: tuple | None = None,
        condition_shape: tuple | None = None,
    ) -> tuple:
        return x_shape
