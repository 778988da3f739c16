"""The deep convolutional generator and discriminator of Radford et al. (2016)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
from keras import layers

from kgen.layers import Modulation, SelfAttention2D
from kgen.networks.ends import discriminator_head, discriminator_inputs, generator_inputs, single, to_pixels
from kgen.networks.own_scope import in_own_scope
from kgen.networks.stages import check_attention_resolutions, coarsest_side, stage_filters, stage_grids
from kgen.serializable import python_numbers
from kgen.types import ImageShape, Tensor


@in_own_scope
@python_numbers
def dcgan_generator(
    image_shape: ImageShape,
    latent_dim: int = 100,
    pooled_dim: int | None = None,
    filters: int | Sequence[int] = 512,
    patch: int = 1,
    attention_resolutions: Sequence[int] = (),
    output_activation: str = "tanh",
    name: str = "generator",
) -> keras.Model:
    """Latents to images by convolutions that double the grid, each with batch normalisation and ReLU.

    The generator of Radford et al. (2016), "Unsupervised Representation Learning with Deep Convolutional Generative
    Adversarial Networks". A dense layer makes the coarsest grid; each doubling halves the channels; a convolution of
    the finest grid and tanh make the pixels. The paper uses transposed convolutions. Here pixels are repeated to double
    the grid, and then convolved: this leaves no checkerboards (Odena et al. 2016, "Deconvolution and Checkerboard
    Artifacts"), and it trains many times faster on CPU, where XLA is slow at the gradient of a transposed convolution.
    With a condition, batch normalisation is conditional (de Vries et al. 2017).

    Args:
        image_shape: `(height, width, channels)`. Halving must bring the shorter side to 4, 5, 6 or 7.
        latent_dim: length of a latent vector.
        pooled_dim: length of a condition, such as a one-hot label; None without one.
        filters: channels of the coarsest grid (halved at each doubling, not below 32), or of each grid, coarse to fine.
        patch: the finest grid is the image's size / patch, and a pixel shuffle makes the pixels.
        attention_resolutions: shorter sides of the grids that end in a `SelfAttention2D`.
        output_activation: "tanh" for images in [-1, 1], "linear" for the latents of an autoencoder.
        name: name of the model.

    Returns:
        A `keras.Model` from latents `(batch, latent_dim)`, or `{"latents", "pooled"}`, to float32 images
        `(batch, *image_shape)` in [-1, 1].

    Raises:
        ValueError: if an argument does not fit the image shape.

    Example:

    ```python
    generator = kgen.networks.dcgan_generator((32, 32, 3))
    generator(keras.random.normal((2, 100))).shape      # (2, 32, 32, 3)
    ```
    """
    owner = "dcgan_generator"
    grids = stage_grids(owner, image_shape, coarsest_side(owner, image_shape, patch), patch)
    widths = stage_filters(owner, filters, len(grids))
    check_attention_resolutions(owner, attention_resolutions, grids)
    inputs = generator_inputs(owner, latent_dim, pooled_dim)

    def finish(x: Tensor, side: int) -> Tensor:
        condition = () if pooled_dim is None else (inputs["pooled"],)
        x = Modulation("batch", name=f"normalize_{side}")(x, *condition)
        x = layers.ReLU(name=f"relu_{side}")(x)
        return SelfAttention2D(name=f"attention_{side}")(x) if side in attention_resolutions else x

    # No biases: the normalisation that follows has its own.
    x = layers.Dense(math.prod(grids[0]) * widths[0], use_bias=False, name="lift")(inputs["latents"])
    x = finish(layers.Reshape((*grids[0], widths[0]), name="lift_to_grid")(x), min(grids[0]))
    for grid, width in zip(grids[1:], widths[1:]):
        side = min(grid)
        x = layers.UpSampling2D(2, data_format="channels_last", name=f"double_{side}")(x)
        x = layers.Conv2D(
            width, 3, padding="same", use_bias=False, data_format="channels_last", name=f"convolution_{side}"
        )(x)
        x = finish(x, side)
    x = to_pixels(x, image_shape[-1], patch=patch, output_activation=output_activation)
    return keras.Model(single(inputs), x, name=name)


@in_own_scope
@python_numbers
def dcgan_discriminator(
    image_shape: ImageShape,
    pooled_dim: int | None = None,
    num_classes: int | None = None,
    filters: int | Sequence[int] = 512,
    normalization: str | None = None,
    attention_resolutions: Sequence[int] = (),
    name: str = "discriminator",
) -> keras.Model:
    """Images to logits by convolutions of stride 2 with leaky ReLU: the mirror of `dcgan_generator`.

    The discriminator of Radford et al. (2016). Convolutions are 4x4, so that every pixel is seen equally often. The
    features are the flattened coarsest grid; `discriminator_head` makes the logits.

    Args:
        image_shape: `(height, width, channels)`. Halving must bring the shorter side to 4, 5, 6 or 7.
        pooled_dim: length of a condition, such as a one-hot label; None without one.
        num_classes: number of classes of an auxiliary classifier, not together with a condition; None without one.
        filters: channels of the coarsest grid (halved at each finer one, not below 32), or of each grid but the
            image's, coarse to fine.
        normalization: after every convolution but the first, as in `Modulation`. The paper uses `"batch"`, but then an
            image's logit depends on its batch, which gradient penalties ignore.
        attention_resolutions: shorter sides of the grids, except the image's, that end in a `SelfAttention2D`.
        name: name of the model.

    Returns:
        A `keras.Model` from images `(batch, *image_shape)` in [-1, 1], or `{"images", "pooled"}`, to float32 logits
        `(batch, 1)`; with `num_classes` to `{"logits": (batch, 1), "labels": (batch, num_classes)}`.

    Raises:
        ValueError: if an argument does not fit the image shape, or both `pooled_dim` and `num_classes` are given.

    Example:

    ```python
    discriminator = kgen.networks.dcgan_discriminator((32, 32, 3), normalization="batch")
    discriminator(keras.random.normal((2, 32, 32, 3))).shape      # (2, 1)
    ```
    """
    owner = "dcgan_discriminator"
    grids = stage_grids(owner, image_shape, coarsest_side(owner, image_shape, patch=2), patch=2)
    widths = stage_filters(owner, filters, len(grids))
    check_attention_resolutions(owner, attention_resolutions, grids)
    inputs = discriminator_inputs(owner, image_shape, pooled_dim, num_classes)

    x = inputs["images"]
    for stage in reversed(range(len(widths))):
        side, normalized = min(grids[stage]), normalization is not None and stage < len(widths) - 1
        x = layers.Conv2D(
            widths[stage],
            4,
            2,
            padding="same",
            use_bias=not normalized,
            data_format="channels_last",
            name=f"convolution_{side}",
        )(x)
        if normalized:
            x = Modulation(normalization, name=f"normalize_{side}")(x)
        x = layers.LeakyReLU(0.2, name=f"leaky_relu_{side}")(x)
        if side in attention_resolutions:
            x = SelfAttention2D(twice_differentiable=True, name=f"attention_{side}")(x)
    h = layers.Flatten(data_format="channels_last", name="flatten")(x)
    return keras.Model(single(inputs), discriminator_head(h, inputs.get("pooled"), num_classes), name=name)
