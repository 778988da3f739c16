"""A filter that enlarges images."""

from __future__ import annotations

from typing import Any

from kgen.layers.image_filter import ImageFilter
from kgen.layers.resize import KERNELS, enlarge, resize
from kgen.serializable import serializable
from kgen.types import Tensor


@serializable
class Upscale(ImageFilter):
    """Enlarges images `(B, H, W, C)` in [0, 1] as Pillow does, for a model's `postprocessing`.

    Sharp kernels overshoot at edges; values are clipped to [0, 1].

    Args:
        factor: above 1; sides are rounded to whole pixels. It must be an integer if height or width is not known in
            advance, as in a network with `keras.Input((None, None, 3))`.
        interpolation: `"lanczos"`, `"bicubic"` or `"bilinear"`, from sharp to soft.

    Raises:
        ValueError: if `factor` or `interpolation` is something else.

    Example:
        ```python
        Upscale(2)(keras.random.uniform((1, 64, 64, 3))).shape  # (1, 128, 128, 3)
        ```
    """

    def __init__(self, factor: float = 2, interpolation: str = "lanczos", **kwargs: Any):
        super().__init__(**kwargs)
        if isinstance(factor, bool) or not factor > 1:
            raise ValueError(f"Upscale: factor must be above 1; got {factor!r}.")
        if interpolation not in KERNELS:
            raise ValueError(f"Upscale: interpolation must be one of {sorted(KERNELS)}; got {interpolation!r}.")
        self.factor = factor
        self.interpolation = interpolation

    def apply(self, images: Tensor) -> Tensor:
        size = self.compute_output_shape(images.shape)[1:3]
        if None in size:
            return enlarge(images, int(self.factor), self.interpolation)
        return resize(images, size, self.interpolation)

    def compute_output_shape(self, images_shape: tuple) -> tuple:
        batch, height, width, channels = images_shape
        if None in (height, width) and not isinstance(self.factor, int):
            raise ValueError(f"Upscale: factor must be an integer if height or width is unknown; got {self.factor!r}.")
        height, width = (None if side is None else round(side * self.factor) for side in (height, width))
        return (batch, height, width, channels)
