"""The attention block that networks are made of at their coarse resolutions."""

import keras

from kgen.layers.cross_attention import CrossAttention2D
from kgen.layers.modulation import Modulation
from kgen.layers.self_attention import SelfAttention2D


@keras.saving.register_keras_serializable(package="kgen")
class TransformerBlock2D(keras.layers.Layer):
    """A transformer block over the positions of an image: read the text, look around, think.

        x = x + gate * cross_attention(x, tokens)    (where there are tokens)
        x = x + gate * self_attention(x)
        x = x + W_2 act(W_1 modulation(x, c))

    the decoder block of Vaswani et al. (2017) in pre-normalised form, its MLP modulated by a condition. Called as
    `block(x, tokens=None, mask=None, condition=None)`: x `(B, H, W, C)`, tokens `(B, T, D)`, mask `(B, T)`, condition
    `(B, P)`; gives `(B, H, W, C)`. What the first call leaves out, later calls must leave out too.

    Args:
        num_heads: number of attention heads; it must divide C.
        mlp_ratio: width of the MLP as a multiple of C.
        activation: name or function, within the MLP.
        gate_initializer: start of both gates; open, as these blocks carry the whole of a coarse stage.

    Example:
        ```python
        x, tokens = keras.random.normal((2, 8, 8, 32)), keras.random.normal((2, 5, 16))
        TransformerBlock2D()(x, tokens=tokens, condition=keras.random.normal((2, 10))).shape  # (2, 8, 8, 32)
        ```
    """

    def __init__(self, num_heads=4, mlp_ratio=2, activation="leaky_relu", gate_initializer="ones", **kwargs):
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.supports_masking = True  # `mask` is an ordinary argument here: nothing to warn of
        self.mlp_ratio = mlp_ratio
        self.activation = keras.activations.get(activation)
        self.gate_initializer = keras.initializers.get(gate_initializer)

    def build(self, x_shape, tokens_shape=None, condition_shape=None):
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

    def call(self, x, tokens=None, mask=None, condition=None, training=None):
        if (tokens is None) != (self.cross_attention is None):
            built, came = ("without", "got some") if self.cross_attention is None else ("with", "got none")
            raise ValueError(f"TransformerBlock2D: {self.name} was built {built} tokens and now {came}.")
        if tokens is not None:
            x = self.cross_attention(x, tokens, mask=mask)
        x = self.self_attention(x, training=training)
        return x + self.contract(self.activation(self.expand(self.modulation(x, condition))))

    def compute_mask(self, inputs, previous_mask):
        return None  # the mask is the tokens', not the image's

    def compute_output_shape(self, x_shape, tokens_shape=None, mask_shape=None, condition_shape=None):
        return x_shape

    # === Config ===
    def get_config(self):
        config = super().get_config()
        config.update(
            {
                "num_heads": self.num_heads,
                "mlp_ratio": self.mlp_ratio,
                "activation": keras.activations.serialize(self.activation),
                "gate_initializer": keras.initializers.serialize(self.gate_initializer),
            }
        )
        return config
