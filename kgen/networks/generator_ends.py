"""Both ends of a generator: its inputs, and how features become pixels."""

from __future__ import annotations

import keras
from keras import layers

from kgen.layers import PixelShuffle


def generator_inputs(owner, latent_dim, pooled_dim=None):
    """The symbolic inputs of a generator.

    Args:
        owner: name that errors begin with.
        latent_dim: length of a latent vector.
        pooled_dim: length of a condition; None without one.

    Returns:
        A dict of `"latents"`, and `"pooled"` with a condition.

    Raises:
        ValueError: for a length below 1.
    """
    for name, size in (("latent_dim", latent_dim), ("pooled_dim", pooled_dim)):
        if size is None and name == "latent_dim" or size is not None and size < 1:
            raise ValueError(f"{owner}: {name} must be at least 1; got {size}.")
    inputs = {"latents": keras.Input((latent_dim,), name="latents")}
    if pooled_dim is not None:
        inputs["pooled"] = keras.Input((pooled_dim,), name="pooled")
    return inputs


def to_pixels(x, channels, kernel_size=3, patch=1):
    """Features to float32 images in [-1, 1]: a convolution, a pixel shuffle where a position is a patch, tanh.

    Args:
        x: symbolic tensor `(batch, H, W, C)`.
        channels: of the image.
        kernel_size: of the convolution.
        patch: how many pixels a side each position of x becomes.

    Returns:
        A symbolic tensor `(batch, patch * H, patch * W, channels)`.
    """
    x = layers.Conv2D(channels * patch**2, kernel_size, padding="same", data_format="channels_last", name="to_pixels")(
        x
    )
    if patch > 1:
        x = PixelShuffle(patch, name="pixels")(x)
    # In float32 under mixed precision too: these are pixels.
    return layers.Activation("tanh", dtype="float32", name="images")(x)
