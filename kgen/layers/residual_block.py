"""The convolutional block that networks are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from kgen.layers.modulation import Modulation
from kgen.layers.spectral_normalization import SpectralNormalization
from kgen.serializable import serializable
from kgen.types import Tensor


@serializable
class ResidualBlock2D(keras.layers.Layer):
    """Two convolutions and a skip connection around them; normalisation and activation come before each convolution.

        y = skip(x) + conv(act(mod(conv(act(mod(x, c))), c)))

    where mod is a `Modulation` by the condition c. The order is that of He et al. (2016), "Identity Mappings in Deep
    Residual Networks". The skip is the identity, or a 1x1 convolution if the number of channels changes. Called as
    `block(x, condition=None)`: x `(B, H, W, C)`, condition `(B, P)`. Returns `(B, H, W, filters)`.

    Args:
        filters: channels of the output.
        kernel_size: side of both convolutions.
        activation: name or function. After relu, `"leaky_relu"` is the fastest on CPU; `"silu"` is smooth.
        normalization: as in `Modulation`: `"rms"`, `"layer"`, `"group"`, `"batch"` or None.
        spectral_normalization: keep the spectral norm of every convolution at 1 (for discriminators).

    Example:
        ```python
        x, condition = keras.random.normal((2, 8, 8, 16)), keras.random.normal((2, 10))
        ResidualBlock2D(32)(x, condition).shape  # (2, 8, 8, 32)
        ```
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int = 3,
        activation: str | Callable = "leaky_relu",
        normalization: str | None = "rms",
        spectral_normalization: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.activation = keras.activations.get(activation)
        self.normalization = normalization
        self.spectral_normalization = spectral_normalization

    def build(self, x_shape: tuple, condition_shape: tuple | None = None) -> None:
        inner_shape = (*x_shape[:-1], self.filters)
        # === Layers ===
        self.modulation_1 = Modulation(self.normalization, dtype=self.dtype_policy, name="modulation_1")
        self.modulation_1.build(x_shape, condition_shape)
        self.convolution_1 = self._convolution(self.kernel_size, x_shape, name="convolution_1")
        self.modulation_2 = Modulation(self.normalization, dtype=self.dtype_policy, name="modulation_2")
        self.modulation_2.build(inner_shape, condition_shape)
        self.convolution_2 = self._convolution(self.kernel_size, inner_shape, name="convolution_2")
        self.skip = None
        if x_shape[-1] != self.filters:
            self.skip = self._convolution(1, x_shape, use_bias=False, name="skip")

    def _convolution(self, kernel_size, input_shape, use_bias=True, name=None):
        layer = keras.layers.Conv2D(
            self.filters,
            kernel_size,
            padding="same",
            use_bias=use_bias,
            data_format="channels_last",
            dtype=self.dtype_policy,
            name=name,
        )
        if self.spectral_normalization:
            layer = SpectralNormalization(layer, dtype=self.dtype_policy, name=f"{name}_normalized")
        layer.build(input_shape)
        return layer

    def call(self, x: Tensor, condition: Tensor | None = None, training: bool | None = None) -> Tensor:
        h = self.activation(self.modulation_1(x, condition, training=training))
        h = self.convolution_1(h, training=training)
        h = self.activation(self.modulation_2(h, condition, training=training))
        h = self.convolution_2(h, training=training)
        return h + (x if self.skip is None else self.skip(x, training=training))

    def compute_output_shape(self, x_shape: tuple, condition_shape: tuple | None = None) -> tuple:
        return (*x_shape[:-1], self.filters)
