"""Borders around images: for networks that halve them, and for convolutions that see beyond them."""

from __future__ import annotations

from keras import ops

from kgen.types import Tensor


def in_whole_multiples(images: Tensor, multiple: int = 8) -> Tensor:
    """Images `(N, H, W, channels)` with the border repeated below and on the right, up to sides of whole multiples."""
    height, width = ops.shape(images)[1:3]
    for axis, side in ((1, height), (2, width)):
        # Of positive numbers alone: ONNX rounds the quotient of a negative one the other way.
        places = ops.arange(side + (multiple - side % multiple) % multiple, dtype="int32")
        images = ops.take(images, ops.minimum(places, side - 1), axis=axis)
    return images


def with_reflected_border(images: Tensor, border: int) -> Tensor:
    """Images `(N, H, W, channels)` with so many pixels on each side that mirror those inside; sides of at least that.

    Not `ops.pad(mode="symmetric")`: on torch, Keras repeats the last pixel in its place.
    """
    height, width = ops.shape(images)[1:3]
    for axis, side in ((1, height), (2, width)):
        places = ops.arange(-border, side + border, dtype="int32")
        places = ops.where(places < 0, -1 - places, places)
        places = ops.where(places < side, places, 2 * side - 1 - places)
        images = ops.take(images, places, axis=axis)
    return images
