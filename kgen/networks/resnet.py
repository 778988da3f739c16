"""The residual generator and discriminator of Miyato et al. (2018)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
from keras import layers, ops

from kgen.layers import Modulation, ResidualBlock2D, SelfAttention2D, SpectralNormalization
from kgen.networks.ends import discriminator_head, discriminator_inputs, generator_inputs, single, to_pixels
from kgen.networks.own_scope import in_own_scope
from kgen.networks.stages import check_attention_resolutions, coarsest_side, stage_filters, stage_grids
from kgen.serializable import python_numbers
from kgen.types import ImageShape


@in_own_scope
@python_numbers
def resnet_generator(
    image_shape: ImageShape,
    latent_dim: int = 128,
    pooled_dim: int | None = None,
    filters: int | Sequence[int] = 256,
    patch: int = 1,
    attention_resolutions: Sequence[int] = (),
    output_activation: str = "tanh",
    name: str = "generator",
) -> keras.Model:
    """Latents to images by residual blocks with batch normalisation, each on a doubled grid.

    The generator of Miyato et al. (2018), "Spectral Normalization for Generative Adversarial Networks". With a
    condition, batch normalisation is conditional, as in Miyato & Koyama (2018). A dense layer makes the coarsest grid.
    Every stage doubles it by repetition and runs a `ResidualBlock2D`. This equals the paper's block with upsampling
    inside, because normalisation, ReLU and 1x1 convolution give the same result before and after repetition.

    Args:
        image_shape: `(height, width, channels)`. Halving must bring the shorter side to 4, 5, 6 or 7.
        latent_dim: length of a latent vector.
        pooled_dim: length of a condition, such as a one-hot label; None without one.
        filters: channels of the coarsest stage (halved at each stage, not below 32), or of each stage, coarse to fine.
        patch: the finest stage runs at the image's size / patch, and a pixel shuffle makes the pixels. The paper has 1;
            2 saves most of the time.
        attention_resolutions: shorter sides of the grids that end in a `SelfAttention2D` (Zhang et al. 2019).
        output_activation: "tanh" for images in [-1, 1], "linear" for the latents of an autoencoder.
        name: name of the model.

    Returns:
        A `keras.Model` from latents `(batch, latent_dim)`, or `{"latents", "pooled"}`, to float32 images
        `(batch, *image_shape)` in [-1, 1].

    Raises:
        ValueError: if an argument does not fit the image shape.

    Example:

    ```python
    generator = kgen.networks.resnet_generator((32, 32, 3), filters=(256, 256, 256, 256))
    generator(keras.random.normal((2, 128))).shape      # (2, 32, 32, 3)
    ```
    """
    grids, widths = _stages("resnet_generator", image_shape, filters, patch, attention_resolutions)
    inputs = generator_inputs("resnet_generator", latent_dim, pooled_dim)
    condition = () if pooled_dim is None else (inputs["pooled"],)

    x = layers.Dense(math.prod(grids[0]) * widths[0], name="lift")(inputs["latents"])
    x = layers.Reshape((*grids[0], widths[0]), name="lift_to_grid")(x)
    for stage, (grid, width) in enumerate(zip(grids, widths)):
        side = min(grid)
        if stage:
            x = layers.UpSampling2D(2, data_format="channels_last", name=f"double_{side}")(x)
            x = ResidualBlock2D(width, activation="relu", normalization="batch", name=f"block_{side}")(x, *condition)
        if side in attention_resolutions:
            x = SelfAttention2D(name=f"attention_{side}")(x)
    x = Modulation("batch", name="normalize")(x, *condition)
    x = layers.ReLU(name="relu")(x)
    x = to_pixels(x, image_shape[-1], patch=patch, output_activation=output_activation)
    return keras.Model(single(inputs), x, name=name)


@in_own_scope
@python_numbers
def resnet_discriminator(
    image_shape: ImageShape,
    pooled_dim: int | None = None,
    num_classes: int | None = None,
    filters: int | Sequence[int] = 256,
    patch: int = 1,
    spectral_normalization: bool = True,
    attention_resolutions: Sequence[int] = (),
    name: str = "discriminator",
) -> keras.Model:
    """Images to logits by residual blocks with spectral normalisation; the grid is halved between them.

    The discriminator of Miyato et al. (2018): blocks of ReLU and convolution without feature normalisation, mean
    pooling between them. The features are the sum over the coarsest grid; `discriminator_head` makes the logits.

    Args:
        image_shape: `(height, width, channels)`. Halving must bring the shorter side to 4, 5, 6 or 7.
        pooled_dim: length of a condition, such as a one-hot label; None without one.
        num_classes: number of classes of an auxiliary classifier, not together with a condition; None without one.
        filters: channels of the coarsest stage (halved at each finer stage, not below 32), or of each stage, coarse to
            fine.
        patch: stride of the first convolution; the finest stage runs at the image's size / patch.
        spectral_normalization: keep the spectral norm of every layer at 1.
        attention_resolutions: shorter sides of the grids that end in a `SelfAttention2D`.
        name: name of the model.

    Returns:
        A `keras.Model` from images `(batch, *image_shape)` in [-1, 1], or `{"images", "pooled"}`, to float32 logits
        `(batch, 1)`; with `num_classes` to `{"logits": (batch, 1), "labels": (batch, num_classes)}`.

    Raises:
        ValueError: if an argument does not fit the image shape, or both `pooled_dim` and `num_classes` are given.

    Example:

    ```python
    discriminator = kgen.networks.resnet_discriminator((32, 32, 3), filters=(128, 128, 128, 128))
    discriminator(keras.random.normal((2, 32, 32, 3))).shape      # (2, 1)
    ```
    """
    grids, widths = _stages("resnet_discriminator", image_shape, filters, patch, attention_resolutions)
    inputs = discriminator_inputs("resnet_discriminator", image_shape, pooled_dim, num_classes)

    stem = layers.Conv2D(widths[-1], patch + 2, patch, padding="same", data_format="channels_last", name="stem")
    if spectral_normalization:
        stem = SpectralNormalization(stem, name="stem")
    x = stem(inputs["images"])
    for stage in reversed(range(len(grids))):
        side = min(grids[stage])
        if side in attention_resolutions:
            attention = SelfAttention2D(
                spectral_normalization=spectral_normalization, twice_differentiable=True, name=f"attention_{side}"
            )
            x = attention(x)
        block = ResidualBlock2D(
            widths[stage],
            activation="relu",
            normalization=None,
            spectral_normalization=spectral_normalization,
            name=f"block_{side}",
        )
        x = block(x)
        if stage:
            x = layers.AveragePooling2D(2, data_format="channels_last", name=f"halve_{side}")(x)
    h = ops.sum(layers.ReLU(name="relu")(x), axis=(1, 2))
    outputs = discriminator_head(h, inputs.get("pooled"), num_classes, spectral_normalization)
    return keras.Model(single(inputs), outputs, name=name)


def _stages(
    owner: str,
    image_shape: ImageShape,
    filters: int | Sequence[int],
    patch: int,
    attention_resolutions: Sequence[int],
) -> tuple[list[tuple[int, int]], list[int]]:
    """Grids and channels, coarse to fine."""
    grids = stage_grids(owner, image_shape, coarsest_side(owner, image_shape, patch), patch)
    check_attention_resolutions(owner, attention_resolutions, grids)
    return grids, stage_filters(owner, filters, len(grids))
