"""Networks that follow from a few arguments."""

from __future__ import annotations

import keras


class ConfiguredNetwork(keras.Model):
    """Base of the functional models that are built from the arguments of their constructor, which are their config.

    A subclass builds its graph, calls `super().__init__(inputs, outputs, **kwargs)` and then `keep(...)`.

    Example:

    ```python
    class Doubling(ConfiguredNetwork):
        def __init__(self, size, dtype=None, **kwargs):
            inputs = keras.Input((size,))
            super().__init__(inputs, keras.layers.Rescaling(2.0, dtype=dtype)(inputs), **kwargs)
            self.keep(dtype, size=size)
    ```
    """

    def keep(self, dtype, **arguments):
        """Keeps the arguments as attributes: lists as tuples, an `activation` as the function that it names."""
        self.dtype_policy = keras.dtype_policies.get(dtype)
        self.arguments = tuple(arguments)
        for name, value in arguments.items():
            if name == "activation":
                value = keras.activations.get(value)
            setattr(self, name, tuple(value) if isinstance(value, list) else value)

    # === Config ===
    def get_config(self):
        # Not super's: a functional model would list its layers, and these follow from the arguments.
        config = {name: getattr(self, name) for name in self.arguments}
        if "activation" in config:
            config["activation"] = keras.activations.serialize(config["activation"])
        dtype = keras.dtype_policies.serialize(self.dtype_policy)
        return {**config, "dtype": dtype, "name": self.name, "trainable": self.trainable}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return cls(**config)
