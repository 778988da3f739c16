"""Pictures with noise."""

import keras
from keras import ops

from kgen.layers.degradation import Degradation, checked_range, drawn_between

_WHITE = 255.0


@keras.saving.register_keras_serializable(package="kgen")
class GaussianNoise(Degradation):
    """Normal noise, of one deviation for each picture: x + sigma / 255 n, cut off at 0 and 1.

    Pictures `(B, H, W, C)` are in [0, 1]; sigma is in grey levels of 0 to 255, as papers on denoising give it. Keras'
    `GaussianNoise` has one deviation for all pictures, works in training alone and does not cut.

    Args:
        sigma: deviation in grey levels, a number or `(low, high)`.
        seed: as of `Degradation`.

    Raises:
        ValueError: for a deviation outside of 0 to 255.

    Example:
        ```python
        GaussianNoise((0, 50), seed=0)(keras.random.uniform((2, 64, 64, 3))).shape  # (2, 64, 64, 3)
        ```
    """

    def __init__(self, sigma=(0.0, 50.0), seed=None, **kwargs):
        super().__init__(seed=seed, **kwargs)
        self.sigma = checked_range("GaussianNoise", "sigma", sigma, most=_WHITE)

    def parameters(self, batch, shape, seed):
        return {
            "sigma": drawn_between(self.sigma, batch, seed),
            "noise": keras.random.normal((batch, *shape), dtype="float32", seed=seed),
        }

    def apply(self, images, parameters):
        return images + parameters["sigma"] / _WHITE * parameters["noise"]

    # === Config ===
    def get_config(self):
        return {**super().get_config(), "sigma": list(self.sigma)}


@keras.saving.register_keras_serializable(package="kgen")
class PoissonNoise(Degradation):
    """Shot noise, that of few photons: x + sqrt(x / peak) n, the normal approximation of Poisson(peak x) / peak.

    Pictures `(B, H, W, C)` are in [0, 1]. Bright parts have more of it than dark ones, but less for their brightness.

    Args:
        peak: photons that make white, a number or `(low, high)`; the fewer, the noisier.
        seed: as of `Degradation`.

    Raises:
        ValueError: for a peak below 1.

    Example:
        ```python
        PoissonNoise((20, 200), seed=0)(keras.random.uniform((2, 64, 64, 3))).shape  # (2, 64, 64, 3)
        ```
    """

    def __init__(self, peak=(20.0, 200.0), seed=None, **kwargs):
        super().__init__(seed=seed, **kwargs)
        self.peak = checked_range("PoissonNoise", "peak", peak, least=1.0)

    def parameters(self, batch, shape, seed):
        return {
            "peak": drawn_between(self.peak, batch, seed),
            "noise": keras.random.normal((batch, *shape), dtype="float32", seed=seed),
        }

    def apply(self, images, parameters):
        return images + ops.sqrt(ops.maximum(images, 0.0) / parameters["peak"]) * parameters["noise"]

    # === Config ===
    def get_config(self):
        return {**super().get_config(), "peak": list(self.peak)}
