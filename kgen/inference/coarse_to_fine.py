"""Fills wide holes with a function that fills only narrow ones: first in a smaller image, then at full size."""

from __future__ import annotations

from collections.abc import Callable

from keras import ops

from kgen.layers.borders import in_whole_multiples
from kgen.layers.resize import enlarge
from kgen.types import Tensor


def filled_from_coarse_to_fine(
    fill: Callable[[Tensor, Tensor], Tensor],
    images: Tensor,
    masks: Tensor,
    reach: int,
    scale: int = 1,
    levels: int | None = None,
) -> Tensor:
    """Images with holes of any size filled.

    Pixels out of reach of all known pixels come from the images at half the size, which are filled in the same way.
    They then count as known, so that `fill` only has to close the gap to the known pixels.

    Args:
        fill: from uint8 `images` and `masks`, of any size, to uint8 images `scale` times as large.
        images: uint8 `(N, H, W, channels)`.
        masks: `(N, H, W, 1)`, not 0 at missing pixels.
        reach: how far from known pixels `fill` is good, in pixels.
        scale: how many times larger the images become.
        levels: how often to halve the images. None: as long as pixels are out of reach; this looks at values, so it
            cannot be part of a graph.

    Returns:
        What `fill` returns.

    Example:

    ```python
    filled_from_coarse_to_fine(lambda images, masks: model.restore(images, masks), images, masks, reach=4)
    ```
    """
    missing = ops.cast(ops.not_equal(masks, 0), "float32")
    height, width = ops.shape(missing)[1:3]
    near = 1.0 - missing
    for window in ((2 * reach + 1, 1), (1, 2 * reach + 1)):
        near = ops.max_pool(near, window, strides=1, padding="same", data_format="channels_last")
    # In images no larger than the reach, pixels are out of reach only if all are missing.
    if levels == 0 or (levels is None and (max(height, width) <= reach or float(ops.min(near)) > 0.0)):
        return fill(images, masks)
    known = in_whole_multiples(1.0 - missing, 2)
    sums = ops.concatenate([in_whole_multiples(ops.cast(images, "float32"), 2) * known, known], axis=-1)
    means = ops.average_pool(sums, 2, strides=2, data_format="channels_last")
    share = means[..., -1:]
    smaller = ops.cast(ops.round(means[..., :-1] / ops.maximum(share, 0.25)), "uint8")
    gone = ops.cast(ops.equal(share, 0.0), "uint8")
    coarse = filled_from_coarse_to_fine(fill, smaller, gone, reach, scale, None if levels is None else levels - 1)
    guess = enlarge(ops.cast(coarse, "float32"), 2, "bilinear")
    if scale > 1:
        guess = ops.average_pool(guess, scale, strides=scale, data_format="channels_last")
    guess = guess[:, :height, :width]
    images = ops.where(near > 0.0, images, ops.cast(ops.round(guess), "uint8"))
    return fill(images, ops.cast(missing * near, "uint8"))
