"""Penalties on the slope of a discriminator."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kgen import checks
from kgen.serializable import serializable
from kgen.types import Tensor


@serializable
class Penalty:
    """Base of the penalties on the gradient of the discriminator's logits with respect to its input.

    A subclass defines where the gradient is taken (`points`) and what it costs there (`cost`). The model computes the
    gradient, so a penalty is plain arithmetic. With `every` above 1 it is lazy: it is computed only in every `every`-th
    step, and then counts `every` times as much. That is nearly as good, for far less work [Karras et al. 2020,
    "Analyzing and improving the image quality of StyleGAN", section 3.1].

    Args:
        weight: factor of the penalty, not negative.
        every: steps from one computation to the next, at least 1.

    Raises:
        ValueError: if `weight` is negative, or `every` is not an integer of at least 1.

    Example:

    ```python
    class AtNoise(kgen.losses.R1):
        def points(self, real, fake, seed):
            return keras.random.normal(keras.ops.shape(real), seed=seed)
    ```
    """

    def __init__(self, weight: float, every: int = 1):
        self.weight = float(checks.number(type(self).__name__, "weight", weight, least=0.0))
        self.every = checks.integer(type(self).__name__, "every", every)

    def points(self, real: Tensor, fake: Tensor, seed: Any) -> Tensor:
        """Images `(batch, ...)` at which the gradient is taken; `seed` is for penalties that draw them."""
        raise NotImplementedError(f"{type(self).__name__} must define points().")

    def cost(self, gradient: Tensor) -> Tensor:
        """One value per sample, `(batch,)`, for gradients `(batch, ...)`."""
        raise NotImplementedError(f"{type(self).__name__} must define cost().")


@serializable
class R1(Penalty):
    """(weight / 2) ||grad_x D(x)||^2 at real images x, D the logit [Mescheder et al. 2018, "Which training methods for
    GANs do actually converge?", equation 9].

    Args:
        weight: gamma, not negative. Use 0.1 to 10, more for larger images.
        every: see `Penalty`.

    Example:

    ```python
    gan.compile(loss="non_saturating", penalties=[kgen.losses.R1(10.0)])
    ```
    """

    def __init__(self, weight: float = 1.0, every: int = 1):
        super().__init__(weight, every)

    def points(self, real: Tensor, fake: Tensor, seed: Any) -> Tensor:
        """The real images."""
        return real

    def cost(self, gradient: Tensor) -> Tensor:
        """(weight / 2) times the squared norm of each sample's gradient."""
        return 0.5 * self.weight * _squared_norm(gradient)


@serializable
class R2(R1):
    """(weight / 2) ||grad_x D(x)||^2 at generated images x, D the logit [Mescheder et al. 2018, equation 10].

    Args:
        weight, every: see `R1`.

    Example:

    ```python
    gan.compile(loss="relativistic", penalties=[kgen.losses.R1(1.0), kgen.losses.R2(1.0)])
    ```
    """

    def points(self, real: Tensor, fake: Tensor, seed: Any) -> Tensor:
        """The generated images."""
        return fake


@serializable
class GradientPenalty(Penalty):
    """weight (||grad_x D(x)|| - 1)^2 between real and generated images, D the logit [Gulrajani et al. 2017, "Improved
    training of Wasserstein GANs"].

    x = e real + (1 - e) generated, with e uniform in [0, 1), one for each sample. Use a discriminator without batch
    normalisation: with it, the gradient of one sample depends on the others.

    Args:
        weight: lambda, not negative.
        every: see `Penalty`.

    Example:

    ```python
    gan.compile(loss="wasserstein", penalties=[kgen.losses.GradientPenalty(10.0)])
    ```
    """

    def __init__(self, weight: float = 10.0, every: int = 1):
        super().__init__(weight, every)

    def points(self, real: Tensor, fake: Tensor, seed: Any) -> Tensor:
        """Points on the lines from generated images to real ones."""
        share = ops.cast(_one_each(real, seed), fake.dtype)
        return fake + share * (real - fake)

    def cost(self, gradient: Tensor) -> Tensor:
        """Weight times the squared distance of each sample's slope from 1."""
        # The square root has no finite slope at zero.
        slope = ops.sqrt(_squared_norm(gradient) + 1e-12)
        return self.weight * ops.square(slope - 1.0)


@serializable
class Dragan(GradientPenalty):
    """weight (||grad_x D(x)|| - 1)^2 around real images, D the logit [Kodali et al. 2017, "On convergence and stability
    of GANs"].

    x = real + e s u, where u is uniform in [0, 1) for each value, s is half the standard deviation of all values in the
    batch, and e is uniform in [0, 1) for each sample.

    Args:
        weight: lambda, not negative.
        every: see `Penalty`.

    Example:

    ```python
    gan.compile(loss="non_saturating", penalties=[kgen.losses.Dragan(10.0)])
    ```
    """

    def points(self, real: Tensor, fake: Tensor, seed: Any) -> Tensor:
        """Points near the real images."""
        noise = ops.cast(keras.random.uniform(ops.shape(real), seed=seed), real.dtype)
        return real + ops.cast(_one_each(real, seed), real.dtype) * (0.5 * ops.std(real)) * noise


def _squared_norm(gradient):
    """The squared norm of each sample, float32."""
    gradient = ops.cast(gradient, "float32")
    return ops.sum(ops.square(gradient), axis=tuple(range(1, len(gradient.shape))))


def _one_each(images, seed):
    """Uniform numbers in [0, 1), one per sample, in a shape that broadcasts to the images."""
    return keras.random.uniform((ops.shape(images)[0],) + (1,) * (len(images.shape) - 1), seed=seed)
