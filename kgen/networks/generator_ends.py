"""Both ends of a generator: its inputs, and how features become pixels."""

from __future__ import annotations

import keras
from keras import layers

from kgen.checks import integer
from kgen.layers import PixelShuffle
from kgen.types import Tensor


def generator_inputs(owner: str, latent_dim: int, pooled_dim: int | None = None) -> dict[str, Tensor]:
    """The symbolic inputs of a generator.

    Args:
        owner: name that errors begin with.
        latent_dim: length of a latent vector.
        pooled_dim: length of a condition; None without one.

    Returns:
        A dict with `"latents"`, and `"pooled"` if there is a condition.

    Raises:
        ValueError: if a length is not an integer of at least 1.
    """
    inputs = {"latents": keras.Input((integer(owner, "latent_dim", latent_dim),), name="latents")}
    if pooled_dim is not None:
        inputs["pooled"] = keras.Input((integer(owner, "pooled_dim", pooled_dim),), name="pooled")
    return inputs


def to_pixels(x: Tensor, channels: int, kernel_size: int = 3, patch: int = 1) -> Tensor:
    """Features to float32 images in [-1, 1]: a convolution, a pixel shuffle if a position is a patch, and tanh.

    Args:
        x: symbolic tensor `(batch, H, W, C)`.
        channels: of the image.
        kernel_size: of the convolution.
        patch: each position of x becomes `patch` x `patch` pixels.

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
