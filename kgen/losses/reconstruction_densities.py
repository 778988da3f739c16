"""Densities of pixels given the decoder's outputs, per unit of [-1, 1]: their losses may fall below zero.

A density p gives one of 256 grey levels the probability p * 2 / 255: add log(127.5) nats per pixel and channel to
compare it with `DiscretizedLogistic`.
"""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from kgen.losses.reconstruction import Reconstruction, soft_floor, sum_pixels
from kgen.serializable import serializable
from kgen.types import Tensor

_LOG_2PI = math.log(2.0 * math.pi)


@serializable
class Gaussian(Reconstruction):
    """Sum of (x - x̂)^2 / (2 sigma^2) + log(sigma sqrt(2 pi)): normally distributed pixels with one fixed deviation.

    The logarithm does not depend on the outputs and has no gradient; it makes the loss comparable with others.

    Args:
        sigma: standard deviation in units of [-1, 1], positive. The smaller it is, the more the reconstruction counts
            relative to the KL term.

    Raises:
        ValueError: if `sigma` is not positive.

    Example:

    ```python
    kgen.models.VAE(encoder, decoder, latent_dim=64, reconstruction=kgen.losses.Gaussian(sigma=0.3))
    ```
    """

    def __init__(self, sigma: float = 0.5):
        self.sigma = _positive("Gaussian", "sigma", sigma)

    def loss(self, images: Tensor, outputs: Tensor) -> Tensor:
        """Sum over pixels of squared error over 2 sigma^2, and of the constant."""
        squares = sum_pixels(ops.square(_error(images, outputs)))
        return squares / (2.0 * self.sigma**2) + _values(outputs) * (math.log(self.sigma) + 0.5 * _LOG_2PI)

    def variance(self, outputs: Tensor) -> Tensor:
        """sigma^2."""
        return ops.full_like(outputs, self.sigma**2)


@serializable
class LearnedGaussian(keras.layers.Layer, Reconstruction):
    """The `Gaussian` with one deviation for all pixels of all images, which is learned with the model.

    [Rybkin et al. 2021, "Simple and effective VAE training with calibrated decoders", section 3.1: the sigma-VAE.] Its
    optimum is the root mean squared error over the training images, which balances reconstruction and KL without a
    weight to choose. Unlike `OptimalGaussian` it knows sigma before it sees an image, so its bound is valid. Its
    weight, log(sigma), is saved with the model, so give each model its own object.

    Args:
        sigma: initial deviation, in units of [-1, 1]; positive.
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

    def __init__(self, sigma: float = 0.5, **kwargs: Any):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.sigma = _positive("LearnedGaussian", "sigma", sigma)
        start = keras.initializers.Constant(math.log(sigma))
        self.log_sigma = self.add_weight(shape=(), initializer=start, name="log_sigma")
        self.built = True

    def deviation(self) -> Tensor:
        """sigma, a scalar tensor."""
        return ops.exp(self.log_sigma)

    def loss(self, images: Tensor, outputs: Tensor) -> Tensor:
        """Sum over pixels of squared error over 2 sigma^2, and of log(sigma sqrt(2 pi))."""
        squares = sum_pixels(ops.square(_error(images, outputs)))
        log_sigma = ops.convert_to_tensor(self.log_sigma)
        return 0.5 * squares * ops.exp(-2.0 * log_sigma) + _values(outputs) * (log_sigma + 0.5 * _LOG_2PI)

    def variance(self, outputs: Tensor) -> Tensor:
        """sigma^2."""
        return ops.zeros_like(outputs) + ops.cast(ops.square(self.deviation()), outputs.dtype)


@serializable
class OptimalGaussian(Reconstruction):
    """D/2 (log(2 pi MSE) + 1): the `Gaussian` with the best deviation for each image, sigma^2 = MSE.

    [Rybkin et al. 2021, "Simple and effective VAE training with calibrated decoders", section 3.2: the optimal
    sigma-VAE, with one sigma per image.] MSE is the mean squared error over the D values of an image. It balances
    reconstruction and KL without a weight to choose.

    Sigma is computed from the very image that is encoded. So the loss is the lowest that any `Gaussian` gives. It is
    lower than a valid code length by the cost of sending sigma: about log(D) / 2 nats per image.

    Args:
        min_sigma: lower bound of the deviation, in units of [-1, 1]; positive. Below it the loss is that of
            `Gaussian(min_sigma)`.

    Raises:
        ValueError: if `min_sigma` is not positive.

    Example:

    ```python
    kgen.losses.OptimalGaussian().loss(keras.ops.zeros((1, 8, 8, 3)), keras.ops.ones((1, 8, 8, 3)))     # [272.44]
    ```
    """

    def __init__(self, min_sigma: float = 0.005):
        self.min_sigma = _positive("OptimalGaussian", "min_sigma", min_sigma)

    def loss(self, images: Tensor, outputs: Tensor) -> Tensor:
        """D/2 (log(2 pi MSE) + 1), for each image with its own MSE."""
        values = _values(outputs)
        mean_square = sum_pixels(ops.square(_error(images, outputs))) / values
        variance = ops.maximum(mean_square, self.min_sigma**2)
        return 0.5 * values * (_LOG_2PI + ops.log(variance) + mean_square / variance)

    def variance(self, outputs: Tensor) -> Tensor:
        """min_sigma^2: the deviation is computed from an image, and is not known before."""
        return ops.full_like(outputs, self.min_sigma**2)


@serializable
class PixelGaussian(Reconstruction):
    """Sum of ((x - m)^2 / v + log(2 pi v)) / 2: the decoder gives each pixel a mean m and a log-variance log v.

    [Kingma & Welling 2014, appendix C.2.] Without a lower bound, a pixel that is always the same (as in a white border)
    would make the likelihood infinite [Mattei & Frellsen 2018, "Leveraging the exact likelihood of deep latent variable
    models"]. The outputs approach it smoothly: log v = f + log(1 + exp(output - f)) with f = 2 log(min_sigma).

    Args:
        min_sigma: lower bound of the deviation, in units of [-1, 1]; positive.

    Raises:
        ValueError: if `min_sigma` is not positive.

    Example:

    ```python
    vae = kgen.models.VAE.from_image_shape((32, 32, 3), reconstruction="pixel_gaussian")
    vae.decoder.output_shape        # (None, 32, 32, 6)
    ```
    """

    channels = 2

    def __init__(self, min_sigma: float = 0.01):
        self.min_sigma = _positive("PixelGaussian", "min_sigma", min_sigma)

    def loss(self, images: Tensor, outputs: Tensor) -> Tensor:
        """Sum over pixels of the negative log-density."""
        mean, log_variance = ops.split(ops.cast(outputs, "float32"), 2, axis=-1)
        log_variance = self._log_variance(log_variance)
        squares = ops.square(_error(images, mean)) * ops.exp(-log_variance)
        return 0.5 * sum_pixels(squares + log_variance + _LOG_2PI)

    def variance(self, outputs: Tensor) -> Tensor:
        """The v of each pixel."""
        return ops.exp(self._log_variance(ops.split(outputs, 2, axis=-1)[1]))

    def _log_variance(self, outputs):
        return soft_floor(outputs, 2.0 * math.log(self.min_sigma))


@serializable
class Laplace(Reconstruction):
    """Sum of |x - x̂| / b + log(2 b): absolute errors, which tolerate a few pixels that are far off.

    The outputs tend to the median of the possible values of a pixel; those of a `Gaussian` tend to the mean. Edges get
    sharper.

    Args:
        scale: b, the mean absolute error, in units of [-1, 1]; positive. The standard deviation is sqrt(2) b.

    Raises:
        ValueError: if `scale` is not positive.

    Example:

    ```python
    kgen.losses.Laplace(0.2).loss(images, outputs)       # (batch,), nats
    ```
    """

    def __init__(self, scale: float = 0.35):
        self.scale = _positive("Laplace", "scale", scale)

    def loss(self, images: Tensor, outputs: Tensor) -> Tensor:
        """Sum over pixels of absolute error over b, and of the constant."""
        errors = sum_pixels(ops.abs(_error(images, outputs)))
        return errors / self.scale + _values(outputs) * math.log(2.0 * self.scale)

    def variance(self, outputs: Tensor) -> Tensor:
        """2 b^2."""
        return ops.full_like(outputs, 2.0 * self.scale**2)


def _positive(owner, name, value):
    if not 0 < value < math.inf:
        raise ValueError(f"{owner}: {name} must be positive; got {value}.")
    return float(value)


def _error(images, outputs):
    return ops.cast(images, "float32") - ops.cast(outputs, "float32")


def _values(outputs):
    """How many values an image has. Outputs have a known shape; a dataset's images may not, before they arrive."""
    return math.prod(outputs.shape[1:])
