"""A discriminator that judges overlapping patches of images of any size."""

from __future__ import annotations

import keras
from keras import layers

from kgen import checks
from kgen.layers import SpectralNormalization
from kgen.networks.own_scope import in_own_scope


@in_own_scope
def patch_discriminator(
    channels: int = 3, filters: int = 32, stages: int = 3, name: str = "discriminator"
) -> keras.Model:
    """Images of any size to a map of logits, one for each patch; patches overlap.

    Strided 4x4 convolutions [Isola et al. 2017, "Image-to-image translation with conditional adversarial networks"],
    with spectral normalisation in place of the paper's batch normalisation. With three stages a patch is 46 pixels
    wide.

    Args:
        channels: channels of the images.
        filters: channels of the first stage; each further one has twice as many, up to eight times.
        stages: convolutions that halve the sides.
        name: name of the model.

    Returns:
        A `keras.Model` from images `(batch, H, W, channels)` in [-1, 1] to float32 logits
        `(batch, H / 2^stages, W / 2^stages, 1)`.

    Raises:
        ValueError: for a number below 1.

    Example:

    ```python
    discriminator = kgen.networks.patch_discriminator()
    discriminator(keras.random.normal((2, 64, 96, 3))).shape        # (2, 8, 12, 1)
    ```
    """
    owner = "patch_discriminator"
    filters = checks.integer(owner, "filters", filters)
    images = keras.Input((None, None, checks.integer(owner, "channels", channels)), name="images")
    x = images
    for stage in range(checks.integer(owner, "stages", stages)):
        width = filters * min(2**stage, 8)
        halve = layers.Conv2D(width, 4, 2, padding="same", data_format="channels_last", name=f"halve_{stage + 1}")
        x = SpectralNormalization(halve, name=f"normalized_{stage + 1}")(x)
        x = layers.LeakyReLU(0.2, name=f"leaky_relu_{stage + 1}")(x)
    head = layers.Conv2D(1, 4, padding="same", data_format="channels_last", dtype="float32", name="logits")
    return keras.Model(images, SpectralNormalization(head, dtype="float32", name="judge")(x), name=name)
