"""A degradation that removes parts of images."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kgen.layers.degradation import Degradation, Range, checked_range, drawn_between
from kgen.layers.seeded_layer import Seed
from kgen.serializable import serializable
from kgen.types import Tensor

MISSING = 0.5


@serializable
class RandomMask(Degradation):
    """Removes random squares of images and appends a channel that marks them: `(B, H, W, C)` to `(B, H, W, C + 1)`.

    Each image in [0, 1] is divided into squares, from a random corner. A probability is drawn for each image, and each
    of its squares is missing with that probability. Missing pixels are mid-grey, 0.5; the last channel is 1 there and 0
    elsewhere.

    Args:
        fraction: probability that a square is missing, a number or `(low, high)`.
        size: side of the squares in pixels, an integer or `(low, high)` to draw one per image; 1: single pixels.
        seed: as in `Degradation`.

    Raises:
        ValueError: if `fraction` is not between 0 and 1, or `size` is below 1 or not whole.

    Example:
        ```python
        RandomMask((0.1, 0.5), size=4, seed=0)(keras.random.uniform((2, 64, 64, 3))).shape  # (2, 64, 64, 4)
        ```
    """

    def __init__(self, fraction: Range = (0.1, 0.5), size: Range = 1, seed: Seed = None, **kwargs: Any):
        super().__init__(seed=seed, **kwargs)
        self.fraction = checked_range("RandomMask", "fraction", fraction, most=1.0)
        sides = checked_range("RandomMask", "size", size, least=1)
        if any(side % 1 for side in sides):
            raise ValueError(f"RandomMask: size must be whole pixels; got {size!r}.")
        self.size = tuple(int(side) for side in sides)

    def parameters(self, batch: int | Tensor, shape: tuple, seed: keras.random.SeedGenerator) -> dict[str, Tensor]:
        least, most = self.size
        # One square more than fits: the first may begin before the image.
        squares = [-(-side // least) + 1 for side in shape[:2]]
        uniform = keras.random.uniform((batch, 3), dtype="float32", seed=seed)
        size = _whole(uniform[:, :1], most - least + 1) + least
        return {
            "fraction": drawn_between(self.fraction, batch, seed),
            "size": size,
            "corner": _whole(uniform[:, 1:], size),
            "chance": keras.random.uniform((batch, *squares, 1), dtype="float32", seed=seed),
        }

    def apply(self, images: Tensor, parameters: dict[str, Tensor]) -> Tensor:
        missing = ops.cast(parameters["chance"] < parameters["fraction"], "float32")
        for axis in (1, 2):
            # Pixel i lies in square (i + corner) // size of its image.
            start = parameters["corner"][:, axis - 1 : axis]
            square = (ops.arange(images.shape[axis], dtype="int32")[None] + start) // parameters["size"]
            square = ops.expand_dims(square, (2, 3) if axis == 1 else (1, 3))
            missing = ops.take_along_axis(missing, square, axis=axis)
        return ops.concatenate([hidden(images, missing), missing], axis=-1)

    def compute_output_shape(self, images_shape: tuple) -> tuple:
        return (*images_shape[:3], images_shape[3] + 1)


def hidden(images: Tensor, missing: Tensor) -> Tensor:
    """Images `(B, H, W, C)`, mid-grey where `missing`, `(B, H, W, 1)`, is 1."""
    return images * (1.0 - missing) + MISSING * missing


def _whole(uniform, count):
    """Integers from 0 to `count` - 1 from numbers in [0, 1), which rounding may bring to 1."""
    return ops.minimum(ops.cast(ops.floor(uniform * ops.cast(count, "float32")), "int32"), count - 1)
