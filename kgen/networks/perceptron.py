"""A generator and a discriminator of dense layers, for small images."""

from __future__ import annotations

import math
from collections.abc import Iterable

import keras
from keras import layers

from kgen.networks.ends import discriminator_head, discriminator_inputs, generator_inputs, single
from kgen.networks.own_scope import in_own_scope
from kgen.serializable import python_numbers
from kgen.types import ImageShape, Tensor


@in_own_scope
@python_numbers
def perceptron_generator(
    image_shape: ImageShape,
    latent_dim: int = 100,
    pooled_dim: int | None = None,
    units: Iterable[int] = (256, 512, 1024),
    output_activation: str = "tanh",
    name: str = "generator",
) -> keras.Model:
    """Latents to images by dense layers with leaky ReLU, and tanh at the end.

    By default 100-256-512-1024-784 for grey images of 28 x 28 pixels, the smallest GAN that draws digits.

    Args:
        image_shape: `(height, width, channels)`.
        latent_dim: length of a latent vector.
        pooled_dim: length of a condition, joined to the latents; None without one.
        units: units of each hidden layer.
        output_activation: "tanh" for images in [-1, 1], "linear" for the latents of an autoencoder.
        name: name of the model.

    Returns:
        A `keras.Model` from latents `(batch, latent_dim)`, or `{"latents", "pooled"}`, to `(batch, *image_shape)` in
        [-1, 1].

    Example:

    ```python
    generator = kgen.networks.perceptron_generator((28, 28, 1))
    generator(keras.random.normal((2, 100))).shape      # (2, 28, 28, 1)
    ```
    """
    inputs = generator_inputs("perceptron_generator", latent_dim, pooled_dim)
    x = _joined(inputs["latents"], inputs)
    for width in units:
        x = layers.LeakyReLU(0.2)(layers.Dense(width)(x))
    x = layers.Reshape(tuple(image_shape))(layers.Dense(math.prod(image_shape))(x))
    # In float32 under mixed precision too: these are pixels.
    return keras.Model(single(inputs), layers.Activation(output_activation, dtype="float32")(x), name=name)


@in_own_scope
@python_numbers
def perceptron_discriminator(
    image_shape: ImageShape,
    pooled_dim: int | None = None,
    num_classes: int | None = None,
    units: Iterable[int] = (1024, 512, 256),
    dropout: float = 0.3,
    name: str = "discriminator",
) -> keras.Model:
    """Images to logits by dense layers with leaky ReLU and dropout.

    By default 784-1024-512-256-1 for grey images of 28 x 28 pixels, the mirror of `perceptron_generator`.

    Args:
        image_shape: `(height, width, channels)`.
        pooled_dim: length of a condition, joined to the pixels; None without one.
        num_classes: number of classes of an auxiliary classifier, not together with a condition; None without one.
        units: units of each hidden layer.
        dropout: share of each hidden layer's outputs that is dropped in training, in [0, 1).
        name: name of the model.

    Returns:
        A `keras.Model` from images `(batch, *image_shape)`, or `{"images", "pooled"}`, to logits
        `(batch, 1)`; with `num_classes` to `{"logits": (batch, 1), "labels": (batch, num_classes)}`.

    Raises:
        ValueError: if both `pooled_dim` and `num_classes` are given.

    Example:

    ```python
    discriminator = kgen.networks.perceptron_discriminator((28, 28, 1))
    discriminator(keras.random.normal((2, 28, 28, 1))).shape      # (2, 1)
    ```
    """
    inputs = discriminator_inputs("perceptron_discriminator", image_shape, pooled_dim, num_classes)
    x = _joined(layers.Flatten(data_format="channels_last")(inputs["images"]), inputs)
    for width in units:
        x = layers.Dropout(dropout)(layers.LeakyReLU(0.2)(layers.Dense(width)(x)))
    return keras.Model(single(inputs), discriminator_head(x, num_classes=num_classes), name=name)


def _joined(x: Tensor, inputs: dict[str, Tensor]) -> Tensor:
    """`x`, concatenated with the condition if there is one."""
    return layers.Concatenate()([x, inputs["pooled"]]) if "pooled" in inputs else x
