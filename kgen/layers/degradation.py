"""Base of the layers that degrade images at random."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any, TypeAlias

import keras
from keras import ops

from kgen.layers.seeded_layer import Seed, SeededLayer
from kgen.types import Tensor

# A number, or `(low, high)` to draw one for each image.
Range: TypeAlias = float | Sequence[float]


class Degradation(SeededLayer):
    """Base of the layers that degrade images `(B, H, W, C)` in [0, 1]; their results are in [0, 1] too.

    They work the same in training and outside of it, and draw random numbers for each image. A subclass defines
    `parameters(batch, shape, seed)`, which draws, and `apply(images, parameters)`, which does not. To degrade two
    batches in the same way, draw once and apply twice.

    Args:
        seed: an int, a `keras.random.SeedGenerator` to share with others, or None for a random seed.
        probability: that an image is degraded; the others stay as they are. A keyword argument of every subclass.
        **kwargs: `name`, `dtype`.

    Raises:
        TypeError: if `seed` is something else.
        ValueError: if `probability` is not a number from 0 to 1.

    Example:
        ```python
        @keras.saving.register_keras_serializable(package="mine")
        class Fog(kgen.layers.Degradation):
            def parameters(self, batch, shape, seed):
                return {"share": keras.random.uniform((batch, 1, 1, 1), seed=seed)}

            def apply(self, images, parameters):
                return images + parameters["share"] * (1.0 - images)
        ```
    """

    # How many times smaller both sides of an image become.
    shrinks = 1

    def __init__(self, seed: Seed = None, *, probability: float = 1.0, **kwargs: Any):
        super().__init__(seed, **kwargs)
        if isinstance(probability, bool) or not isinstance(probability, Real) or not 0.0 <= probability <= 1.0:
            raise ValueError(f"{type(self).__name__}: probability must be a number from 0 to 1; got {probability!r}.")
        self.probability: float = float(probability)
        # There is nothing to build. Otherwise Keras, on JAX and torch, would call the whole model to build this layer.
        self.built = True

    def call(self, images: Tensor) -> Tensor:
        return ops.cast(self.degrade(images, self.seed_generator), self.compute_dtype)

    def degrade(self, images: Tensor, seed: keras.random.SeedGenerator) -> Tensor:
        """Degrades images, drawing from a given generator instead of the layer's own.

        Args:
            images: `(batch, height, width, channels)` in [0, 1], with known height and width.
            seed: a `SeedGenerator`.

        Returns:
            float32 images in [0, 1].

        Raises:
            ValueError: if the images have another rank or unknown sides, or if a layer that changes their shape has a
                `probability` below 1.
        """
        shape = tuple(images.shape)
        if len(shape) != 4 or None in shape[1:]:
            raise ValueError(
                f"{type(self).__name__}: images must be (batch, height, width, channels) in [0, 1], with known height "
                f"and width; got shape {shape}."
            )
        images = ops.cast(images, "float32")
        count = ops.shape(images)[0]
        degraded = ops.clip(self.apply(images, self.parameters(count, shape[1:], seed)), 0.0, 1.0)
        if self.probability == 1.0:
            return degraded
        if tuple(degraded.shape)[1:] != shape[1:]:
            raise ValueError(
                f"{type(self).__name__}: apply() changes the shape of images, so probability must be 1; got "
                f"{self.probability:g}."
            )
        return ops.where(drawn_between((0.0, 1.0), count, seed) < self.probability, degraded, images)

    def parameters(self, batch: int | Tensor, shape: tuple, seed: keras.random.SeedGenerator) -> dict[str, Tensor]:
        """Draws what happens to each image.

        Args:
            batch: number of images, an int or a scalar tensor.
            shape: `(height, width, channels)` of the images.
            seed: a `SeedGenerator`.

        Returns:
            Dict of tensors `(batch, ...)`.
        """
        raise NotImplementedError(f"{type(self).__name__} must define parameters().")

    def apply(self, images: Tensor, parameters: dict[str, Tensor]) -> Tensor:
        """Changes each image as `parameters` says; the result is clipped to [0, 1] afterwards."""
        raise NotImplementedError(f"{type(self).__name__} must define apply().")

    def compute_output_shape(self, images_shape: tuple) -> tuple:
        return images_shape


def checked_range(
    owner: str, name: str, value: Any, least: float = 0.0, most: float = float("inf")
) -> tuple[float, float]:
    """Turns a number or a pair of numbers into `(low, high)`.

    Raises:
        ValueError: if `value` is something else, or not between `least` and `most`.
    """
    pair = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    numbers = len(pair) == 2 and all(isinstance(n, Real) and not isinstance(n, bool) for n in pair)
    if not numbers or not least <= pair[0] <= pair[1] <= most:
        raise ValueError(
            f"{owner}: {name} must be a number, or (low, high) to draw one for each image, from {least:g} to "
            f"{most:g}; got {value!r}."
        )
    return float(pair[0]), float(pair[1])


def drawn_between(limits: tuple[float, float], batch: int | Tensor, seed: keras.random.SeedGenerator) -> Tensor:
    """`(batch, 1, 1, 1)`: a number for each image, uniform between `limits`."""
    low, high = limits
    return low + (high - low) * keras.random.uniform((batch, 1, 1, 1), dtype="float32", seed=seed)
