"""The network that restores pictures of any size."""

from __future__ import annotations

import keras
from keras import layers

from kgen.layers import FillMissing, PixelShuffle, ResidualBlock2D, Upscale


def restoration_network(channels=3, scale=1, masked=False, filters=32, blocks=4):
    """A residual convolutional network from spoiled pictures to better ones, of any size.

    Residual blocks without normalisation say what to add to the picture, upscaled (bicubic) or filled by `FillMissing`
    [Zhang et al. 2017, "Beyond a Gaussian denoiser"; Lim et al. 2017, "Enhanced deep residual networks for single image
    super-resolution"]; they begin by adding nothing. At scale 1 they see pictures at half the resolution, four times
    cheaper [Zhang et al. 2018, "FFDNet"], and a pixel shuffle makes the pixels.

    Args:
        channels: of the pictures.
        scale: how many times larger both sides become.
        masked: whether the input has one more channel, which is 1 where pixels are missing.
        filters: channels of the blocks.
        blocks: number of blocks, of two convolutions each.

    Returns:
        A `keras.Model` from `(batch, height, width, channels)`, or `channels + 1`, in [0, 1] to
        `(batch, scale * height, scale * width, channels)`, which may leave [0, 1] a little. At scale 1 height and width
        must be even.

    Example:

    ```python
    kgen.networks.restoration_network(scale=2).output_shape        # (None, None, None, 3)
    ```
    """
    fold = 2 if scale == 1 else 1
    images = keras.Input((None, None, channels + masked), name="images")
    picture, x = images, images
    if masked:
        picture = FillMissing(dtype="float32", name="fill")(images)
        x = layers.Concatenate(name="guess")([images, picture])
    x = layers.Rescaling(1.0, offset=-0.5, name="centre")(x)
    x = layers.Conv2D(filters, 3 if fold == 1 else 4, fold, padding="same", name="head")(x)
    for i in range(blocks):
        x = ResidualBlock2D(filters, activation="relu", normalization=None, name=f"block_{i + 1}")(x)
    folds = fold * scale
    # No activation on the way from head to tail, so that a linear filter is easily learned.
    x = layers.Conv2D(channels * folds**2, 3, padding="same", kernel_initializer="zeros", name="tail")(x)
    x = PixelShuffle(folds, name="pixels")(x)
    # In float32, or mixed precision would round the picture itself.
    if scale > 1:
        picture = Upscale(scale, "bicubic", dtype="float32", name="upscale")(picture)
    return keras.Model(images, layers.Add(dtype="float32", name="sum")([picture, x]), name="restoration")
