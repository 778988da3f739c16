"""How far a reconstruction is from a picture: negative log-likelihoods, in nats per image.

Each class is a distribution of pixels around what the decoder puts out. `loss` is its negative log-likelihood up to a
constant, summed over pixels and channels; `mean` is the picture that it stands for.
"""

from __future__ import annotations

import keras
from keras import ops

from kgen.losses.configurable import Configurable


class Reconstruction(Configurable):
    """A distribution of pixels in [-1, 1] given the decoder's outputs; both of shape `(batch, ...)`.

    Example:

    ```python
    class Laplace(kgen.losses.Reconstruction):
        def loss(self, images, outputs):
            return keras.ops.sum(keras.ops.abs(images - outputs), axis=(1, 2, 3))
    ```
    """

    def loss(self, images, outputs):
        """Negative log-likelihood of the images, `(batch,)`, in nats."""
        raise NotImplementedError(f"{type(self).__name__} must define loss().")

    def mean(self, outputs):
        """The picture in [-1, 1] that the outputs stand for."""
        return ops.clip(outputs, -1.0, 1.0)


@keras.saving.register_keras_serializable(package="kgen")
class Logistic(Reconstruction):
    """log(1 + exp(-x x̂)) for pixels x in {-1, 1} and logits x̂: black-and-white pictures [Kingma & Welling 2014].

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
        return _sum_pixels(ops.softplus(logits) - 0.5 * (1.0 + images) * logits)

    def mean(self, outputs):
        """E[x] = 2 sigmoid(x̂) - 1."""
        return ops.tanh(0.5 * outputs)


@keras.saving.register_keras_serializable(package="kgen")
class Gaussian(Reconstruction):
    """|x - x̂|^2 / (2 sigma^2): pixels spread normally around the outputs, with one fixed deviation.

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
        if not sigma > 0:
            raise ValueError(f"Gaussian: sigma must be positive; got {sigma}.")
        self.sigma = float(sigma)

    def loss(self, images, outputs):
        """Sum over pixels of squared error over 2 sigma^2."""
        error = ops.cast(images, "float32") - ops.cast(outputs, "float32")
        return _sum_pixels(ops.square(error)) / (2.0 * self.sigma**2)

    def get_config(self):
        """The constructor's arguments."""
        return {"sigma": self.sigma}


def _sum_pixels(values):
    return ops.sum(values, axis=tuple(range(1, len(values.shape))))
