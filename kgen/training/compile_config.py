"""Which arguments of `compile` are saved with a model."""

from __future__ import annotations

import warnings
from typing import Any

import keras


def saved_arguments(owner: str, arguments: dict[str, Any], metrics: list) -> dict[str, Any]:
    """The arguments of `compile` in the form that Keras saves; one that cannot be saved is left out with a warning.

    Args:
        owner: class name of the model, for warnings.
        arguments: dict from a name to a value; other models and layers with weights are left out, because a config
            would restore them with new weights.
        metrics: the list `metrics` of `compile`.
    """
    saved = {}
    for name, value in arguments.items():
        if not any(map(_has_weights, keras.tree.flatten(value))):
            try:
                saved[name] = keras.saving.serialize_keras_object(value)
                continue
            except (TypeError, ValueError, NotImplementedError):
                pass
        warnings.warn(
            f"compile({name}=...) is not saved with {owner}. To continue training with it, call "
            f"model.compile(model.optimizer, {name}=...).",
            stacklevel=3,
        )
    kept = list(filter(None, map(_serialized, metrics)))
    return {**saved, **({"metrics": kept} if kept else {})}


def _has_weights(value):
    return isinstance(value, keras.Model) or isinstance(value, keras.layers.Layer) and bool(value.weights)


def _serialized(metric):
    try:
        return keras.saving.serialize_keras_object(metric)
    except ValueError as why:
        warnings.warn(f"The metric {metric.name} is not saved with the model: {why}", stacklevel=4)
        return None
