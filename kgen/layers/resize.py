"""Antialiased resizing, the same on every backend."""

from __future__ import annotations

import functools

import numpy as np
from keras import ops


def _cubic(x):
    """Keys' cubic convolution with a = -1/2."""
    return np.where(x < 1, (1.5 * x - 2.5) * x**2 + 1, np.where(x < 2, ((2.5 - 0.5 * x) * x - 4) * x + 2, 0))


def _lanczos(x):
    """sinc(x) sinc(x / 3) up to 3."""
    return np.where(x < 3, np.sinc(x) * np.sinc(x / 3), 0)


# The kernels, as functions of the distance, and their radius does not matter: they are 0 beyond it.
KERNELS = {"bicubic": _cubic, "bilinear": lambda x: np.maximum(1 - x, 0), "lanczos": _lanczos}


def resize(images, size, interpolation="bicubic"):
    """Images of another size, as Pillow resizes float images channel by channel (mode "F"), not rounded or clipped.

    Each axis is one product with a matrix of coefficients: the kernel around the centre of an output pixel, as wide as
    the reduction asks for, its weights within the image divided by their sum. `keras.ops.image.resize` gives the same
    values on TensorFlow, but through an operation that XLA cannot compile; on torch it has another cubic kernel, and no
    Lanczos one.

    Args:
        images: `(batch, height, width, channels)`, float; height and width must be known.
        size: `(height, width)` of the result.
        interpolation: `"bicubic"`, `"bilinear"` or `"lanczos"`.

    Returns:
        A tensor `(batch, *size, channels)`.

    Example:
        >>> import numpy as np
        >>> from kgen.layers.resize import resize
        >>> resize(np.zeros((2, 64, 64, 3), "float32"), (224, 224)).shape == (2, 224, 224, 3)
        True
    """
    height, width = images.shape[1:3]
    if (height, width) == tuple(size):
        return images
    return along_sides(
        images, _coefficients(height, size[0], interpolation), _coefficients(width, size[1], interpolation)
    )


def along_sides(images, rows, columns):
    """Images `(B, H, W, C)` with a numpy matrix `(H', H)` applied along their height, another along their width."""
    channels_first = ops.transpose(images, (0, 3, 1, 2))
    result = ops.matmul(ops.convert_to_tensor(rows), ops.matmul(channels_first, ops.convert_to_tensor(columns.T)))
    return ops.transpose(result, (0, 2, 3, 1))


@functools.lru_cache(maxsize=64)
def _coefficients(length, wanted, interpolation):
    scale = length / wanted
    centers = (np.arange(wanted) + 0.5) * scale
    distances = np.abs(np.arange(length) + 0.5 - centers[:, None]) / max(scale, 1.0)
    weights = KERNELS[interpolation](distances)
    return (weights / weights.sum(axis=1, keepdims=True)).astype("float32")
