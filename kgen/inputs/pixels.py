"""Ranges of images: uint8, [0, 1] or [-1, 1] outside; always [-1, 1] inside the networks."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from kgen.types import Array, Tensor

# Checking the values of a large array block by block keeps memory constant.
_BLOCK = 256


def image_range(owner: str, images: Any, image_shape: tuple, value_range: Any = None) -> tuple[int, int]:
    """The range `(low, high)` of a batch of images.

    Args:
        owner: class or function that errors begin with.
        images: array or tensor `(N, height, width, channels)`: uint8, or float in [0, 1] or [-1, 1].
        image_shape: `(height, width, channels)` that is expected; None for a side of any length.
        value_range: `(0, 1)` or `(-1, 1)`, the range of floats if it is known; None to find out.

    Returns:
        `(0, 255)` for uint8; for floats `value_range`, or else `(-1, 1)` with a negative value and `(0, 1)` without.

    Raises:
        TypeError: if `images` is not an array, or has a wrong dtype.
        ValueError: if it is empty, or has a wrong shape, or values out of range or not finite; or for an unknown
            `value_range`.
    """
    check_spec(owner, images, image_shape)
    value_range = stated_range(owner, value_range)
    if str(_dtype(images)) == "uint8":
        return (0, 255)
    low, high = np.inf, -np.inf
    for start in range(0, len(images), _BLOCK):
        block = ops.convert_to_numpy(images[start : start + _BLOCK])
        low, high = min(low, float(block.min())), max(high, float(block.max()))
        if not np.isfinite(block.sum(dtype="float64")):
            raise ValueError(f"{owner}: images must be finite; some values are NaN or infinite.")
    if low < -1.0 or high > 1.0:
        hint = "Divide by 255, or convert to uint8." if high > 1.5 and low >= 0 else "Rescale them."
        raise ValueError(
            f"{owner}: images must be uint8, or float in [0, 1] or [-1, 1]; got {_dtype(images)} with values from "
            f"{low:.4g} to {high:.4g}. {hint}"
        )
    if value_range == (0, 1) and low < 0:
        raise ValueError(f"{owner}: value_range is (0, 1), but images have values from {low:.4g} to {high:.4g}.")
    return value_range or ((-1, 1) if low < 0 else (0, 1))


def stated_range(owner: str, value_range: Any) -> tuple[int, int] | None:
    """Checks an argument `value_range`, the range of float images: `(0, 1)`, `(-1, 1)`, or None if it is not stated.

    Raises:
        ValueError: for anything else.
    """
    stated = tuple(value_range) if isinstance(value_range, (tuple, list)) else value_range
    if stated not in (None, (0, 1), (-1, 1)):
        raise ValueError(f"{owner}: value_range must be None, (0, 1) or (-1, 1); got {value_range!r}.")
    return None if stated is None else (int(stated[0]), int(stated[1]))


def check_spec(owner: str, images: Any, image_shape: tuple) -> None:
    """Checks what `image_range` can check without values: rank, shape and dtype of an array or a tensor spec."""
    shape, dtype = getattr(images, "shape", None), _dtype(images)
    if shape is None or dtype is None:
        raise TypeError(f"{owner}: images must be an array (N, height, width, channels); got {type(images).__name__}.")
    shape = tuple(shape)
    names = ("height", "width", "channels")
    expected = f"(N, {', '.join(name if n is None else str(n) for n, name in zip(image_shape, names))})"
    if len(shape) != 4:
        hint = (
            " Make a batch: images[None] for a single image, batch() for a dataset."
            if len(shape) == 3 and all(m in (None, n) for n, m in zip(shape, image_shape))
            else ""
        )
        raise ValueError(f"{owner}: images must have shape {expected}; got {shape}.{hint}")
    if any(n != m and None not in (n, m) for n, m in zip(shape[1:], image_shape)):
        raise ValueError(
            f"{owner}: images must have shape {expected}; got {shape}. Resize them, or build the model for this shape."
        )
    if 0 in shape:
        raise ValueError(f"{owner}: images must not be empty; got shape {shape}.")
    if str(dtype) != "uint8" and "float" not in str(dtype):
        raise TypeError(f"{owner}: images must be uint8, or float in [0, 1] or [-1, 1]; got {dtype}.")


def to_network(images: Tensor, from_range: tuple[int, int]) -> Tensor:
    """Images in `from_range` as float32 in [-1, 1]."""
    low, high = from_range
    images = ops.cast(images, "float32")
    return images if from_range == (-1, 1) else (images - low) * (2.0 / (high - low)) - 1.0


def to_uint8(images: Tensor) -> Tensor:
    """Images in [-1, 1] as uint8."""
    images = ops.clip(ops.cast(images, "float32"), -1.0, 1.0)
    return ops.cast(ops.round((images + 1.0) * 127.5), "uint8")


class NetworkImages:
    """A long array of images that converts each slice to [-1, 1] when it is read.

    uint8 stays as it is: a graph converts it at no cost. So graphs handle only two forms of images, uint8 and float32
    in [-1, 1].

    Args:
        images: array or tensor `(N, height, width, channels)`.
        value_range: its range.

    Example:

    ```python
    NetworkImages(images / 255.0, (0, 1))[:8]       # float32 (8, height, width, channels) in [-1, 1]
    ```
    """

    def __init__(self, images: Any, value_range: tuple[int, int]):
        self.images = images
        self.value_range = value_range

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, rows: slice) -> Array:
        images = self.images[rows]
        if self.value_range != (0, 255):
            images = to_network(images, self.value_range)
        # `convert_to_numpy` would copy an array.
        return images if isinstance(images, np.ndarray) else ops.convert_to_numpy(images)


def in_network_range(images: Tensor) -> Tensor:
    """Converts slices of `NetworkImages` in a graph: uint8, or float32 in [-1, 1], to float32 in [-1, 1]."""
    return to_network(images, (0, 255) if str(_dtype(images)) == "uint8" else (-1, 1))


def _dtype(images):
    dtype = getattr(images, "dtype", None)
    # torch says "torch.uint8", TensorFlow's DType has the plain name.
    return None if dtype is None else getattr(dtype, "name", str(dtype).removeprefix("torch."))
