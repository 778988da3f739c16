"""Scaled dot-product attention with several heads, as one function of four tensors."""

from __future__ import annotations

import keras
from keras import ops

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
        twice_differentiable: write the products out, which gradient penalties need on torch: its fused kernel, which
            `keras.ops.dot_product_attention` always calls, has no second derivative.

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
    if dtype == "float16":  # scores overflow in it, and JAX cannot compile the operation in it for a CPU
        query, key, value = (ops.cast(x, "float32") for x in (query, key, value))
    return ops.cast(ops.dot_product_attention(query, key, value, mask=mask, flash_attention=False), dtype)


def _written_out(query, key, value, mask):
    scores = ops.cast(ops.einsum("bthc,bshc->bhts", query, key), "float32") / query.shape[-1] ** 0.5
    if mask is not None:
        scores = ops.where(mask, scores, -1e9)
    return ops.einsum("bhts,bshc->bthc", ops.cast(ops.softmax(scores), value.dtype), value)
