"""Losses of style transfer: distances from a content image and from a style image, in the features of a network."""

from __future__ import annotations

from keras import ops

from kgen.types import Tensor


def content_loss(target: Tensor, features: Tensor) -> Tensor:
    """mean_pc (F_pc - T_pc)^2 over positions p and channels c of feature maps.

    [Gatys et al. 2016, "Image style transfer using convolutional neural networks", equation 1, as a mean. If the
    target is the output of adaptive instance normalisation, it is equation 12 of Huang & Belongie 2017.]

    Args:
        target, features: `(batch, height, width, C)`.

    Returns:
        Tensor `(batch,)`.

    Example:

    ```python
    kgen.losses.content_loss(keras.ops.ones((1, 4, 4, 2)), keras.ops.zeros((1, 4, 4, 2)))     # [1]
    ```
    """
    difference = ops.cast(features, "float32") - ops.cast(target, "float32")
    return ops.mean(ops.square(difference), axis=(1, 2, 3))


def style_loss(target: Tensor, statistics: Tensor) -> Tensor:
    """mean_c (mu_c - mu'_c)^2 + mean_c (sigma_c - sigma'_c)^2: means and deviations of the channels of one layer.

    [Huang & Belongie 2017, "Arbitrary style transfer in real-time with adaptive instance normalization", equation 13,
    with squares.]

    Args:
        target, statistics: `(batch, 2 C)`, from `kgen.layers.channel_statistics`.

    Returns:
        Tensor `(batch,)`.

    Example:

    ```python
    kgen.losses.style_loss(keras.ops.ones((1, 6)), keras.ops.zeros((1, 6)))     # [2]
    ```
    """
    difference = ops.cast(statistics, "float32") - ops.cast(target, "float32")
    return 2.0 * ops.mean(ops.square(difference), axis=-1)


def gram_matrix(features: Tensor) -> Tensor:
    """G_cd = mean_p F_pc F_pd: how strongly two features occur together, regardless of where.

    Args:
        features: `(batch, height, width, C)`.

    Returns:
        float32 tensor `(batch, C, C)`.

    Example:

    ```python
    kgen.losses.gram_matrix(keras.ops.ones((1, 4, 4, 2)))     # [[[1, 1], [1, 1]]]
    ```
    """
    height, width, channels = ops.shape(features)[1:]
    rows = ops.reshape(ops.cast(features, "float32"), (-1, height * width, channels))
    return ops.matmul(ops.transpose(rows, (0, 2, 1)), rows) / ops.cast(height * width, "float32")


def gram_loss(target: Tensor, features: Tensor) -> Tensor:
    """(1 / 4 C^2) sum_cd (G_cd - G'_cd)^2, with G the Gram matrices of one layer's features.

    [Gatys et al. 2016, equation 4; its sums are means here, so that images may differ in size.]

    Args:
        target, features: `(batch, height, width, C)`, of any sizes.

    Returns:
        Tensor `(batch,)`.

    Example:

    ```python
    kgen.losses.gram_loss(keras.ops.ones((1, 4, 4, 2)), keras.ops.zeros((1, 6, 6, 2)))     # [0.25]
    ```
    """
    return ops.mean(ops.square(gram_matrix(features) - gram_matrix(target)), axis=(1, 2)) / 4.0
