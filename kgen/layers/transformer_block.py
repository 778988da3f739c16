"""The attention block that networks are made of at their coarse resolutions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from kgen.layers.cross_attention import CrossAttention2D
from kgen.layers.modulation import Modulation
from kgen.layers.self_attention import SelfAttention2D
from kgen.serializable import serializable
from kgen.types import Tensor


@serializable
class TransformerBlock2D(keras.layers.Layer):
    """A transformer block over the positions of an image: cross-attention, self-attention and an MLP.

        x = x + gate * cross_attention(x, tokens)    (where there are tokens)
        x = x + gate * self_attention(x)
        x = x + W_2 act(W_1 modulation(x, c))

    the decoder block of Vaswani et al. (2017) in pre-normalised form, its MLP modulated by a condition c. Called as
    `block(x, tokens=None, mask=None, condition=None)`: x `(B, H, W, C)`, tokens `(B, T, D)`, mask `(B, T)`, condition
    `(B, P)`. Returns `(B, H, W, C)`. Inputs that the first call leaves out must be left out in later calls too.

    Args:
        num_heads: number of attention heads; it must divide C.
        mlp_ratio: width of the MLP as a multiple of C.
        activation: name or function, within the MLP.
        gate_initializer: start of both gates. They start open, because these blocks carry a whole coarse stage.

    Raises:
        ValueError: if `num_heads` does not divide C, or if tokens or a condition appear in one call and not in another.

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
        self.num_heads = num_heads
        self.supports_masking = True  # `mask` is an ordinary argument here: nothing to warn of
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
            built, came = ("without", "got some") if self.cross_attention is None else ("with", "got none")
            raise ValueError(f"TransformerBlock2D: {self.name} was built {built} tokens and now {came}.")
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
