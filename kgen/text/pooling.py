"""How the features of a caption's tokens become one vector."""

from __future__ import annotations

from keras import ops

from kgen.types import Tensor

# "backbone" is the backbone's own `pooled_output`, the others are functions of the tokens.
POOLINGS = ("mean", "cls", "max", "last", "backbone")


def pooled_tokens(pooling: str, tokens: Tensor, real: Tensor) -> Tensor:
    """One vector per caption, `(batch, D)`, from `tokens` `(batch, T, D)`, which are zero where `real` is 0.

    `real` `(batch, T, 1)` is 1 up to the last token and 0 after it.
    """
    if pooling == "mean":
        return ops.sum(tokens, axis=1) / ops.maximum(ops.sum(real, axis=1), 1.0)
    if pooling == "cls":
        return tokens[:, 0]
    if pooling == "max":
        return ops.max(ops.where(real > 0, tokens, -1e9), axis=1)
    # The last token is the one that no real token follows.
    following = ops.pad(real, [[0, 0], [0, 1], [0, 0]])[:, 1:]
    return ops.sum(tokens * real * (1.0 - following), axis=1)
