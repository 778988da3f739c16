"""Losses for the class of each pixel, from logits, one value per image."""

from __future__ import annotations

import keras
from keras import ops

from kgen.types import Tensor


def pixel_cross_entropy(classes: Tensor, logits: Tensor, weights: Tensor | None = None) -> Tensor:
    """mean_p -w_p log P(class of p), with P the softmax of the logits of pixel p.

    Args:
        classes: integers `(batch, height, width)`.
        logits: `(batch, height, width, num_classes)`.
        weights: w, `(batch, height, width)`; None for 1.

    Returns:
        Tensor `(batch,)`, nats per pixel.

    Example:

    ```python
    kgen.losses.pixel_cross_entropy(keras.ops.zeros((1, 4, 4), "int32"), keras.ops.zeros((1, 4, 4, 3)))     # [log(3)]
    ```
    """
    nats = keras.losses.sparse_categorical_crossentropy(classes, ops.cast(logits, "float32"), from_logits=True)
    return ops.mean(nats if weights is None else weights * nats, axis=(1, 2))


def dice(classes: Tensor, logits: Tensor, smooth: float = 1.0) -> Tensor:
    """1 - mean_k (2 sum_p P_k g_k + s) / (sum_p P_k + sum_p g_k + s): how little the masks and the answers overlap.

    P_k is the probability of class k at pixel p; g_k is 1 if that is the pixel's class, else 0. A class counts the same
    whether it has many pixels or few, unlike in a mean over pixels [Milletari et al. 2016, "V-Net",
    with first powers in the denominator; Sudre et al. 2017, "Generalised Dice overlap"].

    Args:
        classes: integers `(batch, height, width)`.
        logits: `(batch, height, width, num_classes)`.
        smooth: s, in pixels. With it, a class that is in neither the image nor the answer counts as found.

    Returns:
        Tensor `(batch,)`, 0 for a perfect answer, below 1.

    Example:

    ```python
    kgen.losses.dice(keras.ops.zeros((1, 4, 4), "int32"), keras.ops.zeros((1, 4, 4, 2)))     # [0.6044...]
    ```
    """
    probabilities = ops.softmax(ops.cast(logits, "float32"), axis=-1)
    truth = ops.one_hot(ops.cast(classes, "int32"), logits.shape[-1], dtype="float32")
    both = ops.sum(probabilities * truth, axis=(1, 2))
    either = ops.sum(probabilities, axis=(1, 2)) + ops.sum(truth, axis=(1, 2))
    return 1.0 - ops.mean((2.0 * both + smooth) / (either + smooth), axis=-1)
