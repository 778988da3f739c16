"""A generator and a discriminator of dense layers alone, for small pictures."""

from __future__ import annotations

import math

import keras
from keras import layers

from kgen.networks.discriminator_head import discriminator_head, discriminator_inputs, single
from kgen.networks.generator_ends import generator_inputs


def perceptron_generator(image_shape, latent_dim=100, pooled_dim=None, units=(256, 512, 1024), name="generator"):
    """Latents to pictures by dense layers with leaky ReLU, and tanh at the end.

    By default 100-256-512-1024-784 for 28 x 28 grey pictures, the smallest GAN that draws digits.

    Args:
        image_shape: `(height, width, channels)`.
        latent_dim: length of a latent vector.
        pooled_dim: length of a condition, joined to the latents; None without one.
        units: of the hidden layers.
        name: of the model.

    Returns:
        A `keras.Model` from latents `(batch, latent_dim)`, or `{"latents", "pooled"}`, to `(batch, *image_shape)` in
        [-1, 1].

    Example:

    ```python
    generator = kgen.networks.perceptron_generator((28, 28, 1))
    ```
    """
    inputs = generator_inputs("perceptron_generator", latent_dim, pooled_dim)
    x = _joined(inputs["latents"], inputs)
    for width in units:
        x = layers.LeakyReLU(0.2)(layers.Dense(width)(x))
    x = layers.Reshape(tuple(image_shape))(layers.Dense(math.prod(image_shape))(x))
    # In float32 under mixed precision too: these are pixels.
    return keras.Model(single(inputs), layers.Activation("tanh", dtype="float32")(x), name=name)


def perceptron_discriminator(
    image_shape, pooled_dim=None, num_classes=None, units=(1024, 512, 256), dropout=0.3, name="discriminator"
):
    """Pictures to logits by dense layers with leaky ReLU and dropout.

    By default 784-1024-512-256-1 for 28 x 28 grey pictures, the mirror of `perceptron_generator`.

    Args:
        image_shape: `(height, width, channels)`.
        pooled_dim: length of a condition, joined to the pixels; None without one.
        num_classes: of an auxiliary classifier, which goes without a condition; None without one.
        units: of the hidden layers.
        dropout: share of each hidden layer's outputs that is dropped in training, in [0, 1).
        name: of the model.

    Returns:
        A `keras.Model` from images `(batch, *image_shape)`, or `{"images", "pooled"}`, to logits
        `(batch, 1)`; with `num_classes` to `{"logits": (batch, 1), "labels": (batch, num_classes)}`.

    Raises:
        ValueError: both `pooled_dim` and `num_classes` are given.

    Example:

    ```python
    discriminator = kgen.networks.perceptron_discriminator((28, 28, 1))
    ```
    """
    inputs = discriminator_inputs("perceptron_discriminator", image_shape, pooled_dim, num_classes)
    x = _joined(layers.Flatten()(inputs["images"]), inputs)
    for width in units:
        x = layers.Dropout(dropout)(layers.LeakyReLU(0.2)(layers.Dense(width)(x)))
    return keras.Model(single(inputs), discriminator_head(x, num_classes=num_classes), name=name)


def _joined(x, inputs):
    """`x` with the condition beside it, where there is one."""
    return layers.Concatenate()([x, inputs["pooled"]]) if "pooled" in inputs else x
