"""Pictures in bad light."""

import keras
from keras import ops

from kgen.layers.degradation import Degradation, checked_range, drawn_between


@keras.saving.register_keras_serializable(package="kgen")
class LowLight(Degradation):
    """Pictures `(B, H, W, C)` in [0, 1] as if underexposed: gain x^gamma.

    Keras' `RandomBrightness` subtracts the same from dark and bright parts alike. Put noise after it: what is dark is
    noisy.

    Args:
        gain: from 0 to 1, a number or `(low, high)`.
        gamma: of at least 1, a number or `(low, high)`; above 1 it darkens middle tones more than bright ones.
        seed: as of `Degradation`.

    Raises:
        ValueError: for a gain or a gamma out of range.

    Example:
        ```python
        LowLight((0.1, 0.5), gamma=(1, 2), seed=0)(keras.random.uniform((2, 64, 64, 3))).shape  # (2, 64, 64, 3)
        ```
    """

    def __init__(self, gain=(0.1, 0.5), gamma=1.0, seed=None, **kwargs):
        super().__init__(seed=seed, **kwargs)
        self.gain = checked_range("LowLight", "gain", gain, most=1.0)
        self.gamma = checked_range("LowLight", "gamma", gamma, least=1.0)

    def parameters(self, batch, shape, seed):
        return {
            "gain": drawn_between(self.gain, batch, seed),
            "gamma": drawn_between(self.gamma, batch, seed),
        }

    def apply(self, images, parameters):
        return parameters["gain"] * ops.power(ops.maximum(images, 1e-6), parameters["gamma"])

    # === Config ===
    def get_config(self):
        return {**super().get_config(), "gain": list(self.gain), "gamma": list(self.gamma)}


@keras.saving.register_keras_serializable(package="kgen")
class ColorCast(Degradation):
    """Pictures `(B, H, W, C)` in [0, 1] with a tinge: each channel times a gain of its own, drawn for each picture.

    Args:
        strength: s of gains uniform from 1 - s to 1 + s, a number or `(low, high)`, from which s is drawn.
        seed: as of `Degradation`.

    Raises:
        ValueError: for a strength outside of 0 to 1.

    Example:
        ```python
        ColorCast(0.3, seed=0)(keras.random.uniform((2, 64, 64, 3))).shape  # (2, 64, 64, 3)
        ```
    """

    def __init__(self, strength=0.3, seed=None, **kwargs):
        super().__init__(seed=seed, **kwargs)
        self.strength = checked_range("ColorCast", "strength", strength, most=1.0)

    def parameters(self, batch, shape, seed):
        direction = keras.random.uniform((batch, 1, 1, shape[-1]), -1.0, 1.0, dtype="float32", seed=seed)
        return {"gains": 1.0 + drawn_between(self.strength, batch, seed) * direction}

    def apply(self, images, parameters):
        return images * parameters["gains"]

    # === Config ===
    def get_config(self):
        return {**super().get_config(), "strength": list(self.strength)}
