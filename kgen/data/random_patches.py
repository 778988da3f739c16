"""Patches to train on, cut from larger pictures."""

import numpy as np


def random_patches(pictures, size, count, seed=None, flips=True):
    """Squares cut from pictures at random places: what `ImageRestorer` trains on.

    Each place of each picture is equally likely, so that larger pictures give more patches.

    Args:
        pictures: list of arrays `(height, width, channels)` of any sizes, of one dtype.
        size: side of a patch in pixels.
        count: number of patches.
        seed: integer or None.
        flips: whether to mirror patches and turn them by quarters, at random.

    Returns:
        Array `(count, size, size, channels)` of the pictures' dtype.

    Raises:
        ValueError: there are no pictures, they differ in channels or dtype, or one is smaller than a patch.

    Example:
        >>> import numpy as np
        >>> kgen.data.random_patches([np.zeros((90, 120, 3), "uint8")], size=32, count=8).shape
        (8, 32, 32, 3)
    """
    pictures = [np.asarray(picture) for picture in pictures]
    kinds = {(picture.ndim, picture.shape[-1], picture.dtype.name) for picture in pictures if picture.ndim}
    if len(kinds) != 1 or next(iter(kinds))[0] != 3:
        raise ValueError(
            "random_patches: pictures must be arrays (height, width, channels), at least one, alike in channels and "
            f"dtype; got {sorted({(picture.shape, picture.dtype.name) for picture in pictures})}."
        )
    small = [picture.shape for picture in pictures if min(picture.shape[:2]) < size]
    if small:
        raise ValueError(f"random_patches: pictures must be at least {size} x {size}; got {small[0]}.")
    numbers = np.random.default_rng(seed)
    places = np.array([(p.shape[0] - size + 1) * (p.shape[1] - size + 1) for p in pictures], "float64")
    patches = np.empty((count, size, size, pictures[0].shape[-1]), pictures[0].dtype)
    for i, choice in enumerate(numbers.choice(len(pictures), count, p=places / places.sum())):
        picture = pictures[choice]
        top, left = (numbers.integers(side - size + 1) for side in picture.shape[:2])
        patch = picture[top : top + size, left : left + size]
        if flips:
            patch = np.rot90(patch, numbers.integers(4))
            patch = patch[:, ::-1] if numbers.integers(2) else patch
        patches[i] = patch
    return patches
