"""Networks that are rebuilt from the arguments of their constructor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from kgen.networks.own_scope import in_own_scope
from kgen.serializable import constructor_arguments, from_arguments, serializable


@serializable
class ConfiguredNetwork(keras.Model):
    """Base class of functional models whose config is their constructor's arguments.

    A subclass builds its graph, calls `super().__init__(inputs, outputs, **kwargs)` and then `keep(locals())`. Its
    constructor takes a `dtype`. Layers that were frozen one by one stay frozen in copies; parts of layers do not.

    Example:

    ```python
    @serializable
    class Doubling(ConfiguredNetwork):
        def __init__(self, size, dtype=None, **kwargs):
            inputs = keras.Input((size,))
            super().__init__(inputs, keras.layers.Rescaling(2.0, dtype=dtype)(inputs), **kwargs)
            self.keep(locals())

    Doubling(3).get_config()["size"]      # 3
    ```
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):
            cls.__init__ = in_own_scope(cls.__init__)  # type: ignore[method-assign]

    def keep(self, variables: Mapping[str, Any]) -> None:
        """Keeps the constructor's arguments as attributes: lists as tuples, an `activation` as a function.

        Args:
            variables: the constructor's `locals()`, which hold its arguments by name; others are ignored.
        """
        for name in constructor_arguments(type(self)):
            if name not in variables:
                continue
            value = variables[name]
            if name == "dtype":
                self.dtype_policy = keras.dtype_policies.get(value)
            elif name == "activation":
                self.activation = keras.activations.get(value)
            else:
                setattr(self, name, tuple(value) if isinstance(value, list) else value)

    # === Config ===
    def get_config(self) -> dict[str, Any]:
        # Not super's config: a functional model would list its layers, which follow from the arguments.
        config = {name: getattr(self, name) for name in constructor_arguments(type(self))}
        if "activation" in config:
            config["activation"] = keras.activations.serialize(self.activation)
        dtype = keras.dtype_policies.serialize(self.dtype_policy)
        config |= {"dtype": dtype, "name": self.name, "trainable": self.trainable}
        frozen = [i for i, layer in enumerate(self.layers) if not layer.trainable]
        return {**config, "frozen_layers": frozen} if frozen and self.trainable else config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> ConfiguredNetwork:
        network = from_arguments(cls, {name: value for name, value in config.items() if name != "frozen_layers"})
        for i in config.get("frozen_layers", ()):
            network.layers[i].trainable = False
        return network
