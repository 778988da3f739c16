"""Latents added to features: one level of a hierarchical prior."""

from __future__ import annotations

import keras
from keras import ops

from kgen.layers.modulation import Modulation
from kgen.serializable import serializable
from kgen.types import Tensor

_MAX_LOG_SIGMA = 2.0


@serializable
class LatentInjection2D(keras.layers.Layer):
    """Adds latents to the features of an image, with a mean and a scale that depend on these features.

        z = mu(h) + sigma(h) * eps,    y = h + W z

    With standard normal eps, z is drawn from the learned prior p(z | h) = N(mu(h), sigma(h)^2), one level of a ladder
    of latents where h comes from all coarser levels (Sønderby et al. 2016, "Ladder variational autoencoders"). A
    posterior q(eps) = N(m, s^2) means q(z) = N(mu + sigma m, (sigma s)^2). As in NVAE, it is relative to the prior
    (Vahdat & Kautz 2020, section 3.2): KL(q(z) || p(z)) equals KL(q(eps) || N(0, 1)) for any mu and sigma.

    mu and log sigma are one linear projection of the normalised h. It starts at 0, so the prior starts as a standard
    normal distribution; sigma stays between exp(-2) and exp(2). Called as `layer(h, eps)`: h `(B, H, W, C)`, eps
    `(B, H, W, channels)`. Returns `(B, H, W, C)`.

    Example:
        ```python
        h, eps = keras.random.normal((2, 7, 7, 32)), keras.random.normal((2, 7, 7, 4))
        LatentInjection2D()(h, eps).shape  # (2, 7, 7, 32)
        ```
    """

    def build(self, h_shape: tuple, eps_shape: tuple) -> None:
        # === Layers ===
        self.normalize = Modulation("rms", dtype=self.dtype_policy, name="normalize")
        self.normalize.build(h_shape)
        self.moments = keras.layers.Dense(
            2 * eps_shape[-1], kernel_initializer="zeros", dtype=self.dtype_policy, name="moments"
        )
        self.moments.build(h_shape)
        self.projection = keras.layers.Dense(
            h_shape[-1],
            use_bias=False,
            # Small: at first the latents are noise to the layers that read the features.
            kernel_initializer=keras.initializers.VarianceScaling(0.1, "fan_avg", "uniform"),
            dtype=self.dtype_policy,
            name="projection",
        )
        self.projection.build(eps_shape)

    def prior(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """Mu and log sigma of the prior given h, each `(B, H, W, channels)`."""
        mean, log_sigma = ops.split(self.moments(self.normalize(h)), 2, axis=-1)
        return mean, _MAX_LOG_SIGMA * ops.tanh(log_sigma / _MAX_LOG_SIGMA)

    def call(self, h: Tensor, eps: Tensor) -> Tensor:
        mean, log_sigma = self.prior(h)
        return h + self.projection(mean + ops.exp(log_sigma) * eps)

    def compute_output_shape(self, h_shape: tuple, eps_shape: tuple | None = None) -> tuple:
        return h_shape
