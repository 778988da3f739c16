"""The network that restores images of any size."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from kgen.layers import FillMissing, PixelShuffle, ResidualBlock2D, Upscale
from kgen.serializable import python_numbers


@python_numbers
def restoration_network(
    channels: int = 3, scale: int = 1, masked: bool = False, filters: int = 32, blocks: int = 4
) -> keras.Model:
    """A residual convolutional network from degraded images of any size to restored ones.

    Residual blocks without normalisation predict what to add to the image, which is first upscaled (bicubic) or filled
    by `FillMissing` [Zhang et al. 2017, "Beyond a Gaussian denoiser"; Lim et al. 2017, "Enhanced deep residual networks
    for single image super-resolution"]. At first they add nothing. At scale 1 they see images at half the resolution,
    which is four times cheaper [Zhang et al. 2018, "FFDNet"], and a pixel shuffle makes the pixels.

    Args:
        channels: channels of the images.
        scale: how many times larger both sides become.
        masked: whether the input has one more channel, which is 1 at missing pixels.
        filters: channels of the blocks.
        blocks: number of blocks, of two convolutions each.

    Returns:
        A `keras.Model` from `(batch, height, width, channels)`, or `channels + 1` if `masked`, in [0, 1] to
        `(batch, scale * height, scale * width, channels)`, which may go slightly outside [0, 1]. At scale 1 height and
        width must be even.

    Example:

    ```python
    network = kgen.networks.restoration_network(scale=2)
    network(keras.random.uniform((1, 20, 30, 3))).shape      # (1, 40, 60, 3)
    ```
    """
    fold = 2 if scale == 1 else 1
    images = keras.Input((None, None, channels + masked), name="images")
    base, x = images, images
    if masked:
        base = FillMissing(dtype="float32", name="fill")(images)
        x = layers.Concatenate(name="guess")([images, base])
    x = layers.Rescaling(1.0, offset=-0.5, name="centre")(x)
    options: dict[str, Any] = {"padding": "same", "data_format": "channels_last"}
    x = layers.Conv2D(filters, 3 if fold == 1 else 4, fold, name="head", **options)(x)
    for i in range(blocks):
        x = ResidualBlock2D(filters, activation="relu", normalization=None, name=f"block_{i + 1}")(x)
    folds = fold * scale
    # No activation between head and tail, so that a linear filter is easily learned.
    x = layers.Conv2D(channels * folds**2, 3, kernel_initializer="zeros", name="tail", **options)(x)
    x = PixelShuffle(folds, name="pixels")(x)
    # In float32: mixed precision would round the image itself.
    if scale > 1:
        base = Upscale(scale, "bicubic", dtype="float32", name="upscale")(base)
    return keras.Model(images, layers.Add(dtype="float32", name="sum")([base, x]), name="restoration")
