"""What networks begin and end with: their inputs, the lift to a grid, images, logits."""

from __future__ import annotations

from collections.abc import Callable

import keras
from keras import layers

from kgen.checks import integer
from kgen.layers import Modulation, PixelShuffle, SpectralNormalization
from kgen.types import ImageShape, Tensor


def generator_inputs(owner: str, latent_dim: int, pooled_dim: int | None = None) -> dict[str, Tensor]:
    """The symbolic inputs of a generator.

    Args:
        owner: name that errors begin with.
        latent_dim: length of a latent vector.
        pooled_dim: length of a condition; None without one.

    Returns:
        A dict with `"latents"`, and `"pooled"` if there is a condition.

    Raises:
        ValueError: if a length is not an integer of at least 1.
    """
    inputs = {"latents": keras.Input((integer(owner, "latent_dim", latent_dim),), name="latents")}
    if pooled_dim is not None:
        inputs["pooled"] = keras.Input((integer(owner, "pooled_dim", pooled_dim),), name="pooled")
    return inputs


def to_pixels(
    x: Tensor, channels: int, kernel_size: int = 3, patch: int = 1, output_activation: str = "tanh"
) -> Tensor:
    """Features to float32 images: a convolution, a pixel shuffle if a position is a patch, and an activation.

    Args:
        x: symbolic tensor `(batch, H, W, C)`.
        channels: channels of the image.
        kernel_size: kernel size of the convolution.
        patch: each position of x becomes `patch` x `patch` pixels.
        output_activation: "tanh" for images in [-1, 1], "linear" for unbounded values.

    Returns:
        A symbolic tensor `(batch, patch * H, patch * W, channels)`.
    """
    x = layers.Conv2D(channels * patch**2, kernel_size, padding="same", data_format="channels_last", name="to_pixels")(
        x
    )
    if patch > 1:
        x = PixelShuffle(patch, name="pixels")(x)
    # In float32 under mixed precision too: these are pixels.
    return layers.Activation(output_activation, dtype="float32", name="images")(x)


def discriminator_inputs(
    owner: str, image_shape: ImageShape, pooled_dim: int | None = None, num_classes: int | None = None
) -> dict[str, Tensor]:
    """The symbolic inputs of a discriminator.

    Args:
        owner: name that errors begin with.
        image_shape: `(height, width, channels)`.
        pooled_dim: length of a condition; None without one.
        num_classes: number of classes of an auxiliary classifier; None without one.

    Returns:
        A dict with `"images"`, and `"pooled"` if there is a condition.

    Raises:
        ValueError: if there are both a condition and a classifier, or a length is not an integer of at least 1.
    """
    check_told_or_asked(owner, pooled_dim, num_classes)
    inputs = {"images": keras.Input(tuple(image_shape), name="images")}
    if pooled_dim is not None:
        inputs["pooled"] = keras.Input((pooled_dim,), name="pooled")
    return inputs


def check_told_or_asked(owner: str, pooled_dim: int | None, num_classes: int | None) -> None:
    """Checks that a discriminator is not both told the class and asked for it, and that lengths are at least 1."""
    if pooled_dim is not None and num_classes is not None:
        raise ValueError(
            f"{owner}: pooled_dim={pooled_dim} tells the discriminator the class that num_classes={num_classes} asks "
            "it to recognise. Pass only one of them."
        )
    for name, size in (("pooled_dim", pooled_dim), ("num_classes", num_classes)):
        if size is not None:
            integer(owner, name, size)


def discriminator_head(
    h: Tensor, pooled: Tensor | None = None, num_classes: int | None = None, spectral_normalization: bool = False
) -> Tensor | dict[str, Tensor]:
    """Logits from the features h of a discriminator: linear, with a projection, or together with a classifier.

    Without further arguments this is a linear layer, w.h + b. With a condition y it is the projection of Miyato &
    Koyama (2018), "cGANs with Projection Discriminator",

        logit = w.h + b + <V y, h>

    The first part asks whether an image is real; the second part asks whether it fits y. With `num_classes` a second
    linear layer predicts the class: the auxiliary classifier of Odena et al. (2017), "Conditional Image Synthesis with
    Auxiliary Classifier GANs". The features become a layer named `"features"`, so that
    `keras.Model(discriminator.input, discriminator.get_layer("features").output)` gives them.

    Args:
        h: symbolic tensor `(batch, F)`.
        pooled: symbolic tensor `(batch, P)` to project on, or None.
        num_classes: number of classes of the classifier, or None.
        spectral_normalization: keep the spectral norm of w, V and the classifier at 1.

    Returns:
        Float32 logits `(batch, 1)`; with `num_classes` the dict `{"logits": (batch, 1), "labels": (batch, classes)}`.
    """

    def dense(x: Tensor, units: int, name: str, use_bias: bool = True) -> Tensor:
        # In float32 under mixed precision too: losses need the precision.
        layer = layers.Dense(units, use_bias=use_bias, dtype="float32", name=name)
        return (SpectralNormalization(layer, dtype="float32", name=name) if spectral_normalization else layer)(x)

    h = layers.Activation("linear", name="features")(h)
    logits = dense(h, 1, "logits")
    if pooled is not None:
        direction = dense(pooled, h.shape[-1], "projection", use_bias=False)
        fit = layers.Dot(axes=1, dtype="float32", name="fit")([direction, h])
        logits = layers.Add(dtype="float32", name="conditional_logits")([logits, fit])
    if num_classes is not None:
        return {"logits": logits, "labels": dense(h, num_classes, "labels")}
    return logits


def single(inputs: dict[str, Tensor]) -> Tensor | dict[str, Tensor]:
    """A dict of inputs, or the only input in it."""
    return inputs if len(inputs) > 1 else next(iter(inputs.values()))


def condition_vector(
    inputs: dict[str, Tensor],
    units: int,
    activation: str | Callable = "leaky_relu",
    dtype: str | keras.DTypePolicy | None = None,
) -> Tensor:
    """Latents, and the pooled condition if there is one, to one vector by a small MLP.

    Args:
        inputs: dict of the symbolic tensors `"latents"` `(batch, n)` and, with a condition, `"pooled"` `(batch, m)`.
        units: length of the vector.
        activation: activation of the MLP.
        dtype: dtype or policy of all layers.

    Returns:
        A symbolic tensor `(batch, units)`.
    """
    c = inputs["latents"]
    if "pooled" in inputs:
        c = layers.Concatenate(dtype=dtype, name="condition_join")([c, inputs["pooled"]])
    c = layers.Dense(units, activation=activation, dtype=dtype, name="condition_1")(c)
    return layers.Dense(units, activation=activation, dtype=dtype, name="condition_2")(c)


def lift(c: Tensor, grid: tuple[int, int], width: int, dtype: str | keras.DTypePolicy | None = None) -> Tensor:
    """A vector to the coarsest grid, by a dense layer.

    Args:
        c: symbolic tensor `(batch, n)`.
        grid: `(height, width)`.
        width: channels.
        dtype: dtype or policy of all layers.

    Returns:
        A symbolic tensor `(batch, *grid, width)`.
    """
    x = layers.Dense(grid[0] * grid[1] * width, dtype=dtype, name="lift")(c)
    return layers.Reshape((*grid, width), dtype=dtype, name="lift_to_grid")(x)


def upsample(x: Tensor, width: int, name: str, dtype: str | keras.DTypePolicy | None = None) -> Tensor:
    """A grid to one twice as fine, by a 1x1 convolution and a pixel shuffle.

    Args:
        x: symbolic tensor `(batch, H, W, C)`.
        width: channels of the finer grid.
        name: prefix of the layers' names.
        dtype: dtype or policy of all layers.

    Returns:
        A symbolic tensor `(batch, 2 H, 2 W, width)`.
    """
    x = layers.Dense(4 * width, dtype=dtype, name=f"{name}_expand")(x)
    return PixelShuffle(2, dtype=dtype, name=f"{name}_shuffle")(x)


def to_image(
    x: Tensor,
    channels: int,
    name: str,
    patch: int = 1,
    activation: str | Callable = "leaky_relu",
    normalization: str | None = "rms",
    output: str = "linear",
    dtype: str | keras.DTypePolicy | None = None,
) -> Tensor:
    """Features to a float32 image: normalisation, a convolution, and a pixel shuffle if a position is a patch.

    Args:
        x: symbolic tensor `(batch, H, W, C)`.
        channels: channels of the image.
        name: name of the last layer and prefix of the others.
        patch: each position of x becomes `patch` x `patch` pixels.
        activation: activation before the convolution.
        normalization: as in `Modulation`.
        output: activation of the image.
        dtype: dtype or policy of all layers but the last.

    Returns:
        A symbolic tensor `(batch, patch * H, patch * W, channels)`.
    """
    x = Modulation(normalization, dtype=dtype, name=f"{name}_normalize")(x)
    x = layers.Activation(activation, dtype=dtype, name=f"{name}_activation")(x)
    x = layers.Conv2D(
        channels * patch**2, 3, padding="same", data_format="channels_last", dtype=dtype, name=f"{name}_convolution"
    )(x)
    if patch > 1:
        x = PixelShuffle(patch, dtype=dtype, name=f"{name}_shuffle")(x)
    # In float32 under mixed precision too: these are pixels, or what a likelihood reads.
    return layers.Activation(output, dtype="float32", name=name)(x)
