"""The plain modern generator and discriminator of Huang et al. (2024)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
from keras import layers

from kgen.checks import integer
from kgen.layers import GroupedConvolution2D, SelfAttention2D
from kgen.networks.ends import discriminator_head, discriminator_inputs, generator_inputs, single, to_pixels
from kgen.networks.own_scope import in_own_scope
from kgen.networks.stages import check_attention_resolutions, coarsest_side, stage_blocks, stage_filters, stage_grids
from kgen.serializable import python_numbers
from kgen.types import ImageShape, Tensor

SLOPE = 0.2
GAIN = 2 / (1 + SLOPE**2)  # keeps the variance of signals through leaky ReLU


@in_own_scope
@python_numbers
def r3gan_generator(
    image_shape: ImageShape,
    latent_dim: int = 64,
    pooled_dim: int | None = None,
    filters: int | Sequence[int] = 256,
    blocks: int | Sequence[int] = 1,
    group_width: int = 16,
    patch: int = 1,
    attention_resolutions: Sequence[int] = (),
    output_activation: str = "tanh",
    name: str = "generator",
) -> keras.Model:
    """Latents to images by residual inverted bottlenecks between bilinear enlargements.

    The generator of Huang et al. (2024), "The GAN is dead; long live the GAN! A Modern Baseline GAN". A linear
    function of the latents weighs a learned basis of the coarsest grid, one grid per channel. Every stage runs its
    blocks,

        y = x + W_3 act(W_2 act(W_1 x))

    with W_1 a 1x1 convolution to twice the channels, W_2 a 3x3 one in groups, W_3 a 1x1 one back, and act leaky ReLU.
    A stage begins with a 1x1 convolution if the channels change, and a bilinear enlargement. There is no
    normalisation: W_3 starts at 0, so that blocks begin as the identity, and the others are scaled down by the number
    of blocks (Zhang et al. 2019, "Fixup Initialization"). A condition is embedded and joined to the latents.

    Args:
        image_shape: `(height, width, channels)`. Halving must bring the shorter side to 4, 5, 6 or 7.
        latent_dim: length of a latent vector.
        pooled_dim: length of a condition, such as a one-hot label; None without one.
        filters: channels of the coarsest stage (halved at each stage, not below 32), or of each stage, coarse to fine.
        blocks: blocks of each stage, one number or one per stage, coarse to fine; the paper has 2.
        group_width: channels of a group of W_2; must divide twice the channels.
        patch: the finest stage runs at the image's size / patch, and a pixel shuffle makes the pixels. The paper has 1;
            2 saves most of the time.
        attention_resolutions: shorter sides of the grids that end in a `SelfAttention2D`; the paper has none.
        output_activation: "tanh" for images in [-1, 1], "linear" for the latents of an autoencoder.
        name: name of the model.

    Returns:
        A `keras.Model` from latents `(batch, latent_dim)`, or `{"latents", "pooled"}`, to float32 images
        `(batch, *image_shape)` in [-1, 1].

    Raises:
        ValueError: if an argument does not fit the image shape or the other arguments.

    Example:

    ```python
    generator = kgen.networks.r3gan_generator((32, 32, 3), blocks=2)
    generator(keras.random.normal((2, 64))).shape      # (2, 32, 32, 3)
    ```
    """
    grids, widths, depths = _stages(
        "r3gan_generator", image_shape, filters, blocks, group_width, patch, attention_resolutions
    )
    inputs = generator_inputs("r3gan_generator", latent_dim, pooled_dim)

    x = inputs["latents"]
    if pooled_dim is not None:
        embedded = _linear(inputs["pooled"], latent_dim, "embedding")
        x = layers.Concatenate(name="latents_and_condition")([x, embedded])
    x = _linear(x, widths[0], "weights")
    # Each channel of the grid is its basis times its weight.
    x = layers.EinsumDense(
        "bc,hwc->bhwc",
        (*grids[0], widths[0]),
        kernel_initializer=keras.initializers.RandomNormal(stddev=1.0),
        name="basis",
    )(x)
    for stage, (grid, width) in enumerate(zip(grids, widths)):
        side = min(grid)
        if stage:
            if x.shape[-1] != width:
                x = _linear(x, width, f"width_{side}")
            x = layers.UpSampling2D(2, interpolation="bilinear", data_format="channels_last", name=f"enlarge_{side}")(x)
        for i in range(depths[stage]):
            x = _block(x, group_width, sum(depths), name=f"block_{side}_{i + 1}")
        if side in attention_resolutions:
            x = SelfAttention2D(name=f"attention_{side}")(x)
    x = to_pixels(x, image_shape[-1], kernel_size=1, patch=patch, output_activation=output_activation)
    return keras.Model(single(inputs), x, name=name)


@in_own_scope
@python_numbers
def r3gan_discriminator(
    image_shape: ImageShape,
    pooled_dim: int | None = None,
    num_classes: int | None = None,
    filters: int | Sequence[int] = 256,
    blocks: int | Sequence[int] = 1,
    group_width: int = 16,
    patch: int = 1,
    attention_resolutions: Sequence[int] = (),
    name: str = "discriminator",
) -> keras.Model:
    """Images to logits by residual inverted bottlenecks between bilinear reductions: the mirror of `r3gan_generator`.

    The discriminator of Huang et al. (2024): blocks as in the generator, and 2x2 mean pooling, which equals bilinear
    interpolation to half the size. The features are a weighted sum over the coarsest grid, with weights for each
    channel; `discriminator_head` makes the logits. It has second derivatives for R1 and R2 penalties, and is meant to
    train with these and the relativistic loss.

    Args:
        image_shape: `(height, width, channels)`. Halving must bring the shorter side to 4, 5, 6 or 7.
        pooled_dim: length of a condition, such as a one-hot label; None without one.
        num_classes: number of classes of an auxiliary classifier, not together with a condition; None without one.
        filters: channels of the coarsest stage (halved at each finer stage, not below 32), or of each stage, coarse to
            fine.
        blocks: blocks of each stage, one number or one per stage, coarse to fine; the paper has 2.
        group_width: channels of a group of the 3x3 convolutions; must divide twice the channels.
        patch: the first convolution sees each patch of this side by itself; the finest stage runs at the image's size /
            patch.
        attention_resolutions: shorter sides of the grids that end in a `SelfAttention2D`; the paper has none.
        name: name of the model.

    Returns:
        A `keras.Model` from images `(batch, *image_shape)` in [-1, 1], or `{"images", "pooled"}`, to float32 logits
        `(batch, 1)`; with `num_classes` to `{"logits": (batch, 1), "labels": (batch, num_classes)}`.

    Raises:
        ValueError: if an argument does not fit the image shape or the other arguments.

    Example:

    ```python
    discriminator = kgen.networks.r3gan_discriminator((32, 32, 3), blocks=2)
    discriminator(keras.random.normal((2, 32, 32, 3))).shape      # (2, 1)
    ```
    """
    grids, widths, depths = _stages(
        "r3gan_discriminator", image_shape, filters, blocks, group_width, patch, attention_resolutions
    )
    inputs = discriminator_inputs("r3gan_discriminator", image_shape, pooled_dim, num_classes)

    x = layers.Conv2D(
        widths[-1], patch, patch, kernel_initializer=_normal(), data_format="channels_last", name="from_pixels"
    )(inputs["images"])
    for stage in reversed(range(len(grids))):
        side = min(grids[stage])
        for i in range(depths[stage]):
            x = _block(x, group_width, sum(depths), name=f"block_{side}_{i + 1}")
        if side in attention_resolutions:
            x = SelfAttention2D(twice_differentiable=True, name=f"attention_{side}")(x)
        if stage:
            x = layers.AveragePooling2D(2, data_format="channels_last", name=f"reduce_{side}")(x)
            if x.shape[-1] != widths[stage - 1]:
                x = _linear(x, widths[stage - 1], f"width_{min(grids[stage - 1])}")
    h = layers.EinsumDense(
        "bhwc,hwc->bc",
        widths[0],
        kernel_initializer=keras.initializers.RandomNormal(stddev=math.prod(grids[0]) ** -0.5),
        name="basis",
    )(x)
    return keras.Model(single(inputs), discriminator_head(h, inputs.get("pooled"), num_classes), name=name)


def _block(x: Tensor, group_width: int, blocks: int, name: str) -> Tensor:
    """The block of `r3gan_generator`, in a network with this many blocks."""
    # Fixup: with m = 3 layers per block, each but the last is scaled by blocks^(-1 / (2m - 2)).
    scaled, inner = _normal(GAIN / blocks**0.5), 2 * x.shape[-1]
    h = layers.Dense(inner, kernel_initializer=scaled, name=f"{name}_expand")(x)
    h = layers.LeakyReLU(SLOPE, name=f"{name}_leaky_relu_1")(h)
    h = GroupedConvolution2D(
        inner, 3, groups=inner // group_width, padding="same", kernel_initializer=scaled, name=f"{name}_groups"
    )(h)
    h = layers.LeakyReLU(SLOPE, name=f"{name}_leaky_relu_2")(h)
    h = layers.Dense(x.shape[-1], use_bias=False, kernel_initializer="zeros", name=f"{name}_project")(h)
    return layers.Add(name=name)([x, h])


def _linear(x: Tensor, width: int, name: str) -> Tensor:
    """A 1x1 convolution, or a dense layer, that keeps the variance."""
    return layers.Dense(width, use_bias=False, kernel_initializer=_normal(), name=name)(x)


def _normal(scale: float = 1.0) -> keras.initializers.Initializer:
    return keras.initializers.VarianceScaling(scale, "fan_in", "untruncated_normal")


def _stages(
    owner: str,
    image_shape: ImageShape,
    filters: int | Sequence[int],
    blocks: int | Sequence[int],
    group_width: int,
    patch: int,
    attention_resolutions: Sequence[int],
) -> tuple[list[tuple[int, int]], list[int], list[int]]:
    """Grids, channels and numbers of blocks, coarse to fine."""
    grids = stage_grids(owner, image_shape, coarsest_side(owner, image_shape, patch), patch)
    check_attention_resolutions(owner, attention_resolutions, grids)
    widths = stage_filters(owner, filters, len(grids))
    if any(2 * width % integer(owner, "group_width", group_width) for width in widths):
        raise ValueError(f"{owner}: group_width must divide twice the channels {widths}; got {group_width}.")
    return grids, widths, stage_blocks(owner, blocks, len(grids))
