"""A degradation that shrinks images."""

from __future__ import annotations

from typing import Any

import keras

from kgen.checks import integer
from kgen.layers.degradation import Degradation
from kgen.layers.resize import KERNELS, resize
from kgen.layers.seeded_layer import Seed
from kgen.serializable import serializable
from kgen.types import Tensor


@serializable
class Downscale(Degradation):
    """Shrinks images `(B, H, W, C)` in [0, 1] by a whole factor, antialiased as in Pillow. It is not random.

    Args:
        factor: integer of at least 2 that divides height and width.
        interpolation: `"bicubic"`, `"lanczos"` or `"bilinear"`.
        seed: as in `Degradation`.

    Raises:
        ValueError: if `factor` or `interpolation` is something else, or if `factor` does not divide the sides.

    Example:
        ```python
        Downscale(2)(keras.random.uniform((2, 64, 64, 3))).shape  # (2, 32, 32, 3)
        ```
    """

    def __init__(self, factor: int = 2, interpolation: str = "bicubic", seed: Seed = None, **kwargs: Any):
        super().__init__(seed=seed, **kwargs)
        self.factor = self.shrinks = integer("Downscale", "factor", factor, least=2)
        if interpolation not in KERNELS:
            raise ValueError(f"Downscale: interpolation must be one of {sorted(KERNELS)}; got {interpolation!r}.")
        self.interpolation = interpolation

    def parameters(self, batch: int | Tensor, shape: tuple, seed: keras.random.SeedGenerator) -> dict[str, Tensor]:
        return {}

    def apply(self, images: Tensor, parameters: dict[str, Tensor]) -> Tensor:
        return resize(images, self.compute_output_shape(images.shape)[1:3], self.interpolation)

    def compute_output_shape(self, images_shape: tuple) -> tuple:
        batch, height, width, channels = images_shape
        if any(side is not None and side % self.factor for side in (height, width)):
            raise ValueError(f"Downscale: factor={self.factor} must divide height and width; got {height} x {width}.")
        height, width = (None if side is None else side // self.factor for side in (height, width))
        return (batch, height, width, channels)
