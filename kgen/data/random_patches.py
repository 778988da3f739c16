"""Training patches, cut from larger images."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from kgen.types import Array


def random_patches(
    images: Iterable[Array], size: int, count: int, seed: int | None = None, flips: bool = True
) -> Array:
    """Cuts squares from images at random places, to train an `ImageRestorer`.

    Every place in every image is equally likely, so larger images yield more patches.

    Args:
        images: list of arrays `(height, width, channels)` of any sizes, of one dtype.
        size: height and width of a patch in pixels.
        count: number of patches.
        seed: integer, or None for different patches each time.
        flips: whether to mirror and rotate patches (by multiples of 90 degrees) at random.

    Returns:
        Array `(count, size, size, channels)` of the images' dtype.

    Raises:
        ValueError: there are no images, they differ in channels or dtype, or one is smaller than a patch.

    Example:
        >>> import numpy as np
        >>> kgen.data.random_patches([np.zeros((90, 120, 3), "uint8")], size=32, count=8).shape
        (8, 32, 32, 3)
    """
    images = [np.asarray(image) for image in images]
    kinds = {(image.ndim, image.shape[-1], image.dtype.name) for image in images if image.ndim}
    if len(kinds) != 1 or next(iter(kinds))[0] != 3:
        raise ValueError(
            "random_patches: images must be one or more arrays (height, width, channels) with the same channels and "
            f"dtype; got {sorted({(image.shape, image.dtype.name) for image in images})}."
        )
    small = [image.shape for image in images if min(image.shape[:2]) < size]
    if small:
        raise ValueError(f"random_patches: images must be at least {size} x {size}; got {small[0]}.")
    numbers = np.random.default_rng(seed)
    places = np.array([(p.shape[0] - size + 1) * (p.shape[1] - size + 1) for p in images], "float64")
    patches = np.empty((count, size, size, images[0].shape[-1]), images[0].dtype)
    for i, choice in enumerate(numbers.choice(len(images), count, p=places / places.sum())):
        image = images[choice]
        top, left = (numbers.integers(side - size + 1) for side in image.shape[:2])
        patch = image[top : top + size, left : left + size]
        if flips:
            patch = np.rot90(patch, int(numbers.integers(4)))
            patch = patch[:, ::-1] if numbers.integers(2) else patch
        patches[i] = patch
    return patches
