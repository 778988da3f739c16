"""Reparameterised samples of a diagonal Gaussian."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kgen")
class GaussianSampling(keras.layers.Layer):
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

    def __init__(self, seed=None, **kwargs):
        super().__init__(**kwargs)
        if seed is not None and not isinstance(seed, (int, keras.random.SeedGenerator)):
            raise TypeError(f"GaussianSampling: seed must be None, an int or a SeedGenerator; got {seed!r}.")
        self.seed = seed
        is_generator = isinstance(seed, keras.random.SeedGenerator)
        self.seed_generator = seed if is_generator else keras.random.SeedGenerator(seed)

    def call(self, mean, log_variance, sample=True):
        if not sample:
            return mean
        eps = keras.random.normal(ops.shape(mean), dtype=mean.dtype, seed=self.seed_generator)
        return mean + ops.exp(0.5 * log_variance) * eps

    def compute_output_shape(self, mean_shape, log_variance_shape=None):
        return mean_shape

    # === Config ===
    def get_config(self):
        config = super().get_config()
        config.update({"seed": keras.saving.serialize_keras_object(self.seed)})
        return config

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        if isinstance(config.get("seed"), dict):
            config["seed"] = keras.saving.deserialize_keras_object(config["seed"])
        return cls(**config)
