"""How likely a picture is given what the decoder puts out: negative log-likelihoods, in nats per image.

Each class is a distribution of pixels in [-1, 1]. `loss` is its whole negative log-likelihood, constants included,
summed over pixels and channels, so that the bounds of two models compare; `mean` is the picture that it stands for.

The classes of this file give probabilities of pixels that have few values, those of `continuous_likelihoods` densities
of a unit of [-1, 1]. A density p stands for a probability of p * 2 / 255 of one of 256 grey levels: add log(127.5) nats
a pixel and channel to compare it with `DiscretizedLogistic`.
"""

from __future__ import annotations

import math

import keras
from keras import ops

from kgen.losses.configurable import Configurable


class Reconstruction(Configurable):
    """A distribution of pixels in [-1, 1] given the decoder's outputs.

    Images are `(batch, ..., C)`, outputs `(batch, ..., channels * C)`. A distribution with `channels = 2` reads the
    first C output channels as where a pixel is, the other C as how widely it is spread.

    Example:

    ```python
    class Cauchy(kgen.losses.Reconstruction):
        def loss(self, images, outputs):
            nats = keras.ops.log1p(keras.ops.square(images - outputs)) + math.log(math.pi)
            return keras.ops.sum(nats, axis=(1, 2, 3))
    ```
    """

    channels = 1

    def loss(self, images, outputs):
        """Negative log-likelihood of the images, `(batch,)`, in nats."""
        raise NotImplementedError(f"{type(self).__name__} must define loss().")

    def mean(self, outputs):
        """The picture in [-1, 1] that the outputs stand for."""
        return ops.clip(ops.split(outputs, self.channels, axis=-1)[0], -1.0, 1.0)

    def variance(self, outputs):
        """How far pixels are from that picture, in squares of units of [-1, 1], `(batch, ..., C)`."""
        raise NotImplementedError(f"{type(self).__name__} must define variance() to denoise by.")


@keras.saving.register_keras_serializable(package="kgen")
class Logistic(Reconstruction):
    """log(1 + exp(-x x̂)) for pixels x in {-1, 1} and logits x̂: black-and-white pictures [Kingma & Welling 2014].

    It is the Bernoulli distribution, `"bernoulli"` as well as `"logistic"`.

    The article that kgen follows prints sum log(1 + exp(-x - x̂)). That is a misprint: it falls when x̂ grows whatever
    x is, so it cannot tell a right reconstruction from a wrong one. The logistic loss of the product is meant, the
    negative log-likelihood of x under P(x = 1) = sigmoid(x̂). A grey pixel x between -1 and 1 counts as the mean of
    its black and white readings: (1 + x) / 2 log(1 + exp(-x̂)) + (1 - x) / 2 log(1 + exp(x̂)).

    Example:

    ```python
    kgen.losses.Logistic().loss(images, logits)       # (batch,), nats
    ```
    """

    def loss(self, images, outputs):
        """Sum over pixels of the logistic loss."""
        images, logits = ops.cast(images, "float32"), ops.cast(outputs, "float32")
        # softplus(-l) and softplus(l) differ by l, so their mixture needs only one of the two.
        return sum_pixels(ops.softplus(logits) - 0.5 * (1.0 + images) * logits)

    def mean(self, outputs):
        """E[x] = 2 sigmoid(x̂) - 1."""
        return ops.tanh(0.5 * outputs)

    def variance(self, outputs):
        """Var[x] = 1 - E[x]^2 of pixels that are -1 or 1."""
        return 1.0 - ops.square(self.mean(outputs))


@keras.saving.register_keras_serializable(package="kgen")
class DiscretizedLogistic(Reconstruction):
    """The probability of each of 256 grey levels: a logistic distribution, cut into bins.

    [Salimans et al. 2017, "PixelCNN++", section 2.1, with one component.] With a location m and a log-scale log s for
    each pixel,

        P(x) = sigmoid((x + 1/255 - m) / s) - sigmoid((x - 1/255 - m) / s),

    where black has all that lies below it and white all that lies above, so that the 256 probabilities add up to 1.
    Pixels between two levels count as the nearer one. Divide the loss by log(2) and the number of values of a picture
    for bits per dimension.

    Args:
        min_log_scale: the least log s, in units of [-1, 1], which the decoder's outputs approach smoothly.

    Raises:
        ValueError: if `min_log_scale` is not a finite number.

    Example:

    ```python
    vae = kgen.models.VAE.from_image_shape((32, 32, 3), reconstruction="discretized_logistic")
    vae.decoder.output_shape        # (None, 32, 32, 6)
    ```
    """

    channels = 2

    def __init__(self, min_log_scale=-7.0):
        if not math.isfinite(min_log_scale):
            raise ValueError(f"DiscretizedLogistic: min_log_scale must be a finite number; got {min_log_scale}.")
        self.min_log_scale = float(min_log_scale)

    def loss(self, images, outputs):
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

    def variance(self, outputs):
        """(pi s)^2 / 3, and no more than that of levels which are all alike."""
        log_scale = soft_floor(ops.split(outputs, 2, axis=-1)[1], self.min_log_scale)
        return ops.minimum(ops.exp(2.0 * log_scale) * (math.pi**2 / 3.0), 1.0 / 3.0)

    @staticmethod
    def _log_share(log_width):
        """log(1 - exp(-width)); by its series where 1 - exp(-width) has no digits left."""
        width = ops.exp(log_width)
        series = log_width - 0.5 * width
        return ops.where(width < 1e-3, series, ops.log(-ops.expm1(-ops.maximum(width, 1e-3))))

    def get_config(self):
        """The constructor's arguments."""
        return {"min_log_scale": self.min_log_scale}


def soft_floor(values, least):
    """Values that are never below `least`, and hardly changed far above it; the slope is never cut off at once."""
    return least + ops.softplus(values - least)


def sum_pixels(values):
    """`(batch,)`: the sum of all values of a sample."""
    return ops.sum(values, axis=tuple(range(1, len(values.shape))))
