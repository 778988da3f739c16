"""Degradations that add noise to images."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kgen.layers.degradation import Degradation, Range, checked_range, drawn_between
from kgen.layers.seeded_layer import Seed
from kgen.serializable import serializable
from kgen.types import Tensor

_WHITE = 255.0


@serializable
class GaussianNoise(Degradation):
    """Adds Gaussian noise to images, with one sigma for each image: x + sigma / 255 n, clipped to [0, 1].

    Images `(B, H, W, C)` are in [0, 1]; sigma is in grey levels from 0 to 255, as in papers on denoising. Grey images,
    those whose channels are equal, stay grey. In contrast, Keras' `GaussianNoise` has one sigma for all images, works
    only in training and does not clip.

    Args:
        sigma: standard deviation in grey levels, a number or `(low, high)`.
        seed: as in `Degradation`.

    Raises:
        ValueError: if `sigma` is not between 0 and 255.

    Example:
        ```python
        GaussianNoise((0, 50), seed=0)(keras.random.uniform((2, 64, 64, 3))).shape  # (2, 64, 64, 3)
        ```
    """

    def __init__(self, sigma: Range = (0.0, 50.0), seed: Seed = None, **kwargs: Any):
        super().__init__(seed=seed, **kwargs)
        self.sigma = checked_range("GaussianNoise", "sigma", sigma, most=_WHITE)

    def parameters(self, batch: int | Tensor, shape: tuple, seed: keras.random.SeedGenerator) -> dict[str, Tensor]:
        return {
            "sigma": drawn_between(self.sigma, batch, seed),
            "noise": keras.random.normal((batch, *shape), dtype="float32", seed=seed),
        }

    def apply(self, images: Tensor, parameters: dict[str, Tensor]) -> Tensor:
        return images + parameters["sigma"] / _WHITE * _as_colorful(parameters["noise"], images)


@serializable
class PoissonNoise(Degradation):
    """Adds the shot noise of few photons: x + sqrt(x / peak) n, the normal approximation of Poisson(peak x) / peak.

    Images `(B, H, W, C)` are in [0, 1]. Bright parts get more noise than dark ones, but less relative to their
    brightness.

    Args:
        peak: number of photons in a white pixel, a number or `(low, high)`; fewer give more noise.
        seed: as in `Degradation`.

    Raises:
        ValueError: if `peak` is below 1.

    Example:
        ```python
        PoissonNoise((20, 200), seed=0)(keras.random.uniform((2, 64, 64, 3))).shape  # (2, 64, 64, 3)
        ```
    """

    def __init__(self, peak: Range = (20.0, 200.0), seed: Seed = None, **kwargs: Any):
        super().__init__(seed=seed, **kwargs)
        self.peak = checked_range("PoissonNoise", "peak", peak, least=1.0)

    def parameters(self, batch: int | Tensor, shape: tuple, seed: keras.random.SeedGenerator) -> dict[str, Tensor]:
        return {
            "peak": drawn_between(self.peak, batch, seed),
            "noise": keras.random.normal((batch, *shape), dtype="float32", seed=seed),
        }

    def apply(self, images: Tensor, parameters: dict[str, Tensor]) -> Tensor:
        deviation = ops.sqrt(ops.maximum(images, 0.0) / parameters["peak"])
        return images + deviation * _as_colorful(parameters["noise"], images)


def _as_colorful(noise, images):
    """The noise, but the same in all channels of grey images."""
    is_grey = ops.all(ops.equal(images, images[..., :1]), axis=(1, 2, 3), keepdims=True)
    return ops.where(is_grey, noise[..., :1], noise)
