"""The networks of a text-to-image model where a user gives none."""

from __future__ import annotations

from typing import Any

import keras

from kgen.networks.multiscale_decoder import MultiscaleDecoder
from kgen.networks.multiscale_encoder import MultiscaleEncoder
from kgen.types import ImageShape


def text_generator(
    image_shape: ImageShape,
    latent_dim: int,
    pooled_dim: int,
    token_dim: int,
    output_activation: str = "linear",
    **sizes: Any,
) -> keras.Model:
    """A `MultiscaleDecoder` conditioned on text, sized for images of this shape.

    Its grid starts at 8x8, and its convolutions work at a quarter of the image's size, from where a pixel shuffle makes
    the pixels. Most of its weights are in the dense layer that lifts text and noise to that grid.

    Args:
        image_shape: `(height, width, channels)`.
        latent_dim: length of a latent vector.
        pooled_dim, token_dim: lengths of the text encoder's pooled and token features.
        output_activation: "tanh" for an adversarial objective, "linear" for a likelihood.
        **sizes: arguments of `MultiscaleDecoder` to use in place of these.

    Example:

    ```python
    kgen.networks.text_generator((64, 64, 3), latent_dim=8, pooled_dim=384, token_dim=384)
    ```
    """
    side = min(image_shape[:2])
    # Convolutions run at 16x16 up to 64 pixels, and at a quarter of the side beyond.
    patch = max(1, side // 16 if side <= 64 else 4)
    stages = 1
    while 8 * 2 ** (stages - 1) * patch < side:
        stages += 1
    own = {
        "start": 8,
        "patch": patch,
        "filters": (64, *[48] * (stages - 1)),
        "blocks": (1, *[2] * (stages - 1)),
        "attention_resolutions": (8,),
        "condition_dim": 1024,
        "activation": "silu",
        "name": "generator",
    }
    return MultiscaleDecoder(
        image_shape,
        latent_dim,
        pooled_dim=pooled_dim,
        token_dim=token_dim,
        output_activation=output_activation,
        **{**own, **sizes},
    )


def text_image_encoder(image_shape: ImageShape, latent_dim: int, pooled_dim: int) -> keras.Model:
    """A small `MultiscaleEncoder` for q(z|image, text), which has little to say."""
    return MultiscaleEncoder(
        image_shape,
        2 * latent_dim,
        pooled_dim=pooled_dim,
        filters=16,
        blocks=0,
        end=8,
        patch=min(image_shape[:2]) // 8,
        name="encoder",
    )


def text_discriminator(image_shape: ImageShape, pooled_dim: int) -> keras.Model:
    """A `MultiscaleEncoder` that judges whether an image is real and fits the text."""
    patch = max(1, min(image_shape[:2]) // 32)
    return MultiscaleEncoder(image_shape, 1, pooled_dim=pooled_dim, filters=32, patch=patch, name="discriminator")
