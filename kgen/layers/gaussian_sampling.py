"""Reparameterised samples of a diagonal Gaussian."""

from __future__ import annotations

import keras
from keras import ops

from kgen.layers.seeded_layer import SeededLayer
from kgen.serializable import serializable
from kgen.types import Tensor


@serializable
class GaussianSampling(SeededLayer):
    """Draws from a diagonal Gaussian so that gradients pass through the draw.

        z = mean + exp(log_variance / 2) * eps,    eps ~ N(0, I)

    This is the reparameterisation of Kingma & Welling (2014), "Auto-Encoding Variational Bayes". Called as
    `layer(mean, log_variance, sample=True)` with two float tensors of the same shape. `sample=False` returns the mean.
    It works the same in training and outside it.

    Args:
        seed: an int, a `keras.random.SeedGenerator` to share with others, or None for a random seed.

    Raises:
        TypeError: if `seed` is something else.

    Example:
        ```python
        mean, log_variance = keras.ops.zeros((4, 8)), keras.ops.zeros((4, 8))
        GaussianSampling(seed=0)(mean, log_variance).shape  # (4, 8)
        ```
    """

    def call(self, mean: Tensor, log_variance: Tensor, sample: bool = True) -> Tensor:
        if not sample:
            return mean
        eps = keras.random.normal(ops.shape(mean), dtype=mean.dtype, seed=self.seed_generator)
        return mean + ops.exp(0.5 * log_variance) * eps

    def compute_output_shape(self, mean_shape: tuple, log_variance_shape: tuple | None = None) -> tuple:
        return mean_shape
