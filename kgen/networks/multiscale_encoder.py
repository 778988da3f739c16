"""From an image, and a condition if there is one, to a vector, fine to coarse."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import layers

from kgen.checks import integer
from kgen.layers import ResidualBlock2D, SelfAttention2D, SpectralNormalization
from kgen.networks.configured_network import ConfiguredNetwork
from kgen.networks.ends import discriminator_inputs, single
from kgen.networks.stages import check_attention_resolutions, stage_blocks, stage_filters, stage_grids
from kgen.serializable import serializable
from kgen.types import ImageShape, Tensor


@serializable
class MultiscaleEncoder(ConfiguredNetwork):
    """Encoder or discriminator: images to vectors, halving down to a small grid; the mirror of `MultiscaleDecoder`.

    Each stage runs its residual blocks (and self-attention at `attention_resolutions`) and halves the grid by a 2x2
    convolution of stride 2. The last grid is flattened, which keeps positions apart, and a dense layer turns it into
    the features h. Then

        y = W (h * (1 + V pooled)) + b

    With one output this is the projection discriminator of Miyato & Koyama (2018) in bilinear form. With more it is
    FiLM on the features, which suits the posterior of a conditional VAE. Without `pooled_dim`, y = W h + b. There is no
    batch normalisation: an image's output does not depend on its batch, and gradient penalties are valid.

    Inputs: images (B, height, width, channels) in [-1, 1] alone, or the dict `{"images", "pooled"}` with pooled
    (B, pooled_dim). Output: (B, output_dim), float32, linear.

    Args:
        image_shape: (height, width, channels). Both sides are a coarsest side times a power of two times `patch`;
            28 pixels need `end=7`.
        output_dim: length of the output: 1 for a discriminator, twice the latents for a Gaussian posterior.
        pooled_dim: length of a pooled condition vector, or `None` without one.
        end: shorter side of the coarsest grid.
        filters: channels of the coarsest stage (halved at each finer stage, not below 32), or of each stage, coarse to
            fine as in the decoder.
        blocks: residual blocks of each stage, one number or one per stage, coarse to fine.
        attention_resolutions: shorter sides of the grids that end in a `SelfAttention2D`.
        num_heads: attention heads; must divide the channels there.
        patch: stride of the first convolution; the finest stage runs at the image's size / patch.
        feature_dim: length of h.
        activation: activation of every block and of h.
        normalization: normalisation of the residual blocks, as in `Modulation`.
        spectral_normalization: keep the spectral norm of every convolution and dense layer at 1.
        dtype: dtype or policy of all layers; `None` is Keras' global one. Outputs are always float32.

    Raises:
        ValueError: if an argument does not fit the image shape or the other arguments.

    Example:
        ```python
        discriminator = MultiscaleEncoder((64, 64, 3), output_dim=1)
        discriminator(keras.random.normal((2, 64, 64, 3))).shape  # (2, 1)
        ```
    """

    def __init__(
        self,
        image_shape: ImageShape,
        output_dim: int,
        pooled_dim: int | None = None,
        end: int = 4,
        filters: int | Sequence[int] = 256,
        blocks: int | Sequence[int] = 1,
        attention_resolutions: Sequence[int] = (),
        num_heads: int = 4,
        patch: int = 1,
        feature_dim: int = 256,
        activation: str | Callable = "leaky_relu",
        normalization: str | None = "rms",
        spectral_normalization: bool = False,
        dtype: str | keras.DTypePolicy | None = None,
        **kwargs: Any,
    ) -> None:
        owner = type(self).__name__
        grids = stage_grids(owner, image_shape, end, patch)
        widths = stage_filters(owner, filters, len(grids))
        depths = stage_blocks(owner, blocks, len(grids))
        check_attention_resolutions(owner, attention_resolutions, grids)
        for name, size in (("output_dim", output_dim), ("feature_dim", feature_dim)):
            integer(owner, name, size)

        # === Layers ===
        def normalized(layer: keras.layers.Layer) -> keras.layers.Layer:
            return SpectralNormalization(layer, dtype=layer.dtype_policy) if spectral_normalization else layer

        def dense(x: Tensor, units: int, name: str, dtype: str | keras.DTypePolicy | None = dtype) -> Tensor:
            return normalized(layers.Dense(units, dtype=dtype, name=name))(x)

        def convolution(x: Tensor, width: int, kernel_size: int, strides: int, name: str) -> Tensor:
            layer = layers.Conv2D(
                width,
                kernel_size,
                strides,
                padding="same",
                data_format="channels_last",
                dtype=dtype,
                name=name,
            )
            return normalized(layer)(x)

        def block(x: Tensor, name: str) -> Tensor:
            residual = ResidualBlock2D(
                x.shape[-1],
                activation=activation,
                normalization=normalization,
                spectral_normalization=spectral_normalization,
                dtype=dtype,
                name=name,
            )
            return residual(x)

        def attention(x: Tensor, name: str) -> Tensor:
            layer = SelfAttention2D(
                num_heads,
                spectral_normalization=spectral_normalization,
                twice_differentiable=True,
                dtype=dtype,
                name=name,
            )
            return layer(x)

        # === Functional Model ===
        inputs = discriminator_inputs(owner, image_shape, pooled_dim)
        stage_ends: list[Tensor] = []
        x = convolution(inputs["images"], widths[-1], patch + 2, patch, name="stem")
        for stage in reversed(range(len(grids))):
            side = min(grids[stage])
            for i in range(depths[stage]):
                x = block(x, name=f"block_{side}_{i + 1}")
            if side in attention_resolutions:
                x = attention(x, name=f"attention_{side}")
            stage_ends.insert(0, x)
            if stage:
                x = convolution(x, widths[stage - 1], 2, 2, name=f"downsample_{side}")
        x = layers.Activation(activation, dtype=dtype, name="activation")(x)
        x = layers.Flatten(data_format="channels_last", dtype=dtype, name="flatten")(x)
        h = layers.Activation(activation, dtype=dtype, name="features")(dense(x, feature_dim, name="features_dense"))
        if pooled_dim is not None:
            gain = dense(inputs["pooled"], feature_dim, name="condition")
            h = layers.Add(dtype=dtype, name="conditioned")([h, layers.Multiply(dtype=dtype, name="gained")([h, gain])])
        outputs = dense(h, output_dim, name="output", dtype="float32")
        super().__init__(inputs=single(inputs), outputs=outputs, **kwargs)

        # The symbolic output of each stage, coarse to fine, for networks that are built on it.
        self.stage_ends = tuple(stage_ends)
        self.keep(locals())
