"""Encoders, and pairs of an encoder and a decoder, by size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from kgen.networks.ladder_decoder import LadderDecoder
from kgen.networks.ladder_encoder import LadderEncoder
from kgen.networks.multiscale_decoder import MultiscaleDecoder
from kgen.networks.multiscale_encoder import MultiscaleEncoder
from kgen.networks.stages import check_image_shape, coarsest_side
from kgen.serializable import python_numbers
from kgen.types import ImageShape

# As in the "multiscale" architecture: "small" is for a CPU, and avoids the image's full resolution.
SIZES: dict[str, dict[str, int]] = {
    "small": {"filters": 64, "patch": 2},
    "medium": {"filters": 256},
    "large": {"filters": 512},
}


@python_numbers
def sized_encoder(
    owner: str,
    image_shape: ImageShape,
    output_dim: int,
    pooled_dim: int | None = None,
    size: str = "small",
    name: str = "encoder",
    **kwargs: Any,
) -> MultiscaleEncoder:
    """A `MultiscaleEncoder` that ends at the `coarsest_side`: a posterior or, with one output, a discriminator.

    Args:
        owner: name that errors begin with.
        image_shape: `(height, width, channels)`.
        output_dim: length of the output.
        pooled_dim: length of a condition; None without one.
        size: "small", "medium" or "large".
        name: name of the network.
        **kwargs: other arguments of `MultiscaleEncoder`.

    Returns:
        A `keras.Model`.

    Raises:
        ValueError: for an unknown size, or a shape without a `coarsest_side`.

    Example:
        ```python
        encoder = sized_encoder("MyModel", (28, 28, 1), output_dim=10)
        encoder(keras.random.normal((2, 28, 28, 1))).shape  # (2, 10)
        ```
    """
    sizes, coarsest = _sizes(owner, image_shape, size)
    return MultiscaleEncoder(image_shape, output_dim, pooled_dim, coarsest, **sizes, name=name, **kwargs)


@python_numbers
def encoder_and_decoder(
    owner: str,
    image_shape: ImageShape,
    latent_dim: int,
    channels: int | None = None,
    pooled_dim: int | None = None,
    size: str = "small",
    levels: int = 1,
    latent_channels: int | Sequence[int] = 2,
    attention_resolutions: Sequence[int] = (),
    all_scales: bool = False,
) -> tuple[keras.Model, keras.Model]:
    """Two networks that fit each other: a ladder, or for one level and one scale the `Multiscale...` networks.

    Args:
        owner: name that errors begin with.
        image_shape: `(height, width, channels)`.
        latent_dim: length of the latent vector; in a ladder, of its first level.
        channels: channels of the decoder's output; by default those of the images.
        pooled_dim: length of a condition, which both networks take; None without one.
        size: "small", "medium" or "large".
        levels: number of levels of latents.
        latent_channels: channels of the further levels; see `LadderDecoder`.
        attention_resolutions: shorter sides of the grids with self-attention, in both networks.
        all_scales: whether the decoder makes an image at every scale.

    Returns:
        `(encoder, decoder)`, two `keras.Model`.

    Raises:
        ValueError: for an unknown size, a shape without a `coarsest_side`, or too many levels.

    Example:
        ```python
        encoder, decoder = encoder_and_decoder("MyModel", (28, 28, 1), latent_dim=32)
        means, log_variances = keras.ops.split(encoder(images), 2, axis=-1)
        decoder(means).shape  # (batch, 28, 28, 1)
        ```
    """
    sizes, coarsest = _sizes(owner, image_shape, size)
    sizes |= {"pooled_dim": pooled_dim, "attention_resolutions": attention_resolutions}
    decoded = (*image_shape[:2], channels or image_shape[-1])
    if levels == 1 and not all_scales:
        return (
            MultiscaleEncoder(image_shape, 2 * latent_dim, end=coarsest, **sizes, name="encoder"),
            MultiscaleDecoder(decoded, latent_dim, start=coarsest, **sizes, name="decoder"),
        )
    sizes |= {"levels": levels, "latent_channels": latent_channels}
    return (
        LadderEncoder(image_shape, latent_dim, end=coarsest, **sizes, name="encoder"),
        LadderDecoder(decoded, latent_dim, start=coarsest, all_scales=all_scales, **sizes, name="decoder"),
    )


def _sizes(owner: str, image_shape: ImageShape, size: str) -> tuple[dict[str, Any], int]:
    """Arguments of a network of that size, and its coarsest side."""
    check_image_shape(owner, image_shape)
    if size not in SIZES:
        raise ValueError(f"{owner}: size must be one of {', '.join(map(repr, SIZES))}; got {size!r}.")
    return dict(SIZES[size]), coarsest_side(owner, image_shape, SIZES[size].get("patch", 1))
