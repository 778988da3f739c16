"""Padding of images: for networks that halve them, and for convolutions that reach past their edges."""

from __future__ import annotations

from keras import ops

from kgen.types import Tensor


def in_whole_multiples(images: Tensor, multiple: int = 8) -> Tensor:
    """Pads images `(N, H, W, channels)` below and on the right by repeating the border, to whole multiples."""
    height, width = ops.shape(images)[1:3]
    for axis, side in ((1, height), (2, width)):
        # Positive numbers only: ONNX rounds the quotient of a negative number the other way.
        places = ops.arange(side + (multiple - side % multiple) % multiple, dtype="int32")
        images = ops.take(images, ops.minimum(places, side - 1), axis=axis)
    return images


def with_reflected_border(images: Tensor, border: int) -> Tensor:
    """Pads images `(N, H, W, channels)` on each side with `border` mirrored pixels; no side may be shorter than that.

    It avoids `ops.pad(mode="symmetric")`, which on torch repeats the last pixel instead.
    """
    height, width = ops.shape(images)[1:3]
    for axis, side in ((1, height), (2, width)):
        places = ops.arange(-border, side + border, dtype="int32")
        places = ops.where(places < 0, -1 - places, places)
        places = ops.where(places < side, places, 2 * side - 1 - places)
        images = ops.take(images, places, axis=axis)
    return images
