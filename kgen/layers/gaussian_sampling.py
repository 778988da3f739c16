"""Reparameterised samples of a diagonal Gaussian."""

import keras
from keras import ops

from kgen.layers.seeded_layer import SeededLayer


@keras.saving.register_keras_serializable(package="kgen")
class GaussianSampling(SeededLayer):
    """Draws from a diagonal Gaussian so that gradients pass through the draw.

        z = mean + exp(log_variance / 2) * eps,    eps ~ N(0, I)

    the reparameterisation of Kingma & Welling (2014), "Auto-Encoding Variational Bayes". Called as
    `layer(mean, log_variance, sample=True)` with two float tensors of one shape; `sample=False` gives the mean, in
    training as outside of it (nothing depends on `training`).

    Args:
        seed: `None`, an int, or a `keras.random.SeedGenerator` (or a subclass) to draw from, which may be shared with
            others.

    Raises:
        TypeError: `seed` is something else.

    Example:
        ```python
        mean, log_variance = keras.ops.zeros((4, 8)), keras.ops.zeros((4, 8))
        GaussianSampling(seed=0)(mean, log_variance).shape  # (4, 8)
        ```
    """

    def call(self, mean, log_variance, sample=True):
        if not sample:
            return mean
        eps = keras.random.normal(ops.shape(mean), dtype=mean.dtype, seed=self.seed_generator)
        return mean + ops.exp(0.5 * log_variance) * eps

    def compute_output_shape(self, mean_shape, log_variance_shape=None):
        return mean_shape
