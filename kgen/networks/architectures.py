"""Pairs of a generator and a discriminator, by name and size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras

from kgen.networks.autoencoders import SIZES
from kgen.networks.dcgan import dcgan_discriminator, dcgan_generator
from kgen.networks.ends import check_told_or_asked
from kgen.networks.multiscale_decoder import MultiscaleDecoder
from kgen.networks.multiscale_encoder import MultiscaleEncoder
from kgen.networks.perceptron import perceptron_discriminator, perceptron_generator
from kgen.networks.r3gan import r3gan_discriminator, r3gan_generator
from kgen.networks.resnet import resnet_discriminator, resnet_generator
from kgen.networks.stages import check_image_shape, coarsest_side
from kgen.serializable import python_numbers
from kgen.types import ImageShape


def multiscale_generator(
    image_shape: ImageShape,
    latent_dim: int,
    pooled_dim: int | None = None,
    patch: int = 1,
    attention_resolutions: Sequence[int] = (),
    output_activation: str = "tanh",
    **kwargs: Any,
) -> MultiscaleDecoder:
    """A `MultiscaleDecoder` with tanh that begins at the `coarsest_side`; it takes the same arguments."""
    return MultiscaleDecoder(
        image_shape,
        latent_dim,
        pooled_dim=pooled_dim,
        start=coarsest_side("multiscale_generator", image_shape, patch),
        patch=patch,
        attention_resolutions=attention_resolutions,
        output_activation=output_activation,
        name="generator",
        **kwargs,
    )


def multiscale_discriminator(
    image_shape: ImageShape,
    pooled_dim: int | None = None,
    num_classes: int | None = None,
    patch: int = 1,
    attention_resolutions: Sequence[int] = (),
    **kwargs: Any,
) -> keras.Model:
    """A `MultiscaleEncoder` with one logit, and a classifier if asked for; it takes the same arguments."""
    check_told_or_asked("multiscale_discriminator", pooled_dim, num_classes)
    encoder = MultiscaleEncoder(
        image_shape,
        1,
        pooled_dim=pooled_dim,
        end=coarsest_side("multiscale_discriminator", image_shape, patch),
        patch=patch,
        attention_resolutions=attention_resolutions,
        name="discriminator",
        **kwargs,
    )
    if num_classes is None:
        return encoder
    labels = keras.layers.Dense(num_classes, dtype="float32", name="labels")(encoder.get_layer("features").output)
    return keras.Model(encoder.input, {"logits": encoder.output, "labels": labels}, name="discriminator")


class Architecture(NamedTuple):
    """Two functions that build networks, and their arguments for each size."""

    generator: Callable[..., keras.Model]
    discriminator: Callable[..., keras.Model]
    generator_sizes: dict[str, dict[str, Any]]
    discriminator_sizes: dict[str, dict[str, Any]]


def _alike(
    generator: Callable[..., keras.Model],
    discriminator: Callable[..., keras.Model],
    small: dict[str, Any],
    medium: dict[str, Any],
    large: dict[str, Any],
) -> Architecture:
    """An architecture whose two networks take the same arguments."""
    sizes = {"small": small, "medium": medium, "large": large}
    return Architecture(generator, discriminator, sizes, sizes)


# "small" is for a CPU, where positions cost more time than channels: it avoids the image's full resolution.
ARCHITECTURES = {
    "perceptron": Architecture(
        perceptron_generator,
        perceptron_discriminator,
        {
            "small": {"units": (256, 512, 1024)},
            "medium": {"units": (512, 1024, 2048)},
            "large": {"units": (1024, 2048, 4096)},
        },
        {
            "small": {"units": (1024, 512, 256)},
            "medium": {"units": (2048, 1024, 512)},
            "large": {"units": (4096, 2048, 1024)},
        },
    ),
    "dcgan": _alike(dcgan_generator, dcgan_discriminator, {"filters": 128}, {"filters": 256}, {"filters": 512}),
    "resnet": _alike(
        resnet_generator,
        resnet_discriminator,
        {"filters": 64, "patch": 2},
        {"filters": 128, "patch": 2},
        {"filters": 256},
    ),
    "r3gan": _alike(
        r3gan_generator,
        r3gan_discriminator,
        {"filters": 96, "patch": 2},
        {"filters": 192, "patch": 2, "blocks": 2},
        {"filters": 384, "blocks": 2},
    ),
    "multiscale": _alike(multiscale_generator, multiscale_discriminator, **SIZES),
}


def auto_architecture(image_shape: ImageShape) -> str:
    """Name of the architecture that suits images of this shape."""
    return "dcgan" if min(image_shape[:2]) >= 16 else "perceptron"


@python_numbers
def generator_and_discriminator(
    owner: str,
    image_shape: ImageShape,
    latent_dim: int,
    num_classes: int | None = None,
    architecture: str = "auto",
    size: str = "small",
    conditioning: str = "projection",
    attention_resolutions: Sequence[int] = (),
    output_activation: str = "tanh",
) -> tuple[keras.Model, keras.Model]:
    """Two networks that fit each other.

    Args:
        owner: name that errors begin with.
        image_shape: `(height, width, channels)`.
        latent_dim: length of a latent vector.
        num_classes: number of classes, for a generator with a one-hot `pooled` input; None without labels.
        architecture: a name in `ARCHITECTURES`, or "auto".
        size: "small", "medium" or "large".
        conditioning: "projection": the discriminator is told the class too; "classifier": it predicts the class.
        attention_resolutions: shorter sides of the grids with self-attention, in both networks.
        output_activation: the generator's: "tanh" for images, "linear" for the latents of an autoencoder.

    Returns:
        `(generator, discriminator)`, two `keras.Model`.

    Raises:
        ValueError: for an unknown name, or a shape that the architecture cannot make.

    Example:
        ```python
        generator, discriminator = generator_and_discriminator("MyModel", (28, 28, 1), latent_dim=64)
        discriminator(generator(keras.random.normal((2, 64)))).shape  # (2, 1)
        ```
    """
    check_image_shape(owner, image_shape)
    if architecture == "auto":
        architecture = auto_architecture(image_shape)
    for name, value, names in (
        ("architecture", architecture, ("auto", *ARCHITECTURES)),
        ("size", size, ("small", "medium", "large")),
        ("conditioning", conditioning, ("projection", "classifier")),
    ):
        if value not in names:
            raise ValueError(f"{owner}: {name} must be one of {', '.join(map(repr, names))}; got {value!r}.")
    if conditioning == "classifier" and num_classes is None:
        raise ValueError(f"{owner}: conditioning='classifier' needs num_classes.")
    if architecture == "perceptron" and attention_resolutions:
        raise ValueError(
            f"{owner}: a perceptron has no grids for attention; got attention_resolutions={attention_resolutions}."
        )
    chosen = ARCHITECTURES[architecture]
    attention = {"attention_resolutions": attention_resolutions} if attention_resolutions else {}
    told = {"num_classes": num_classes} if conditioning == "classifier" else {"pooled_dim": num_classes}
    ends = {"output_activation": output_activation}
    generator = chosen.generator(
        image_shape, latent_dim, pooled_dim=num_classes, **ends, **chosen.generator_sizes[size], **attention
    )
    discriminator = chosen.discriminator(image_shape, **told, **chosen.discriminator_sizes[size], **attention)
    return generator, discriminator
