"""Smaller pictures."""

import keras

from kgen.layers.degradation import Degradation
from kgen.layers.resize import KERNELS, resize


@keras.saving.register_keras_serializable(package="kgen")
class Downscale(Degradation):
    """Pictures `(B, H, W, C)` in [0, 1] so many times smaller, antialiased, as Pillow resizes. It draws nothing.

    Args:
        factor: integer above 1 that divides both sides.
        interpolation: `"bicubic"`, `"lanczos"` or `"bilinear"`.
        seed: as of `Degradation`.

    Raises:
        ValueError: for another factor or interpolation, or pictures whose sides it does not divide.

    Example:
        ```python
        Downscale(2)(keras.random.uniform((2, 64, 64, 3))).shape  # (2, 32, 32, 3)
        ```
    """

    def __init__(self, factor=2, interpolation="bicubic", seed=None, **kwargs):
        super().__init__(seed=seed, **kwargs)
        if isinstance(factor, bool) or not isinstance(factor, int) or factor < 2:
            raise ValueError(f"Downscale: factor must be an integer above 1; got {factor!r}.")
        if interpolation not in KERNELS:
            raise ValueError(f"Downscale: interpolation must be one of {sorted(KERNELS)}; got {interpolation!r}.")
        self.factor = factor
        self.interpolation = interpolation

    @property
    def shrinks(self):
        """The factor."""
        return self.factor

    def parameters(self, batch, shape, seed):
        return {}

    def apply(self, images, parameters):
        return resize(images, self.compute_output_shape(images.shape)[1:3], self.interpolation)

    def compute_output_shape(self, images_shape):
        batch, height, width, channels = images_shape
        if any(side is not None and side % self.factor for side in (height, width)):
            raise ValueError(f"Downscale: {self.factor} must divide both sides of a picture; got {height} x {width}.")
        height, width = (None if side is None else side // self.factor for side in (height, width))
        return (batch, height, width, channels)

    # === Config ===
    def get_config(self):
        return {**super().get_config(), "factor": self.factor, "interpolation": self.interpolation}
