"""Networks that see and make pixels."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kgen.serializable import serializable
from kgen.types import ImageShape, Tensor


@serializable
class PixelSpace:
    """The space of the images themselves: networks see and make pixels in [-1, 1].

    Example:

    ```python
    kgen.models.GAN.from_image_shape((64, 64, 3), space=kgen.spaces.PixelSpace())     # what None means too
    ```
    """

    # Whether training images are encoded once, before training.
    stores = False
    # The log of how far generated images are from the real ones, and how many of its units a difference of 1 is.
    error_name, unit = "pixel_error", 127.5
    # The last activation of a GAN's generator.
    output_activation = "tanh"

    def shape(self, owner: str, image_shape: ImageShape) -> ImageShape:
        """Shape of what networks see for images of this shape: the same."""
        return image_shape

    def image_shape(self, owner: str, shape: ImageShape) -> ImageShape:
        """Shape of the images for network outputs of this shape: the same."""
        return shape

    def check(self, owner: str, reconstruction: Any = None) -> None:
        """Accepts every likelihood."""

    def check_objective(self, owner: str, **parts: Any) -> None:
        """Accepts every part of an objective."""

    def encode(self, images: Tensor) -> Tensor:
        """Images in [-1, 1] as they are."""
        return images

    def decode(self, values: Tensor) -> Tensor:
        """The output of a network as it is: images in [-1, 1]."""
        return values

    def location(self, reconstruction: Any, outputs: Tensor) -> Tensor:
        """The image in [-1, 1] that a network's outputs stand for."""
        return reconstruction.mean(outputs)

    def viewed(self, images: Tensor, seed: keras.random.SeedGenerator | None = None) -> Tensor:
        """Images as they are: only latents are kept in several views."""
        return images

    def error(self, images: Tensor, drawn: Tensor) -> Tensor:
        """How far drawn images are from the real ones, `(batch,)`, in grey levels from 0 to 255."""
        return root_mean_square(images, drawn, self.unit)


def root_mean_square(values: Tensor, others: Tensor, unit: float = 1.0) -> Tensor:
    """The root of the mean squared difference, times `unit`, `(batch,)`; it has no gradient.

    Unlike a loss in nats, it has no large constant that hides progress.

    Args:
        values, others: tensors `(batch, ...)` of one shape.
        unit: what a difference of 1 counts as.
    """
    difference = unit * (ops.stop_gradient(others) - values)
    return ops.sqrt(ops.mean(ops.square(difference), axis=tuple(range(1, len(values.shape)))))
