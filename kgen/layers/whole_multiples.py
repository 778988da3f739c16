"""Images of any size for networks that halve them."""

from __future__ import annotations

from keras import ops

from kgen.types import Tensor


def in_whole_multiples(images: Tensor, multiple: int = 8) -> Tensor:
    """Images `(N, H, W, channels)` with the border repeated below and on the right, up to sides of whole multiples."""
    height, width = ops.shape(images)[1:3]
    for axis, side in ((1, height), (2, width)):
        places = ops.arange(side + -side % multiple, dtype="int32")
        images = ops.take(images, ops.minimum(places, side - 1), axis=axis)
    return images
