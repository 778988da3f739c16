"""The default networks of a text-to-image model."""

from __future__ import annotations

import math
from typing import Any

import keras

from kgen import losses
from kgen.networks import ladder
from kgen.networks.interface import check_discriminator, check_generator, condition_names, warn_of_ending
from kgen.networks.multiscale_decoder import MultiscaleDecoder
from kgen.networks.multiscale_encoder import MultiscaleEncoder
from kgen.networks.stages import check_image_shape, halved_side
from kgen.serializable import python_numbers
from kgen.types import ImageShape

# How many times wider each size is than "small".
_WIDER = {"small": 1, "medium": 2, "large": 4}
# What a text encoder gives for a caption.
_TEXT: dict[str, Any] = {"pooled": None, "tokens": None}


@python_numbers
def text_generator(
    image_shape: ImageShape,
    latent_dim: int,
    pooled_dim: int,
    token_dim: int,
    output_activation: str = "linear",
    size: str = "small",
    latents: bool = False,
    **sizes: Any,
) -> keras.Model:
    """A `MultiscaleDecoder` conditioned on text, sized for images of this shape.

    The first grid is about 8x8. Convolutions run at up to 16x16 for images of up to 64 pixels, and at up to a quarter
    of the side beyond; a pixel shuffle then makes the pixels. For latents they run at up to the full grid. In the small
    size, most weights are in the dense layer that lifts text and noise to the first grid.

    Args:
        image_shape: `(height, width, channels)`, of images, or of the latents of an autoencoder.
        latent_dim: length of a latent vector.
        pooled_dim, token_dim: lengths of the text encoder's pooled and token features.
        output_activation: "tanh" for images in adversarial training, "linear" for a likelihood or for latents.
        size: "small", of about 6 million weights, "medium", 24 million, or "large", 90 to 100 million.
        latents: whether it generates latents in place of images.
        **sizes: arguments of `MultiscaleDecoder` that replace those chosen here.

    Example:

    ```python
    kgen.networks.text_generator((64, 64, 3), latent_dim=8, pooled_dim=384, token_dim=384)
    ```
    """
    if size not in _WIDER:
        raise ValueError(f"text_generator: size must be one of {', '.join(map(repr, _WIDER))}; got {size!r}.")
    side, wider = min(image_shape[:2]), _WIDER[size]
    # Convolutions run at 16x16 up to 64 pixels, and at a quarter of the side beyond.
    patch = 1 if latents else max(1, side // 16 if side <= 64 else 4)
    start = halved_side(image_shape, patch, most=10)
    stages = (side // patch // start).bit_length()
    first, others, condition_dim = (128, 64, 512) if latents else (64, 48, 1024)
    own = {
        "start": start,
        "patch": patch,
        "filters": (first * wider, *[others * wider] * (stages - 1)),
        "blocks": (1 + latents, *[2] * (stages - 1)),
        "attention_resolutions": (start,),
        "condition_dim": condition_dim * wider,
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


@python_numbers
def text_image_encoder(image_shape: ImageShape, outputs: int, pooled_dim: int, latents: bool = False) -> keras.Model:
    """A small `MultiscaleEncoder` for q(z|image, text), which carries little information; larger for latents."""
    side = min(image_shape[:2])
    end = side // math.gcd(2, *image_shape[:2]) if latents else 8
    sizes: dict[str, Any] = {"filters": 64, "blocks": 1} if latents else {"filters": 16, "blocks": 0}
    return MultiscaleEncoder(
        image_shape, outputs, pooled_dim=pooled_dim, end=end, patch=side // end, name="encoder", **sizes
    )


@python_numbers
def text_discriminator(image_shape: ImageShape, pooled_dim: int, latents: bool = False) -> keras.Model:
    """A `MultiscaleEncoder` that judges whether an image, or its latents, is real and fits the text."""
    patch = 1 if latents else max(1, min(image_shape[:2]) // 32)
    end = halved_side(image_shape, patch, most=7)
    filters = 96 if latents else 32
    return MultiscaleEncoder(
        image_shape, 1, pooled_dim=pooled_dim, filters=filters, end=end, patch=patch, name="discriminator"
    )


@python_numbers
def text_networks(
    owner: str,
    image_shape: ImageShape,
    latent_dim: int,
    text_dims: tuple[int, int],
    recipe: str,
    reconstruction: Any,
    generator: keras.Model | None = None,
    encoder: keras.Model | None = None,
    discriminator: keras.Model | None = None,
    size: str = "small",
    latents: bool = False,
    codes: bool = False,
) -> tuple[keras.Model, keras.Model | None, keras.Model | None]:
    """The networks of a text-to-image model: checks those that were given, and makes the others for its recipe.

    Args:
        owner: class name that errors begin with.
        image_shape: `(height, width, channels)`.
        latent_dim: length of a latent vector.
        text_dims: lengths of the text encoder's pooled and token features.
        recipe: "vae", "gan", "vae_gan" or "imle".
        reconstruction: what the generator's outputs mean; None if they are images.
        generator, encoder, discriminator, size: as in `TextToImage`.
        latents: whether `image_shape` is the shape of latents.
        codes: whether the latents are code words, whose logits the encoder gives.

    Returns:
        `(generator, encoder, discriminator)`; None for networks that the recipe does not use.

    Raises:
        TypeError, ValueError: for networks that the recipe does not use or that do not fit together, or a generator
            that takes no text.
    """
    for name, value, part in (("encoder", encoder, "vae"), ("discriminator", discriminator, "gan")):
        if value is not None and part not in recipe.split("_"):
            raise ValueError(f"{owner}: the recipe {recipe!r} has no {name}; leave it out.")
    if generator is None:
        if not latents:
            _check_size(owner, image_shape)
        activation = "linear" if "vae" in recipe or latents else "tanh"
        generator = text_generator(image_shape, latent_dim, *text_dims, activation, size, latents)
    check_generator(owner, generator, latent_dim)
    if not condition_names(generator, _TEXT):
        raise ValueError(
            f"{owner}: the generator {generator.name!r} takes no text, so every prompt would draw the same. Its inputs "
            "must be a dict of 'latents' and any of 'pooled', 'tokens' and 'mask', as in kgen.networks.text_generator."
        )
    warn_of_ending(owner, "generator", generator, isinstance(reconstruction, losses.Logistic), latents)
    made = losses.decoded_shape(image_shape, reconstruction)
    if tuple(generator.output_shape[1:]) != made:
        raise ValueError(
            f"{owner}: for image_shape={image_shape} the generator must give {made}; it gives "
            f"{tuple(generator.output_shape[1:])}."
        )
    if "vae" in recipe:
        outputs = latent_dim if codes else 2 * latent_dim
        encoder = text_image_encoder(image_shape, outputs, text_dims[0], latents) if encoder is None else encoder
        if not codes:
            ladder.check_posterior(owner, encoder, generator, latent_dim)
        elif encoder.output_shape != (None, latent_dim):
            raise ValueError(
                f"{owner}: the encoder must give the logits of all code words, shape (batch, {latent_dim}); got "
                f"{encoder.output_shape}."
            )
    if "gan" in recipe:
        if discriminator is None:
            discriminator = text_discriminator(image_shape, text_dims[0], latents)
        check_discriminator(owner, discriminator, image_shape)
    return generator, encoder, discriminator


def _check_size(owner, image_shape):
    check_image_shape(owner, image_shape)
    shorter, longer = sorted(image_shape[:2])
    doubled = shorter >= 128 and shorter & (shorter - 1) == 0
    if not (shorter in (16, 32, 48, 64) or doubled) or longer % (shorter // 8):
        sizes = (16, 32, 48, 64, 128, 256, 512)
        nearest = sorted(sorted(sizes, key=lambda side: abs(side - shorter))[:2])
        raise ValueError(
            f"{owner}: the shorter side of images must have {', '.join(map(str, sizes[:-1]))} or {sizes[-1]} pixels, "
            f"and the longer side must be a multiple of an eighth of that; got {image_shape[0]}x{image_shape[1]}. "
            f"Scale the shorter side to {nearest[0]} or {nearest[1]} pixels, or pass your own generator."
        )


def check_text_features(owner: str, generator: keras.Model, own: Any, other: Any, reads_tokens: bool = False) -> None:
    """Checks that another text encoder gives features of the lengths that a generator reads.

    Args:
        owner: method that errors begin with.
        generator: network with an input `pooled`, `tokens` or both.
        own, other: text encoders with `pooled_dim` and `token_dim`.
        reads_tokens: whether something else reads tokens, such as a learned prior.

    Raises:
        ValueError: if a length differs.
    """
    reads = condition_names(generator, _TEXT) | ({"tokens"} if reads_tokens else set())
    for name, length in (("pooled", "pooled_dim"), ("tokens", "token_dim")):
        wanted, given = getattr(own, length), getattr(other, length)
        if name in reads and given != wanted:
            raise ValueError(
                f"{owner}: the generator reads '{name}' of length {wanted}; this text encoder gives {given}."
            )
