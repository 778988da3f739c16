"""Which space a model's networks work in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras

from kgen.spaces.latent_space import LatentSpace
from kgen.spaces.pixel_space import PixelSpace
from kgen.types import ImageShape

# The autoencoder that comes with kgen, and the shorter side in pixels from which "auto" chooses its latents.
_AUTOENCODER, _LATENTS_FROM = "tiny_f8", 96


def space_of(owner: str, space: Any) -> Any:
    """The space that an argument stands for.

    Args:
        owner: class name that errors begin with.
        space: a space; the name or the directory of an autoencoder's preset, for its `LatentSpace`; None for a
            `PixelSpace`.

    Raises:
        TypeError: if it is something else.
        ValueError: for an unknown preset.

    Example:

    ```python
    space_of("GAN", "tiny_f8").factor        # 8
    ```
    """
    if space is None:
        return PixelSpace()
    if isinstance(space, str):
        return LatentSpace(space)
    if not hasattr(space, "stores"):
        raise TypeError(
            f"{owner}: space must be a kgen.spaces.LatentSpace, a preset of an autoencoder, a PixelSpace or None; got "
            f"{space!r}."
        )
    return space


def automatic_space(image_shape: ImageShape, reconstruction: Any, networks: Iterable[Any]) -> Any:
    """Latents of "tiny_f8" for large images, else pixels.

    Large means at least 96 pixels a side. Images still stay pixels if they do not have 3 channels, if 8 does not divide
    their sides, or if a given network or the reconstruction is made for pixels.

    Args:
        image_shape: `(height, width, channels)` of the images.
        reconstruction: what a generator's outputs mean, or None; some are for pixels only.
        networks: the networks that the user gave, None for each missing one; their shapes say what they see.
    """
    *size, channels = image_shape
    fits = min(size) >= _LATENTS_FROM and channels == 3 and not any(side % 8 for side in size)
    in_pixels = any(isinstance(each, keras.Model) and _sees(each) == tuple(image_shape) for each in networks)
    if not fits or in_pixels or getattr(reconstruction, "only_pixels", False):
        return PixelSpace()
    return LatentSpace(_AUTOENCODER)


def _sees(network):
    """The shape of the images or latents that a network makes or takes."""
    outputs = network.output_shape
    if isinstance(outputs, tuple) and len(outputs) == 4:
        return tuple(outputs[1:])
    shape = network.input_shape
    return tuple((shape["images"] if isinstance(shape, dict) else shape)[1:])
