"""What layers that draw random numbers share: where these come from."""

from __future__ import annotations

import keras


class SeededLayer(keras.layers.Layer):
    """Base of the layers that draw from a `keras.random.SeedGenerator`, their own or one that they are given.

    Args:
        seed: `None`, an int, or a `SeedGenerator` (or a subclass) to draw from.
        **kwargs: `name`, `dtype`.

    Raises:
        TypeError: for another seed.

    Example:

    ```python
    kgen.layers.GaussianSampling(seed=kgen.training.SeedGenerator(0)).seed_generator     # that one
    ```
    """

    def __init__(self, seed=None, **kwargs):
        super().__init__(**kwargs)
        if seed is not None and not isinstance(seed, (int, keras.random.SeedGenerator)):
            raise TypeError(f"{type(self).__name__}: seed must be None, an int or a SeedGenerator; got {seed!r}.")
        self.seed = seed
        is_generator = isinstance(seed, keras.random.SeedGenerator)
        self.seed_generator = seed if is_generator else keras.random.SeedGenerator(seed)

    # === Config ===
    def get_config(self):
        return {**super().get_config(), "seed": keras.saving.serialize_keras_object(self.seed)}

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        if isinstance(config.get("seed"), dict):
            config["seed"] = keras.saving.deserialize_keras_object(config["seed"])
        return cls(**config)
