"""Latents into features: one level of a hierarchical prior."""

import keras
from keras import ops

from kgen.layers.modulation import Modulation

_MAX_LOG_SIGMA = 2.0


@keras.saving.register_keras_serializable(package="kgen")
class LatentInjection2D(keras.layers.Layer):
    """Adds latents to the features of an image, where and as widely as these features say.

        z = mu(h) + sigma(h) * eps,    y = h + W z

    With standard normal eps, z is drawn from the learned prior p(z | h) = N(mu(h), sigma(h)^2) of a level of a ladder
    of latents, h being what all coarser levels made (Sønderby et al. 2016, "Ladder variational autoencoders"). A
    posterior q(eps) = N(m, s^2) stands for q(z) = N(mu + sigma m, (sigma s)^2), the posterior relative to the prior of
    NVAE (Vahdat & Kautz 2020, section 3.2): KL(q(z) || p(z)) is KL(q(eps) || N(0, 1)), whatever mu and sigma are.

    mu and log sigma are one linear projection of h in unit size. It begins at 0, so that the prior begins standard
    normal; sigma stays within exp(-2) and exp(2). Called as `layer(h, eps)`: h `(B, H, W, C)`, eps
    `(B, H, W, channels)`; gives `(B, H, W, C)`.

    Example:
        ```python
        h, eps = keras.random.normal((2, 7, 7, 32)), keras.random.normal((2, 7, 7, 4))
        LatentInjection2D()(h, eps).shape  # (2, 7, 7, 32)
        ```
    """

    def build(self, h_shape, eps_shape):
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
            # Small: at first the latents are noise to who reads the features.
            kernel_initializer=keras.initializers.VarianceScaling(0.1, "fan_avg", "uniform"),
            dtype=self.dtype_policy,
            name="projection",
        )
        self.projection.build(eps_shape)

    def prior(self, h):
        """The prior's mu and log sigma given h, each `(B, H, W, channels)`."""
        mean, log_sigma = ops.split(self.moments(self.normalize(h)), 2, axis=-1)
        return mean, _MAX_LOG_SIGMA * ops.tanh(log_sigma / _MAX_LOG_SIGMA)

    def call(self, h, eps):
        mean, log_sigma = self.prior(h)
        return h + self.projection(mean + ops.exp(log_sigma) * eps)

    def compute_output_shape(self, h_shape, eps_shape=None):
        return h_shape
