"""How likely an image is given the decoder's outputs: negative log-likelihoods, in nats per image.

Each class is a distribution of pixels in [-1, 1]. `loss` is its whole negative log-likelihood, constants included,
summed over pixels and channels, so that bounds of different models can be compared; `mean` is the image it stands for.

`Logistic` and `DiscretizedLogistic` give probabilities of pixels with few values. The others give densities per unit of
[-1, 1], so their losses may fall below zero. A density p stands for a probability of p * 2 / 255 of one of 256 grey
levels: add log(127.5) nats per pixel and channel to compare it with `DiscretizedLogistic`.
"""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from kgen import checks
from kgen.serializable import serializable
from kgen.types import Tensor

_LOG_2PI = math.log(2.0 * math.pi)


@serializable
class Reconstruction:
    """Base of the distributions of pixels in [-1, 1] given the decoder's outputs.

    Images are `(batch, ..., C)`, outputs `(batch, ..., channels * C)`. With `channels = 2`, the first C output channels
    say where a pixel is, the other C how widely it is spread.

    Example:

    ```python
    class Cauchy(kgen.losses.Reconstruction):
        def loss(self, images, outputs):
            nats = keras.ops.log1p(keras.ops.square(images - outputs)) + math.log(math.pi)
            return keras.ops.sum(nats, axis=(1, 2, 3))
    ```
    """

    channels = 1
    # Whether it is of values with bounds, and so not of an autoencoder's latents.
    only_pixels = False

    def loss(self, images: Tensor, outputs: Tensor) -> Tensor:
        """Negative log-likelihood of the images, `(batch,)`, in nats."""
        raise NotImplementedError(f"{type(self).__name__} must define loss().")

    def mean(self, outputs: Tensor) -> Tensor:
        """The image in [-1, 1] that the outputs stand for, `(batch, ..., C)`."""
        return ops.clip(ops.split(outputs, self.channels, axis=-1)[0], -1.0, 1.0)

    def variance(self, outputs: Tensor) -> Tensor:
        """The variance of pixels around that image, `(batch, ..., C)`."""
        raise NotImplementedError(f"{type(self).__name__} must define variance() to denoise by.")


# === Probabilities ===
@serializable
class Logistic(Reconstruction):
    """log(1 + exp(-x x̂)) for pixels x in {-1, 1} and logits x̂: black-and-white images [Kingma & Welling 2014].

    This is the Bernoulli distribution; its short names are `"bernoulli"` and `"logistic"`.

    The article that kgen follows prints sum log(1 + exp(-x - x̂)). That is a misprint: it falls as x̂ grows, whatever x
    is, so it cannot tell a right reconstruction from a wrong one. The logistic loss of the product is meant, the
    negative log-likelihood of x under P(x = 1) = sigmoid(x̂). A grey pixel x between -1 and 1 counts as the mean of
    black and white: (1 + x) / 2 log(1 + exp(-x̂)) + (1 - x) / 2 log(1 + exp(x̂)).

    Example:

    ```python
    kgen.losses.Logistic().loss(images, logits)       # (batch,), nats
    ```
    """

    only_pixels = True

    def loss(self, images: Tensor, outputs: Tensor) -> Tensor:
        """Sum over pixels of the logistic loss."""
        images, logits = ops.cast(images, "float32"), ops.cast(outputs, "float32")
        # softplus(-l) and softplus(l) differ by l, so their mixture needs only one of the two.
        return _sum_pixels(ops.softplus(logits) - 0.5 * (1.0 + images) * logits)

    def mean(self, outputs: Tensor) -> Tensor:
        """E[x] = 2 sigmoid(x̂) - 1."""
        return ops.tanh(0.5 * outputs)

    def variance(self, outputs: Tensor) -> Tensor:
        """Var[x] = 1 - E[x]^2 of pixels that are -1 or 1."""
        return 1.0 - ops.square(self.mean(outputs))


@serializable
class DiscretizedLogistic(Reconstruction):
    """The probability of each of 256 grey levels: a logistic distribution, cut into bins.

    [Salimans et al. 2017, "PixelCNN++", section 2.1, with one component.] With a location m and a log-scale log s for
    each pixel,

        P(x) = sigmoid((x + 1/255 - m) / s) - sigmoid((x - 1/255 - m) / s),

    where black includes everything below it and white everything above, so that the 256 probabilities add up to 1.
    Pixels between two levels count as the nearer one. For bits per dimension, divide the loss by log(2) and by the
    number of values of an image.

    Args:
        min_log_scale: lower bound of log s, in units of [-1, 1], which the decoder's outputs approach smoothly.

    Raises:
        ValueError: if `min_log_scale` is not a finite number.

    Example:

    ```python
    vae = kgen.models.VAE.from_image_shape((32, 32, 3), reconstruction="discretized_logistic")
    vae.decoder.output_shape        # (None, 32, 32, 6)
    ```
    """

    only_pixels = True
    channels = 2

    def __init__(self, min_log_scale: float = -7.0):
        self.min_log_scale = float(checks.number("DiscretizedLogistic", "min_log_scale", min_log_scale))

    def loss(self, images: Tensor, outputs: Tensor) -> Tensor:
        """Minus the sum over pixels of log P."""
        location, log_scale = ops.split(ops.cast(outputs, "float32"), 2, axis=-1)
        log_scale = _soft_floor(log_scale, self.min_log_scale)
        level = ops.round((ops.clip(ops.cast(images, "float32"), -1.0, 1.0) + 1.0) * 127.5)
        distance, sharpness = level / 127.5 - 1.0 - location, ops.exp(-log_scale)
        upper, lower = (distance + 1.0 / 255.0) * sharpness, (distance - 1.0 / 255.0) * sharpness
        # sigmoid(u) - sigmoid(l) = sigmoid(u) sigmoid(-l) (1 - exp(l - u)); far from m the difference itself is 0.
        below, above = ops.softplus(-upper), ops.softplus(lower)
        inner = below + above - self._log_share(math.log(2.0 / 255.0) - log_scale)
        return _sum_pixels(ops.where(level < 0.5, below, ops.where(level > 254.5, above, inner)))

    def variance(self, outputs: Tensor) -> Tensor:
        """(pi s)^2 / 3, but at most the variance of uniform levels."""
        log_scale = _soft_floor(ops.split(outputs, 2, axis=-1)[1], self.min_log_scale)
        return ops.minimum(ops.exp(2.0 * log_scale) * (math.pi**2 / 3.0), 1.0 / 3.0)

    @staticmethod
    def _log_share(log_width):
        """log(1 - exp(-width)); by its series where 1 - exp(-width) has no digits left."""
        width = ops.exp(log_width)
        series = log_width - 0.5 * width
        return ops.where(width < 1e-3, series, ops.log(-ops.expm1(-ops.maximum(width, 1e-3))))


# === Densities ===
@serializable
class Gaussian(Reconstruction):
    """Sum of (x - x̂)^2 / (2 sigma^2) + log(sigma sqrt(2 pi)): normally distributed pixels with one fixed deviation.

    The logarithm does not depend on the outputs and trains nothing; it makes the loss comparable with others.

    Args:
        sigma: standard deviation in units of [-1, 1], positive. The smaller it is, the more the reconstruction counts
            against the KL term.

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
        squares = _sum_pixels(ops.square(_error(images, outputs)))
        return squares / (2.0 * self.sigma**2) + _values(outputs) * (math.log(self.sigma) + 0.5 * _LOG_2PI)

    def variance(self, outputs: Tensor) -> Tensor:
        """sigma^2."""
        return ops.full_like(outputs, self.sigma**2)


@serializable
class LearnedGaussian(keras.layers.Layer, Reconstruction):
    """The `Gaussian` with one deviation for all pixels of all images, which is learned with the model.

    [Rybkin et al. 2021, "Simple and effective VAE training with calibrated decoders", section 3.1: the sigma-VAE.] Its
    optimum is the root of the mean squared error over the training images, which balances reconstruction and KL without
    a weight to choose. Unlike `OptimalGaussian` it knows sigma before it sees an image, so its bound is valid. Its
    weight, log(sigma), is saved with the model: give each model an object of its own.

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
        squares = _sum_pixels(ops.square(_error(images, outputs)))
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

    Sigma is read off the image that is to be explained. So the loss is the lowest that any `Gaussian` gives, and lower
    than a valid code length by the cost of sending sigma: about log(D) / 2 nats per image.

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
        mean_square = _sum_pixels(ops.square(_error(images, outputs))) / values
        variance = ops.maximum(mean_square, self.min_sigma**2)
        return 0.5 * values * (_LOG_2PI + ops.log(variance) + mean_square / variance)

    def variance(self, outputs: Tensor) -> Tensor:
        """min_sigma^2: the deviation is read off an image, and is not known before."""
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
        return 0.5 * _sum_pixels(squares + log_variance + _LOG_2PI)

    def variance(self, outputs: Tensor) -> Tensor:
        """The v of each pixel."""
        return ops.exp(self._log_variance(ops.split(outputs, 2, axis=-1)[1]))

    def _log_variance(self, outputs):
        return _soft_floor(outputs, 2.0 * math.log(self.min_sigma))


@serializable
class Laplace(Reconstruction):
    """Sum of |x - x̂| / b + log(2 b): absolute errors, which tolerate a few pixels that are far off.

    The outputs tend to the median of the possible values of a pixel; those of a `Gaussian` tend to the mean. Edges are
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
        errors = _sum_pixels(ops.abs(_error(images, outputs)))
        return errors / self.scale + _values(outputs) * math.log(2.0 * self.scale)

    def variance(self, outputs: Tensor) -> Tensor:
        """2 b^2."""
        return ops.full_like(outputs, 2.0 * self.scale**2)


def reconstruction_of(argument: Any) -> Any:
    """The `Reconstruction` that an argument of a VAE stands for: "auto" is `Gaussian(0.5)`, others as in `get`."""
    from kgen import losses

    automatic = isinstance(argument, str) and argument == "auto"
    return losses.get("reconstruction loss", Gaussian(0.5) if automatic else argument)


def decoded_shape(image_shape: tuple, reconstruction: Any) -> tuple:
    """The shape of a decoder's outputs that describe images of a shape."""
    *size, channels = image_shape
    return *size, channels * getattr(reconstruction, "channels", 1)


def _positive(owner, name, value):
    if not 0 < value < math.inf:
        raise ValueError(f"{owner}: {name} must be positive; got {value}.")
    return float(value)


def _soft_floor(values, least):
    """Values bounded below by `least`, smoothly, and nearly unchanged far above it."""
    return least + ops.softplus(values - least)


def _sum_pixels(values):
    """`(batch,)`: the sum of all values of a sample."""
    return ops.sum(values, axis=tuple(range(1, len(values.shape))))


def _error(images, outputs):
    return ops.cast(images, "float32") - ops.cast(outputs, "float32")


def _values(outputs):
    """How many numbers an image has. The outputs know it; the images of a dataset may not, before they come."""
    return math.prod(outputs.shape[1:])
