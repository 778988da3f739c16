"""Penalties on the slope of a discriminator."""

from __future__ import annotations

import keras
from keras import ops

from kgen.losses.configurable import Configurable


class Penalty(Configurable):
    """A price on the gradient of the discriminator with respect to its input.

    A penalty says where the gradient is taken (`points`) and what it costs there (`cost`). The model that trains
    takes the gradient itself, so a penalty is plain arithmetic.

    Example:

    ```python
    class R2(kgen.losses.R1):
        def points(self, real, fake, seed):
            return fake
    ```
    """

    def points(self, real, fake, seed):
        """Images `(batch, ...)` at which the gradient is taken; `seed` is for those that draw."""
        raise NotImplementedError(f"{type(self).__name__} must define points().")

    def cost(self, gradient):
        """One value per sample, `(batch,)`, for gradients `(batch, ...)`."""
        raise NotImplementedError(f"{type(self).__name__} must define cost().")


@keras.saving.register_keras_serializable(package="kgen")
class R1(Penalty):
    """(weight / 2) ||grad_x D(x)||^2 at real images x, D the logit [Mescheder et al. 2018, "Which training methods for
    GANs do actually converge?", equation 9].

    Args:
        weight: gamma, not negative. 0.1 to 10; more for larger pictures.

    Raises:
        ValueError: if `weight` is negative.

    Example:

    ```python
    gan.compile(loss="non_saturating", penalties=[kgen.losses.R1(10.0)])
    ```
    """

    def __init__(self, weight=1.0):
        if weight < 0:
            raise ValueError(f"R1: weight must not be negative; got {weight}.")
        self.weight = float(weight)

    def points(self, real, fake, seed):
        """The real images."""
        return real

    def cost(self, gradient):
        """(weight / 2) times the squared norm of each sample's gradient."""
        gradient = ops.cast(gradient, "float32")
        return 0.5 * self.weight * ops.sum(ops.square(gradient), axis=tuple(range(1, len(gradient.shape))))

    def get_config(self):
        """The constructor's arguments."""
        return {"weight": self.weight}
