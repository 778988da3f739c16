"""A copy of a trained model, ready to ship."""

from __future__ import annotations

import json
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kgen.presets.preset import restart_averages, save_without_training_state

if TYPE_CHECKING:
    import keras

_CONFIG = "config.json"


def averaged_copy(model: keras.Model, dtype_policy: str = "float32") -> keras.Model:
    """A copy of a trained model, with the averaged weights in place of the trained ones, in a chosen dtype policy.

    It gives the same results as the model, up to rounding. A model trained under `mixed_bfloat16` becomes a float32
    model by default, for machines that are slow in bfloat16. A preset of the copy is smaller, because equal weights are
    saved once.

    Args:
        model: a kgen model; it does not change.
        dtype_policy: name of the dtype policy for all parts of the copy that compute in floats.

    Returns:
        A model of the same class, not compiled. Further training starts from the averaged weights.

    Raises:
        ValueError: for an unknown policy, or a part that cannot be rebuilt from its config.

    Example:

    ```python
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = kgen.models.GAN.from_image_shape((32, 32, 3))
    model.compile()
    model.fit(images, epochs=50)
    kgen.presets.averaged_copy(model).save_to_preset("my_gan", dtype="float16")
    ```
    """
    import keras

    policy = keras.saving.serialize_keras_object(keras.dtype_policies.get(dtype_policy))
    with tempfile.TemporaryDirectory() as folder:
        saved, changed = Path(folder) / "saved.keras", Path(folder) / "changed.keras"
        save_without_training_state(model, saved)
        with zipfile.ZipFile(saved) as before, zipfile.ZipFile(changed, "w") as after:
            for name in before.namelist():
                content = before.read(name)
                after.writestr(
                    name, json.dumps(_in_policy(json.loads(content), policy)) if name == _CONFIG else content
                )
        copy = keras.saving.load_model(changed, compile=False)
    layers = list(copy._flatten_layers(include_self=False))
    # These are `kgen.training.MovingAverage`s.
    averages = [layer for layer in layers if hasattr(layer, "averages") and layer.trained]
    for network in layers:
        for average in averages:
            if average.averages(network):
                network.set_weights(average.network.get_weights())
    restart_averages(copy)
    return copy


def _in_policy(config: Any, policy: dict) -> Any:
    """A config with every float dtype policy replaced by another."""
    if isinstance(config, dict):
        if config.get("class_name") == "DTypePolicy" and "float" in config["config"]["name"]:
            return policy
        return {key: _in_policy(value, policy) for key, value in config.items()}
    return [_in_policy(each, policy) for each in config] if isinstance(config, list) else config
