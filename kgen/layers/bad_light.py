"""Degradations of images by bad light."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kgen.layers.degradation import Degradation, Range, checked_range, drawn_between
from kgen.layers.seeded_layer import Seed
from kgen.serializable import serializable
from kgen.types import Tensor


@serializable
class LowLight(Degradation):
    """Underexposes images `(B, H, W, C)` in [0, 1]: gain x^gamma.

    In contrast, Keras' `RandomBrightness` subtracts the same amount from dark and bright parts. Put noise after this
    layer: dark photographs are noisy.

    Args:
        gain: from 0 to 1, a number or `(low, high)`.
        gamma: at least 1, a number or `(low, high)`. Above 1 it darkens middle tones more than bright ones.
        seed: as in `Degradation`.

    Raises:
        ValueError: if `gain` or `gamma` is out of range.

    Example:
        ```python
        LowLight((0.1, 0.5), gamma=(1, 2), seed=0)(keras.random.uniform((2, 64, 64, 3))).shape  # (2, 64, 64, 3)
        ```
    """

    def __init__(self, gain: Range = (0.1, 0.5), gamma: Range = 1.0, seed: Seed = None, **kwargs: Any):
        super().__init__(seed=seed, **kwargs)
        self.gain = checked_range("LowLight", "gain", gain, most=1.0)
        self.gamma = checked_range("LowLight", "gamma", gamma, least=1.0)

    def parameters(self, batch: int | Tensor, shape: tuple, seed: keras.random.SeedGenerator) -> dict[str, Tensor]:
        return {
            "gain": drawn_between(self.gain, batch, seed),
            "gamma": drawn_between(self.gamma, batch, seed),
        }

    def apply(self, images: Tensor, parameters: dict[str, Tensor]) -> Tensor:
        return parameters["gain"] * ops.power(ops.maximum(images, 1e-6), parameters["gamma"])


@serializable
class ColorCast(Degradation):
    """Tints images `(B, H, W, C)` in [0, 1]: each channel of each image is multiplied by a random gain.

    Args:
        strength: s, from 0 to 1, a number or `(low, high)` to draw s from. Gains are uniform from 1 - s to 1 + s.
        seed: as in `Degradation`.

    Raises:
        ValueError: if `strength` is out of range.

    Example:
        ```python
        ColorCast(0.3, seed=0)(keras.random.uniform((2, 64, 64, 3))).shape  # (2, 64, 64, 3)
        ```
    """

    def __init__(self, strength: Range = 0.3, seed: Seed = None, **kwargs: Any):
        super().__init__(seed=seed, **kwargs)
        self.strength = checked_range("ColorCast", "strength", strength, most=1.0)

    def parameters(self, batch: int | Tensor, shape: tuple, seed: keras.random.SeedGenerator) -> dict[str, Tensor]:
        direction = keras.random.uniform((batch, 1, 1, shape[-1]), -1.0, 1.0, dtype="float32", seed=seed)
        return {"gains": 1.0 + drawn_between(self.strength, batch, seed) * direction}

    def apply(self, images: Tensor, parameters: dict[str, Tensor]) -> Tensor:
        return images * parameters["gains"]
