"""A discriminator that sees images through a frozen network."""

from __future__ import annotations

import keras
from keras import layers, ops

from kgen import checks
from kgen.layers import SpectralNormalization
from kgen.networks.backbone import adapted_images, backbone_encoder, named_backbone
from kgen.networks.ends import discriminator_inputs, single
from kgen.networks.own_scope import in_own_scope
from kgen.serializable import python_numbers
from kgen.training import network_copy
from kgen.types import ImageShape

# Number of maps that are judged: the coarsest ones of the backbone.
_MAPS = 4


@in_own_scope
@python_numbers
def projected_discriminator(
    image_shape: ImageShape,
    backbone: str | keras.Model = "efficientnet_lite0",
    pooled_dim: int | None = None,
    filters: int = 64,
    seed: int = 0,
    name: str = "discriminator",
) -> keras.Model:
    """A discriminator on the feature maps of a frozen network, which knows from the start what to look at.

    Each of the four coarsest maps is mixed across its channels by fixed random weights, and judged by a small
    convolutional head with spectral normalisation; the logits are averaged [Sauer et al. 2021, "Projected GANs converge
    faster"]. With a condition each head also asks whether the map fits it [Miyato & Koyama 2018, "cGANs with projection
    discriminator"]. It works on pixels, not on the latents of an autoencoder.

    Args:
        image_shape: `(height, width, channels)`.
        backbone: "efficientnet_lite0", or a functional `keras.Model` of images in [-1, 1]; see `backbone_encoder`. Its
            weights are used as they are, and are not trained.
        pooled_dim: length of a condition, `pooled`; None without one.
        filters: channels of each head.
        seed: integer, for the fixed weights.
        name: name of the model.

    Returns:
        A `keras.Model` from images `(batch, height, width, channels)` in [-1, 1], or a dict of `images` and `pooled`,
        to float32 logits `(batch, 1)`.

    Raises:
        ImportError: the weights of a named network are not installed.
        TypeError, ValueError: for another backbone, or a number below 1.

    Example:

    ```python
    gan = kgen.models.GAN(generator, kgen.networks.projected_discriminator((64, 64, 3)), latent_dim=64)
    gan.compile(loss="hinge", penalties=[])
    ```
    """
    owner = "projected_discriminator"
    filters, seed = checks.integer(owner, "filters", filters), checks.integer(owner, "seed", seed, least=0)
    network, value_range = backbone, (-1.0, 1.0)
    if isinstance(backbone, str):
        network, value_range = named_backbone(owner, backbone, image_shape[:2])
    # A copy: the user's own network may go on learning.
    maps_of = network_copy(backbone_encoder(network, ("maps",), owner))
    maps_of.trainable = False
    inputs = discriminator_inputs(owner, image_shape, pooled_dim)
    seen = adapted_images(owner, inputs["images"], tuple(maps_of.inputs[0].shape[1:]), value_range)
    logits = []
    for number, each in enumerate(maps_of(seen)["maps"][-_MAPS:], 1):
        mix = keras.initializers.HeNormal(seed + number)
        options = {"use_bias": False, "data_format": "channels_last", "trainable": False, "name": f"mix_{number}"}
        x = layers.Conv2D(filters, 1, kernel_initializer=mix, **options)(each)
        for step in (1, 2):
            judge = layers.Conv2D(filters, 3, padding="same", data_format="channels_last", name=f"{number}_{step}")
            x = layers.LeakyReLU(0.2)(SpectralNormalization(judge, name=f"judge_{number}_{step}")(x))
        x = layers.GlobalAveragePooling2D(data_format="channels_last", dtype="float32")(x)
        logit = layers.Dense(1, dtype="float32", name=f"logit_{number}")(x)
        if pooled_dim is not None:
            fits = layers.Dense(filters, dtype="float32", name=f"project_{number}")(inputs["pooled"])
            logit = logit + ops.sum(x * fits, axis=-1, keepdims=True)
        logits.append(logit)
    mean = logits[0] if len(logits) == 1 else layers.Average(dtype="float32", name="logits")(logits)
    return keras.Model(single(inputs), mean, name=name)
