"""From the features of a text to one vector."""

import keras
from keras import layers

from kgen.layers import TransformerBlock2D
from kgen.networks.configured_network import ConfiguredNetwork


@keras.saving.register_keras_serializable(package="kgen")
class TextProjection(ConfiguredNetwork):
    """A few learned readers of a text's tokens, begun by its pooled features: what stands on a frozen text encoder.

    A language model's pooled vector says what a sentence is about, but hardly which of two things in it is red. Here a
    dense layer makes `readers` vectors of it; each `TransformerBlock2D` lets them read the tokens and each other; a
    dense layer makes the output of them all, beside what it makes of the pooled vector directly.

    Inputs: `{"pooled": (B, pooled_dim), "tokens": (B, T, token_dim), "mask": (B, T)}`, any T. Output:
    `(B, output_dim)`, float32, linear.

    Args:
        pooled_dim, token_dim: lengths of the pooled and of a token's features.
        output_dim: length of the output.
        width: features of a reader; divisible by `num_heads`.
        readers: how many.
        blocks: transformer blocks; 0 for the dense layers alone, which read no tokens.
        num_heads: attention heads.
        dtype: dtype or policy of all layers; `None` is Keras' global one.

    Raises:
        ValueError: a size is below 1, or `width` is not divisible by `num_heads`.

    Example:
        ```python
        network = TextProjection(pooled_dim=384, token_dim=384, output_dim=128)
        features = {"pooled": keras.ops.ones((2, 384)), "tokens": keras.ops.ones((2, 9, 384)),
                    "mask": keras.ops.ones((2, 9))}
        network(features).shape  # (2, 128)
        ```
    """

    def __init__(
        self, pooled_dim, token_dim, output_dim, width=64, readers=4, blocks=2, num_heads=4, dtype=None, **kwargs
    ):
        sizes = {"pooled_dim": pooled_dim, "token_dim": token_dim, "output_dim": output_dim, "width": width,
                 "readers": readers}  # fmt: skip
        for name, size in sizes.items():
            if size < 1:
                raise ValueError(f"TextProjection: {name} must be at least 1; got {size}.")
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

        self.keep(
            dtype,
            pooled_dim=pooled_dim,
            token_dim=token_dim,
            output_dim=output_dim,
            width=width,
            readers=readers,
            blocks=blocks,
            num_heads=num_heads,
        )
