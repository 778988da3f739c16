"""Networks that see and make pixels."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kgen.serializable import serializable
from kgen.types import ImageShape, Tensor


@serializable
class PixelSpace:
    """The space of images themselves: what networks see and make are pixels in [-1, 1].

    Example:

    ```python
    kgen.models.GAN.from_image_shape((64, 64, 3), space=kgen.spaces.PixelSpace())     # what None means too
    ```
    """

    # Whether training images are taken into the space before training, once.
    stores = False
    # The log of how far what is drawn is from the images, and what one unit of the networks' numbers is in it.
    error_name, unit = "pixel_error", 127.5
    # What the generator of a GAN ends with.
    output_activation = "tanh"

    def shape(self, owner: str, image_shape: ImageShape) -> ImageShape:
        """Shape of what networks see of images of a shape."""
        return image_shape

    def image_shape(self, owner: str, shape: ImageShape) -> ImageShape:
        """Shape of the images of what networks make in a shape."""
        return shape

    def check(self, owner: str, reconstruction: Any = None) -> None:
        """Every likelihood goes."""

    def check_objective(self, owner: str, **parts: Any) -> None:
        """Every part of an objective goes."""

    def encode(self, images: Tensor) -> Tensor:
        """Images in [-1, 1] as they are."""
        return images

    def decode(self, values: Tensor) -> Tensor:
        """What a network made as it is: images in [-1, 1]."""
        return values

    def location(self, reconstruction: Any, outputs: Tensor) -> Tensor:
        """The image in [-1, 1] that a network's outputs stand for."""
        return reconstruction.mean(outputs)

    def viewed(self, images: Tensor, seed: keras.random.SeedGenerator | None = None) -> Tensor:
        """Images as they are: only latents are kept in several views."""
        return images

    def error(self, images: Tensor, drawn: Tensor) -> Tensor:
        """How far images are from what is made of them, `(batch,)`, in grey levels of 0 to 255."""
        return root_mean_square(images, drawn, self.unit)


def root_mean_square(values: Tensor, others: Tensor, unit: float = 1.0) -> Tensor:
    """`(batch,)`: the root of the mean squared difference, times `unit`; it has no gradient.

    A loss has the same in nats, beside a constant that can be thousands of times what still changes.

    Args:
        values, others: tensors `(batch, ...)` of one shape.
        unit: what a difference of 1 counts as.
    """
    difference = unit * (ops.stop_gradient(others) - values)
    return ops.sqrt(ops.mean(ops.square(difference), axis=tuple(range(1, len(values.shape)))))
