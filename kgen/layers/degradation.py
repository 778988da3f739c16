"""What spoils pictures, at random."""

from __future__ import annotations

import keras
from keras import ops

from kgen.layers.seeded_layer import SeededLayer


class Degradation(SeededLayer):
    """Base of the layers that spoil pictures `(B, H, W, C)` in [0, 1]; what they give is in [0, 1] too.

    They do so in training and outside of it, and each picture gets draws of its own. A subclass gives
    `parameters(batch, shape, seed)`, which draws, and `apply(images, parameters)`, which does not: to spoil two batches
    alike, draw once and apply twice.

    Args:
        seed: `None`, an int, or a `keras.random.SeedGenerator` (or a subclass) to draw from.
        **kwargs: `name`, `dtype`.

    Raises:
        TypeError: for another seed.

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

    # Both sides of a picture become so many times smaller.
    shrinks = 1

    def __init__(self, seed=None, **kwargs):
        super().__init__(seed, **kwargs)
        # Nothing to build; Keras, on JAX and torch, would build it by calling the model that it is part of.
        self.built = True

    def call(self, images):
        return ops.cast(self.degrade(images, self.seed_generator), self.compute_dtype)

    def degrade(self, images, seed):
        """Spoiled pictures in float32.

        Args:
            images: `(batch, height, width, channels)` in [0, 1]; height and width must be known.
            seed: a `SeedGenerator` to draw from instead of the layer's own.
        """
        shape = tuple(images.shape)
        if len(shape) != 4 or None in shape[1:]:
            raise ValueError(
                f"{type(self).__name__}: pictures must be (batch, height, width, channels) of known sides, in [0, 1]; "
                f"got shape {shape}."
            )
        images = ops.cast(images, "float32")
        return ops.clip(self.apply(images, self.parameters(ops.shape(images)[0], shape[1:], seed)), 0.0, 1.0)

    def parameters(self, batch, shape, seed):
        """Draws what is to happen to each picture.

        Args:
            batch: number of pictures, an int or a scalar tensor.
            shape: `(height, width, channels)` of the pictures.
            seed: a `SeedGenerator`.

        Returns:
            Dict of tensors `(batch, ...)`.
        """
        raise NotImplementedError(f"{type(self).__name__} must define parameters().")

    def apply(self, images, parameters):
        """Does to each picture what `parameters` say; what leaves [0, 1] is cut off afterwards."""
        raise NotImplementedError(f"{type(self).__name__} must define apply().")

    def compute_output_shape(self, images_shape):
        return images_shape


def checked_range(owner, name, value, least=0.0, most=float("inf")):
    """`(low, high)` of a number or a pair of them.

    Raises:
        ValueError: for anything else, or numbers outside of `least` to `most`.
    """
    pair = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    numbers = len(pair) == 2 and all(isinstance(n, (int, float)) and not isinstance(n, bool) for n in pair)
    if not numbers or not least <= pair[0] <= pair[1] <= most:
        raise ValueError(
            f"{owner}: {name} must be a number, or (low, high) to draw one for each picture, from {least:g} to "
            f"{most:g}; got {value!r}."
        )
    return tuple(float(n) for n in pair)


def drawn_between(limits, batch, seed):
    """`(batch, 1, 1, 1)`: a number for each picture, uniform between `limits`."""
    low, high = limits
    return low + (high - low) * keras.random.uniform((batch, 1, 1, 1), dtype="float32", seed=seed)
