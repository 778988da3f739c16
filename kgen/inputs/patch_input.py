"""Clean patches of images on their way into a model that learns from them alone."""

from __future__ import annotations

from typing import Any

import keras

from kgen.inputs.image_input import ImageInput
from kgen.types import Tensor


class PatchInput(ImageInput):
    """The door of a model that learns from clean patches of one size; what it is asked about may have any size.

    Args:
        owner, image_shape, float_scale: as in `ImageInput`.
        divisor: of the sides of patches.

    Example:

    ```python
    import keras, kgen, numpy as np

    scale = keras.Variable(0.0, trainable=False)
    patches = kgen.inputs.PatchInput("Denoiser", (None, None, 3), scale, divisor=4)
    patches.batch(np.zeros((2, 8, 8, 3), "uint8"))["images"].shape     # (2, 8, 8, 3)
    ```
    """

    def __init__(self, owner: str, image_shape: tuple, float_scale: keras.Variable, divisor: int):
        super().__init__(owner, image_shape, float_scale)
        self.divisor = divisor

    def batch(self, x: Any, y: Any = None) -> dict[str, Tensor]:
        """The batch that losses see: `images` in [-1, 1].

        Raises:
            ValueError: for patches whose sides are not known, or that `divisor` does not divide.
        """
        batch = super().batch(x)
        sides = batch["images"].shape[1:3]
        if any(side is None or side % self.divisor for side in sides):
            raise ValueError(
                f"{self.owner}: it trains on patches of known sides that {self.divisor} divides; got {sides[0]} x "
                f"{sides[1]}. kgen.data.random_patches cuts such from images."
            )
        return batch

    def check_others(self, others: dict, images: Any) -> None:
        """Refuses whatever comes with the images."""
        if others.get("y") is not None:
            raise ValueError(f"{self.owner}: it learns from clean images alone; leave out what belongs to them.")
