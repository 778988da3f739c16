"""How likely an image is given the decoder's outputs: negative log-likelihoods, in nats per image.

Each class is a distribution of pixels in [-1, 1]. `loss` is its whole negative log-likelihood, constants included,
summed over pixels and channels, so bounds of different models can be compared; `mean` is the image it stands for.

`Logistic` and `DiscretizedLogistic` give probabilities of pixels with few values; densities are in their own file.
"""

from __future__ import annotations

import math
from typing import Any

from keras import ops

from kgen import checks
from kgen.serializable import serializable
from kgen.types import Tensor


@serializable
class Reconstruction:
    """Base of the distributions of pixels in [-1, 1] given the decoder's outputs.

    Images are `(batch, ..., C)`, outputs `(batch, ..., channels * C)`. With `channels = 2`, the first C output channels
    give the location of each value, the other C its spread.

    Example:

    ```python
    class Cauchy(kgen.losses.Reconstruction):
        def loss(self, images, outputs):
            nats = keras.ops.log1p(keras.ops.square(images - outputs)) + math.log(math.pi)
            return keras.ops.sum(nats, axis=(1, 2, 3))
    ```
    """

    channels = 1
    # Whether it needs values with bounds, which pixels have and an autoencoder's latents do not.
    only_pixels = False

    def loss(self, images: Tensor, outputs: Tensor) -> Tensor:
        """Negative log-likelihood of the images, `(batch,)`, in nats."""
        raise NotImplementedError(f"{type(self).__name__} must define loss().")

    def mean(self, outputs: Tensor) -> Tensor:
        """The image in [-1, 1] that the outputs stand for, `(batch, ..., C)`."""
        return ops.clip(ops.split(outputs, self.channels, axis=-1)[0], -1.0, 1.0)

    def variance(self, outputs: Tensor) -> Tensor:
        """The variance of pixels around that image, `(batch, ..., C)`."""
        raise NotImplementedError(f"{type(self).__name__} must define variance() for denoising.")


@serializable
class Logistic(Reconstruction):
    """log(1 + exp(-x x̂)) for pixels x in {-1, 1} and logits x̂: black-and-white images [Kingma & Welling 2014].

    This is the Bernoulli distribution; its short names are `"bernoulli"` and `"logistic"`.

    The article that kgen follows prints sum log(1 + exp(-x - x̂)). That is a misprint: it falls as x̂ grows, whatever x
    is, so it cannot tell a right reconstruction from a wrong one. It should be the logistic loss of the product, the
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
        return sum_pixels(ops.softplus(logits) - 0.5 * (1.0 + images) * logits)

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
        log_scale = soft_floor(log_scale, self.min_log_scale)
        level = ops.round((ops.clip(ops.cast(images, "float32"), -1.0, 1.0) + 1.0) * 127.5)
        distance, sharpness = level / 127.5 - 1.0 - location, ops.exp(-log_scale)
        upper, lower = (distance + 1.0 / 255.0) * sharpness, (distance - 1.0 / 255.0) * sharpness
        # sigmoid(u) - sigmoid(l) = sigmoid(u) sigmoid(-l) (1 - exp(l - u)); far from m the difference itself is 0.
        below, above = ops.softplus(-upper), ops.softplus(lower)
        inner = below + above - self._log_share(math.log(2.0 / 255.0) - log_scale)
        return sum_pixels(ops.where(level < 0.5, below, ops.where(level > 254.5, above, inner)))

    def variance(self, outputs: Tensor) -> Tensor:
        """(pi s)^2 / 3, but at most the variance of uniform levels."""
        log_scale = soft_floor(ops.split(outputs, 2, axis=-1)[1], self.min_log_scale)
        return ops.minimum(ops.exp(2.0 * log_scale) * (math.pi**2 / 3.0), 1.0 / 3.0)

    @staticmethod
    def _log_share(log_width):
        """log(1 - exp(-width)), computed as a series where 1 - exp(-width) has no digits left."""
        width = ops.exp(log_width)
        series = log_width - 0.5 * width
        return ops.where(width < 1e-3, series, ops.log(-ops.expm1(-ops.maximum(width, 1e-3))))


def reconstruction_of(argument: Any) -> Any:
    """The `Reconstruction` that an argument of a VAE means: "auto" is `Gaussian(0.5)`, others as in `get`."""
    from kgen import losses

    automatic = isinstance(argument, str) and argument == "auto"
    return losses.get("reconstruction loss", losses.Gaussian(0.5) if automatic else argument)


def decoded_shape(image_shape: tuple, reconstruction: Any) -> tuple:
    """The shape of a decoder's outputs for images of `image_shape`."""
    *size, channels = image_shape
    return *size, channels * getattr(reconstruction, "channels", 1)


def soft_floor(values: Tensor, least: float) -> Tensor:
    """Values bounded below by `least`, smoothly, and nearly unchanged far above it."""
    return least + ops.softplus(values - least)


def sum_pixels(values: Tensor) -> Tensor:
    """`(batch,)`: the sum of all values of a sample."""
    return ops.sum(values, axis=tuple(range(1, len(values.shape))))
