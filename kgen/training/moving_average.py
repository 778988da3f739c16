"""Exponential moving averages of a network's weights."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kgen import checks
from kgen.serializable import serializable
from kgen.training import backend
from kgen.types import Tensor


@serializable
class MovingAverage(keras.layers.Layer):
    """A copy of a network whose weights are a moving average of the network's weights.

    After step t every weight w of the copy is `m w + (1 - m) w_trained` with `m = min(momentum, (1 + t) / (10 + t))`:
    the average forgets the initial weights quickly, then settles at `momentum` [Polyak & Juditsky 1992; used for GANs
    by Yazici et al. 2019]. Untrained state, such as BatchNorm's statistics, is copied.

    Args:
        network: a built `keras.Model` that can be cloned from its config.
        momentum: in [0, 1).

    Raises:
        ValueError: if `momentum` is out of range, or the network was not built.

    Example:

    ```python
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    average = kgen.training.MovingAverage(network, momentum=0.99)
    average.update(network)          # after each training step
    average(x)                       # the averaged network's output
    ```
    """

    def __init__(self, network: keras.Model, momentum: float = 0.999, **kwargs: Any):
        kwargs.setdefault("trainable", False)
        kwargs.setdefault("dtype", network.dtype_policy)
        super().__init__(**kwargs)
        if not network.built:
            raise ValueError(
                f"MovingAverage: the network {network.name!r} has no weights yet. Build it first: give it an Input, or "
                "call it once."
            )
        self.momentum = checks.number("MovingAverage", "momentum", momentum, least=0.0, below=1.0)
        # === Layers ===
        # Gives the average's variables other paths than the network's.
        with keras.name_scope(self.name):
            self.network = network_copy(network)
        self._trained_id = id(network)
        self.network.trainable = False
        self.updates = self.add_weight(shape=(), dtype="float32", initializer="zeros", trainable=False, name="updates")
        self.built = True

    @property
    def trained(self) -> bool:
        """Whether it was ever updated."""
        return float(ops.convert_to_numpy(self.updates)) > 0

    def averages(self, network: keras.layers.Layer) -> bool:
        """Whether it is the average of this network."""
        return self._trained_id == id(network)

    def restart(self) -> None:
        """Counts updates anew, so that the average soon forgets the weights that it has now."""
        self.updates.assign(ops.minimum(self.updates, 1.0))

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        """The averaged network's output in inference mode, whatever `training` is."""
        return self.network(inputs, training=False)

    def update(self, network: keras.Model) -> None:
        """Moves the average towards the weights of `network`, the trained one."""
        with backend.without_gradients():
            step = self.updates + 1.0
            momentum = ops.minimum(self.momentum, (1.0 + step) / (10.0 + step))
            trained = {id(v) for v in network.trainable_variables}
            for average, variable in zip(self.network.variables, network.variables):
                if id(variable) not in trained:
                    average.assign(variable)
                else:
                    weight = ops.cast(1.0 - momentum, average.dtype)
                    average.assign(average + weight * (ops.cast(variable.value, average.dtype) - average))
            self.updates.assign(step)


def network_copy(network: keras.Model, weights: bool = True) -> keras.Model:
    """A network with the same config, and with the same weights or new ones.

    Args:
        network: a built `keras.Model` that can be cloned from its config.
        weights: whether to copy the weights. False: the copy gets new initial weights.

    Returns:
        A `keras.Model` that shares nothing with the first.

    Raises:
        ValueError: if a layer cannot be rebuilt from its config; the message names the layer and the fix.

    Example:

    ```python
    encoder = kgen.training.network_copy(vae.encoder)       # train this one, and the VAE stays as it is
    ```
    """
    try:
        copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(network))
        if not copy.built:
            copy.build_from_config(network.get_build_config())
    except Exception as error:  # whatever a user's layer raises
        raise ValueError(
            f"the network {network.name!r} cannot be copied or saved: {_hindrance(network) or _short(error)}"
        ) from error
    if weights:
        copy.set_weights(network.get_weights())
    return copy


def _hindrance(layer):
    """The layer that cannot be rebuilt, and the fix; None if none is found."""
    kind = type(layer)
    if isinstance(layer, keras.layers.Lambda):
        return (
            f"it has a Lambda layer, {layer.name!r}. Use a keras.layers.Layer instead, and register it with "
            "@keras.saving.register_keras_serializable()."
        )
    name = keras.saving.get_registered_name(kind)
    if kind.__module__.split(".")[0] not in ("keras", "keras_hub") and name == kind.__name__:
        return (
            f"{layer.name!r} is of the class {kind.__name__}, which is not registered. Put "
            f"@keras.saving.register_keras_serializable() above the class, and define its get_config()."
        )
    return next(filter(None, map(_hindrance, getattr(layer, "layers", []))), None)


def _short(error):
    # Keras puts the config first and the innermost layer's reason last.
    reason = " ".join(str(error).rpartition("Exception encountered:")[2].split())
    return f"{type(error).__name__}: {reason[-300:]}"
