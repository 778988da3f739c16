"""Encoders, and pairs of an encoder and a decoder, by size."""

from __future__ import annotations

from kgen.networks.ladder_decoder import LadderDecoder
from kgen.networks.ladder_encoder import LadderEncoder
from kgen.networks.multiscale_decoder import MultiscaleDecoder
from kgen.networks.multiscale_encoder import MultiscaleEncoder
from kgen.networks.stages import check_image_shape, coarsest_side

# As of the "multiscale" generators and discriminators: "small" is for a CPU, and keeps from the image's own grid.
SIZES = {"small": {"filters": 64, "patch": 2}, "medium": {"filters": 256}, "large": {"filters": 512}}


def sized_encoder(owner, image_shape, output_dim, pooled_dim=None, size="small", name="encoder", **kwargs):
    """A `MultiscaleEncoder` that ends where halving leads: a posterior or, with one output, a discriminator.

    Args:
        owner: name that errors begin with.
        image_shape: `(height, width, channels)`.
        output_dim: length of the output.
        pooled_dim: length of a condition; None without one.
        size: "small", "medium" or "large".
        name: of the network.
        **kwargs: other arguments of `MultiscaleEncoder`.

    Returns:
        A `keras.Model`.

    Raises:
        ValueError: for a size that there is not, or a shape that halving leads nowhere from.
    """
    sizes, coarsest = _sizes(owner, image_shape, size)
    return MultiscaleEncoder(image_shape, output_dim, pooled_dim, coarsest, **sizes, name=name, **kwargs)


def encoder_and_decoder(
    owner,
    image_shape,
    latent_dim,
    channels=None,
    pooled_dim=None,
    size="small",
    levels=1,
    latent_channels=2,
    attention_resolutions=(),
    all_scales=False,
):
    """Two networks that fit each other: a ladder's, or for one level and one scale the plain `Multiscale...` ones.

    Args:
        owner: name that errors begin with.
        image_shape: `(height, width, channels)`.
        latent_dim: length of the latent vector, of a ladder that of its first level.
        channels: of what the decoder gives; those of the images by default.
        pooled_dim: length of a condition, which both are told; None without one.
        size: "small", "medium" or "large".
        levels: number of levels of latents.
        latent_channels: of the further levels; see `LadderDecoder`.
        attention_resolutions: shorter sides of the grids with self-attention, in both networks.
        all_scales: whether the decoder makes an image at every scale.

    Returns:
        `(encoder, decoder)`, two `keras.Model`.

    Raises:
        ValueError: for a size that there is not, a shape that halving leads nowhere from, or too many levels.

    Example:
        ```python
        encoder_and_decoder("MyModel", (28, 28, 1), latent_dim=32, levels=3)
        ```
    """
    sizes, coarsest = _sizes(owner, image_shape, size)
    sizes.update(pooled_dim=pooled_dim, attention_resolutions=attention_resolutions)
    decoded = (*image_shape[:2], channels or image_shape[-1])
    if levels == 1 and not all_scales:
        return (
            MultiscaleEncoder(image_shape, 2 * latent_dim, end=coarsest, **sizes, name="encoder"),
            MultiscaleDecoder(decoded, latent_dim, start=coarsest, **sizes, name="decoder"),
        )
    sizes.update(levels=levels, latent_channels=latent_channels)
    return (
        LadderEncoder(image_shape, latent_dim, end=coarsest, **sizes, name="encoder"),
        LadderDecoder(decoded, latent_dim, start=coarsest, all_scales=all_scales, **sizes, name="decoder"),
    )


def _sizes(owner, image_shape, size):
    check_image_shape(owner, image_shape)
    if size not in SIZES:
        raise ValueError(f"{owner}: size must be one of {', '.join(map(repr, SIZES))}; got {size!r}.")
    return dict(SIZES[size]), coarsest_side(owner, image_shape, SIZES[size].get("patch", 1))
