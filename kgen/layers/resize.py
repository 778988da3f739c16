"""Antialiased resizing, the same on every backend."""

from __future__ import annotations

import functools

import numpy as np
from keras import ops

from kgen.types import Array, Tensor


def _cubic(x):
    """Keys' cubic convolution with a = -1/2."""
    return np.where(x < 1, (1.5 * x - 2.5) * x**2 + 1, np.where(x < 2, ((2.5 - 0.5 * x) * x - 4) * x + 2, 0))


def _lanczos(x):
    """sinc(x) sinc(x / 3) up to 3."""
    return np.where(x < 3, np.sinc(x) * np.sinc(x / 3), 0)


# Kernels as functions of the distance, 0 beyond their radius.
KERNELS = {"bicubic": _cubic, "bilinear": lambda x: np.maximum(1 - x, 0), "lanczos": _lanczos}

# Radius of the widest kernel, in pixels.
_RADIUS = 3


def resize(images: Tensor, size: tuple[int, int], interpolation: str = "bicubic") -> Tensor:
    """Resizes images as Pillow does with float images, channel by channel (mode "F"), without rounding or clipping.

    Each axis takes one product with a matrix. Its rows hold the kernel around the centre of an output pixel, widened
    when shrinking; the weights inside the image are divided by their sum. `keras.ops.image.resize` gives the same
    values on TensorFlow, but uses an operation that XLA cannot compile. On torch it has another cubic kernel and no
    Lanczos kernel.

    Args:
        images: `(batch, height, width, channels)`, float; height and width must be known.
        size: `(height, width)` of the result.
        interpolation: `"bicubic"`, `"bilinear"` or `"lanczos"`.

    Returns:
        A tensor `(batch, *size, channels)`.

    Raises:
        ValueError: if a side is 0.

    Example:
        ```python
        resize(np.zeros((2, 64, 64, 3), "float32"), (224, 224)).shape  # (2, 224, 224, 3)
        ```
    """
    height, width = images.shape[1:3]
    if 0 in (height, width, *size):
        raise ValueError(
            f"resize: height and width must be at least 1 pixel; got {height} x {width} to resize to "
            f"{size[0]} x {size[1]}."
        )
    if (height, width) == tuple(size):
        return images
    return along_sides(
        images, _coefficients(height, size[0], interpolation), _coefficients(width, size[1], interpolation)
    )


def enlarge(images: Tensor, factor: int, interpolation: str = "bicubic") -> Tensor:
    """Enlarges images by a whole factor like `resize`, but does not need to know height and width.

    Args:
        images: `(batch, height, width, channels)`, float.
        factor: integer.
        interpolation: as in `resize`.

    Returns:
        A tensor `(batch, factor * height, factor * width, channels)`.

    Example:
        ```python
        enlarge(np.zeros((2, 8, 8, 3), "float32"), 2).shape  # (2, 16, 16, 3)
        ```
    """
    # Pixel i becomes `factor` pixels. Their centres differ from its own by these fractions of a pixel.
    off = (np.arange(factor) + 0.5) / factor - 0.5
    weights = KERNELS[interpolation](np.abs(np.arange(-_RADIUS, _RADIUS + 1)[:, None] - off)).astype("float32")

    def enlarged(planes):
        for kernel, order in ((weights[:, None], (0, 1, 3, 2)), (weights[None], (0, 1, 2, 3))):
            shape = ops.shape(planes)
            parts = ops.conv(planes, kernel[:, :, None], padding="same", data_format="channels_last")
            sides = (shape[1] * factor, shape[2]) if order[2] == 3 else (shape[1], shape[2] * factor)
            planes = ops.reshape(ops.transpose(parts, order), (-1, *sides, 1))
        return planes

    shape, channels = ops.shape(images), images.shape[-1]
    planes = ops.reshape(ops.transpose(images, (0, 3, 1, 2)), (-1, shape[1], shape[2], 1))
    # Only pixels inside an image count: their weights are divided by their sum.
    planes = enlarged(planes) / enlarged(ops.ones_like(planes[:1]))
    planes = ops.reshape(planes, (-1, channels, shape[1] * factor, shape[2] * factor))
    return ops.transpose(planes, (0, 2, 3, 1))


def along_sides(images: Tensor, rows: Array, columns: Array) -> Tensor:
    """Multiplies images `(B, H, W, C)` by a NumPy matrix `(H', H)` along height, by another along width."""
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
