"""Pixels as continuous numbers: negative log-densities of a unit of [-1, 1], in nats per image, constants included.

They are densities, so their losses fall below zero where pictures are told closer than the unit.
"""

from __future__ import annotations

import math

import keras
from keras import ops

from kgen.losses.reconstruction import Reconstruction, soft_floor, sum_pixels

_LOG_2PI = math.log(2.0 * math.pi)


@keras.saving.register_keras_serializable(package="kgen")
class Gaussian(Reconstruction):
    """Sum of (x - x̂)^2 / (2 sigma^2) + log(sigma sqrt(2 pi)): pixels spread normally, with one fixed deviation.

    The logarithm does not depend on the outputs and trains nothing; it makes the loss comparable with others.

    Args:
        sigma: standard deviation in units of the pixel range [-1, 1]; positive. The smaller, the more the
            reconstruction counts beside the KL term.

    Raises:
        ValueError: if `sigma` is not positive.

    Example:

    ```python
    kgen.models.VAE(encoder, decoder, latent_dim=64, reconstruction=kgen.losses.Gaussian(sigma=0.3))
    ```
    """

    def __init__(self, sigma=0.5):
        self.sigma = _positive("Gaussian", "sigma", sigma)

    def loss(self, images, outputs):
        """Sum over pixels of squared error over 2 sigma^2, and of the constant."""
        squares = sum_pixels(ops.square(_error(images, outputs)))
        return squares / (2.0 * self.sigma**2) + _values(outputs) * (math.log(self.sigma) + 0.5 * _LOG_2PI)

    def variance(self, outputs):
        """sigma^2."""
        return ops.full_like(outputs, self.sigma**2)

    def get_config(self):
        """The constructor's arguments."""
        return {"sigma": self.sigma}


@keras.saving.register_keras_serializable(package="kgen")
class LearnedGaussian(keras.layers.Layer, Reconstruction):
    """The `Gaussian` with one deviation for all pixels of all pictures, which is learned with the model.

    [Rybkin et al. 2021, "Simple and effective VAE training with calibrated decoders", section 3.1: the sigma-VAE.] Its
    optimum is the root of the mean squared error over the training pictures, which balances reconstruction and KL
    without a weight to choose; unlike `OptimalGaussian` it knows sigma before it sees a picture, so that its bound is
    an honest one. It has a weight, log(sigma), which is saved with the model: give each model one of its own.

    Args:
        sigma: where the deviation begins, in units of [-1, 1]; positive.
        **kwargs: `name`, `trainable`.

    Raises:
        ValueError: if `sigma` is not positive.

    Example:

    ```python
    vae = kgen.models.VAE.from_image_shape((28, 28, 1), reconstruction="learned_gaussian")
    vae.compile()
    vae.fit(images, epochs=5)
    vae.reconstruction.deviation()      # of pixels in [-1, 1]
    ```
    """

    def __init__(self, sigma=0.5, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.sigma = _positive("LearnedGaussian", "sigma", sigma)
        start = keras.initializers.Constant(math.log(sigma))
        self.log_sigma = self.add_weight(shape=(), initializer=start, name="log_sigma")
        self.built = True

    def deviation(self):
        """sigma, a scalar tensor."""
        return ops.exp(self.log_sigma)

    def loss(self, images, outputs):
        """Sum over pixels of squared error over 2 sigma^2, and of log(sigma sqrt(2 pi))."""
        squares = sum_pixels(ops.square(_error(images, outputs)))
        log_sigma = ops.convert_to_tensor(self.log_sigma)
        return 0.5 * squares * ops.exp(-2.0 * log_sigma) + _values(outputs) * (log_sigma + 0.5 * _LOG_2PI)

    def variance(self, outputs):
        """sigma^2."""
        return ops.zeros_like(outputs) + ops.cast(ops.square(self.deviation()), outputs.dtype)

    def get_config(self):
        """The constructor's arguments."""
        config = super().get_config()
        config.pop("dtype")
        return {**config, "sigma": self.sigma}


@keras.saving.register_keras_serializable(package="kgen")
class OptimalGaussian(Reconstruction):
    """D/2 (log(2 pi MSE) + 1): the `Gaussian` with the deviation that suits each picture best, sigma^2 = MSE.

    [Rybkin et al. 2021, "Simple and effective VAE training with calibrated decoders", section 3.2: the optimal
    sigma-VAE, with one sigma per image.] MSE is the mean squared error over the D values of a picture. Reconstruction
    and KL are balanced without a weight to choose.

    As sigma is read off the picture that is to be explained, the loss is the least that any `Gaussian` gives, and lower
    than what an honest code would need, by what naming sigma costs: about log(D) / 2 nats per image.

    Args:
        min_sigma: the least deviation, in units of [-1, 1]; positive. Below it the loss is that of
            `Gaussian(min_sigma)`.

    Raises:
        ValueError: if `min_sigma` is not positive.

    Example:

    ```python
    kgen.losses.OptimalGaussian().loss(keras.ops.zeros((1, 8, 8, 3)), keras.ops.ones((1, 8, 8, 3)))     # [272.44]
    ```
    """

    def __init__(self, min_sigma=0.005):
        self.min_sigma = _positive("OptimalGaussian", "min_sigma", min_sigma)

    def loss(self, images, outputs):
        """D/2 (log(2 pi MSE) + 1), for each picture with its own MSE."""
        values = _values(outputs)
        mean_square = sum_pixels(ops.square(_error(images, outputs))) / values
        variance = ops.maximum(mean_square, self.min_sigma**2)
        return 0.5 * values * (_LOG_2PI + ops.log(variance) + mean_square / variance)

    def variance(self, outputs):
        """The least: the deviation of a picture is read off it, and so not known before it is."""
        return ops.full_like(outputs, self.min_sigma**2)

    def get_config(self):
        """The constructor's arguments."""
        return {"min_sigma": self.min_sigma}


@keras.saving.register_keras_serializable(package="kgen")
class PixelGaussian(Reconstruction):
    """Sum of ((x - m)^2 / v + log(2 pi v)) / 2: the decoder gives each pixel a mean m and a log-variance log v.

    [Kingma & Welling 2014, appendix C.2.] Without a floor a pixel that is always the same, such as those of a white
    border, would make the likelihood infinite [Mattei & Frellsen 2018, "Leveraging the exact likelihood of deep latent
    variable models"]; the outputs approach it smoothly, as log v = f + log(1 + exp(output - f)), f = 2 log(min_sigma).

    Args:
        min_sigma: the least deviation, in units of [-1, 1]; positive.

    Raises:
        ValueError: if `min_sigma` is not positive.

    Example:

    ```python
    vae = kgen.models.VAE.from_image_shape((32, 32, 3), reconstruction="pixel_gaussian")
    vae.decoder.output_shape        # (None, 32, 32, 6)
    ```
    """

    channels = 2

    def __init__(self, min_sigma=0.01):
        self.min_sigma = _positive("PixelGaussian", "min_sigma", min_sigma)

    def loss(self, images, outputs):
        """Sum over pixels of the negative log-density."""
        mean, log_variance = ops.split(ops.cast(outputs, "float32"), 2, axis=-1)
        log_variance = self._log_variance(log_variance)
        squares = ops.square(_error(images, mean)) * ops.exp(-log_variance)
        return 0.5 * sum_pixels(squares + log_variance + _LOG_2PI)

    def variance(self, outputs):
        """The v of each pixel."""
        return ops.exp(self._log_variance(ops.split(outputs, 2, axis=-1)[1]))

    def _log_variance(self, outputs):
        return soft_floor(outputs, 2.0 * math.log(self.min_sigma))

    def get_config(self):
        """The constructor's arguments."""
        return {"min_sigma": self.min_sigma}


@keras.saving.register_keras_serializable(package="kgen")
class Laplace(Reconstruction):
    """Sum of |x - x̂| / b + log(2 b): absolute errors, which forgive a few pixels that are far off.

    The outputs are drawn to the median of what a pixel may be, where a `Gaussian` draws them to its mean: edges are
    sharper.

    Args:
        scale: b, the mean absolute error, in units of [-1, 1]; positive. The deviation is sqrt(2) b.

    Raises:
        ValueError: if `scale` is not positive.

    Example:

    ```python
    kgen.losses.Laplace(0.2).loss(images, outputs)       # (batch,), nats
    ```
    """

    def __init__(self, scale=0.35):
        self.scale = _positive("Laplace", "scale", scale)

    def loss(self, images, outputs):
        """Sum over pixels of absolute error over b, and of the constant."""
        return sum_pixels(ops.abs(_error(images, outputs))) / self.scale + _values(outputs) * math.log(2.0 * self.scale)

    def variance(self, outputs):
        """2 b^2."""
        return ops.full_like(outputs, 2.0 * self.scale**2)

    def get_config(self):
        """The constructor's arguments."""
        return {"scale": self.scale}


def _positive(owner, name, value):
    if not 0 < value < math.inf:
        raise ValueError(f"{owner}: {name} must be positive; got {value}.")
    return float(value)


def _error(images, outputs):
    return ops.cast(images, "float32") - ops.cast(outputs, "float32")


def _values(outputs):
    """How many numbers a picture has; a dataset's pictures may not say so before they come."""
    return math.prod(outputs.shape[1:])
