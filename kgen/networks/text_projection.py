"""From the features of a text to a single vector."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from kgen.checks import integer
from kgen.layers import TransformerBlock2D
from kgen.networks.configured_network import ConfiguredNetwork
from kgen.serializable import serializable


@serializable
class TextProjection(ConfiguredNetwork):
    """Projects the features of a frozen text encoder to one vector, by attention to the tokens.

    A language model's pooled vector says what a sentence is about, but hardly which of two things in it is red. Here a
    dense layer turns it into `readers` vectors. In each `TransformerBlock2D` they attend to the tokens and to each
    other. The output is the sum of a dense layer of all readers and a dense layer of the pooled vector.

    Inputs: `{"pooled": (B, pooled_dim), "tokens": (B, T, token_dim), "mask": (B, T)}`, any T. Output:
    `(B, output_dim)`, float32, linear.

    Args:
        pooled_dim, token_dim: lengths of the pooled features and of a token's features.
        output_dim: length of the output.
        width: features of a reader; divisible by `num_heads`.
        readers: number of readers.
        blocks: number of transformer blocks; with 0, tokens are not read.
        num_heads: attention heads.
        dtype: dtype or policy of all layers; `None` is Keras' global one.

    Raises:
        ValueError: if a size is not an integer of at least 1, or `width` is not divisible by `num_heads`.

    Example:
        ```python
        network = TextProjection(pooled_dim=384, token_dim=384, output_dim=128)
        features = {"pooled": keras.ops.ones((2, 384)), "tokens": keras.ops.ones((2, 9, 384)),
                    "mask": keras.ops.ones((2, 9))}
        network(features).shape  # (2, 128)
        ```
    """

    def __init__(
        self,
        pooled_dim: int,
        token_dim: int,
        output_dim: int,
        width: int = 64,
        readers: int = 4,
        blocks: int = 2,
        num_heads: int = 4,
        dtype: str | keras.DTypePolicy | None = None,
        **kwargs: Any,
    ) -> None:
        sizes = {"pooled_dim": pooled_dim, "token_dim": token_dim, "output_dim": output_dim, "width": width}
        for name, size in {**sizes, "readers": readers, "num_heads": num_heads}.items():
            integer("TextProjection", name, size)
        if width % num_heads:
            raise ValueError(f"TextProjection: width={width} cannot be split into num_heads={num_heads}.")
        # === Functional Model ===
        inputs = {
            "pooled": keras.Input((pooled_dim,), name="pooled"),
            "tokens": keras.Input((None, token_dim), name="tokens"),
            "mask": keras.Input((None,), dtype="bool", name="mask"),
        }
        x = layers.Dense(readers * width, dtype=dtype, name="lift")(inputs["pooled"])
        x = layers.Reshape((readers, 1, width), dtype=dtype, name="readers")(x)
        for i in range(blocks):
            block = TransformerBlock2D(num_heads, dtype=dtype, name=f"block_{i + 1}")
            x = block(x, tokens=inputs["tokens"], mask=inputs["mask"])
        x = layers.Flatten(data_format="channels_last", dtype=dtype, name="flatten")(x)
        read = layers.Dense(output_dim, dtype="float32", name="output")(x)
        direct = layers.Dense(output_dim, use_bias=False, dtype="float32", name="direct")(inputs["pooled"])
        super().__init__(inputs, layers.Add(dtype="float32", name="sum")([read, direct]), **kwargs)

        self.keep(locals())
