"""The input of clean image patches, for a model that learns from nothing else."""

from __future__ import annotations

from typing import Any

import keras

from kgen.inputs.image_input import ImageInput
from kgen.types import Tensor


class PatchInput(ImageInput):
    """The input of a model that learns from clean patches of one size; after that it takes images of any size.

    Args:
        owner, image_shape, float_scale: as in `ImageInput`.
        divisor: number that must divide the sides of patches.

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
                f"{self.owner}: the sides of training patches must be known and divisible by {self.divisor}; got "
                f"{sides[0]} x {sides[1]}. kgen.data.random_patches cuts such patches from images."
            )
        return batch

    def check_others(self, others: dict, images: Any) -> None:
        """Refuses anything that comes with the images."""
        if others.get("y") is not None:
            raise ValueError(f"{self.owner}: training takes clean images only; remove the targets that come with them.")
