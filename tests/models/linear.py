"""A VAE whose likelihood is known: x = W z + b + sigma eps is normal, and so is z given x."""

import keras
import numpy as np
from keras import layers
from scipy import stats

from kgen.losses import Gaussian
from kgen.models import VAE

SHAPE, LATENT_DIM, SIGMA = (2, 3, 1), 2, 0.2
DIM = 6


class LinearGaussian:
    """The VAE, `model`, with the exact posterior of its latents but for a common factor on its deviations.

    Args:
        widened: that factor; with 1 the ELBO is log p(x) itself.
        num_classes: with classes each has a mean of its own.
    """

    def __init__(self, widened=1.0, num_classes=None, seed=0):
        numbers = np.random.default_rng(seed)
        self.weights = 0.3 * numbers.normal(size=(LATENT_DIM, DIM))
        self.means = 0.2 * numbers.normal(size=(num_classes or 1, DIM))
        # Orthogonal rows make the posterior's covariance diagonal, as an encoder has it.
        self.weights = np.linalg.svd(self.weights, full_matrices=False)[2] * [[0.5], [0.35]]
        self.covariance = self.weights.T @ self.weights + SIGMA**2 * np.eye(DIM)
        precision = 1.0 + np.sum(self.weights**2, axis=1) / SIGMA**2
        gain = self.weights.T / SIGMA**2 / precision
        images, latents = keras.Input(SHAPE, name="images"), keras.Input((LATENT_DIM,), name="latents")
        pooled = keras.Input((num_classes,), name="pooled") if num_classes else None
        log_variance = np.log(widened**2 / precision)
        moments = self._affine(
            layers.Flatten()(images),
            pooled,
            np.concatenate([gain, np.zeros_like(gain)], axis=1),
            np.concatenate([-self.means @ gain, np.tile(log_variance, (len(self.means), 1))], axis=1),
        )
        decoded = layers.Reshape(SHAPE)(self._affine(latents, pooled, self.weights, self.means))
        with_classes = {"pooled": pooled} if num_classes else {}
        encoder = keras.Model({"images": images, **with_classes} if num_classes else images, moments)
        decoder = keras.Model({"latents": latents, **with_classes} if num_classes else latents, decoded)
        self.model = VAE(encoder, decoder, LATENT_DIM, Gaussian(SIGMA), num_classes=num_classes, seed=0)
        self.model.average.updates.assign(1.0)

    @staticmethod
    def _affine(x, pooled, kernel, biases):
        """A dense layer; with a condition the bias is that of its class."""
        if pooled is None:
            dense = layers.Dense(kernel.shape[1])
            y = dense(x)
            dense.set_weights([kernel, biases[0]])
            return y
        dense = layers.Dense(kernel.shape[1], use_bias=False)
        y = dense(layers.Concatenate()([x, pooled]))
        dense.set_weights([np.concatenate([kernel, biases])])
        return y

    def pictures(self, count, labels=None):
        """Float pictures that the model is true of, in [-1, 1]."""
        numbers = np.random.default_rng(1)
        drawn = numbers.normal(size=(count, LATENT_DIM)) @ self.weights + SIGMA * numbers.normal(size=(count, DIM))
        drawn += self.means[np.zeros(count, int) if labels is None else labels]
        return np.clip(drawn, -1.0, 1.0).astype("float32").reshape(count, *SHAPE)

    def log_likelihood(self, images, label=0):
        normal = stats.multivariate_normal(self.means[label], self.covariance)
        return normal.logpdf(images.reshape(len(images), DIM))

    def without_noise(self, noisy, deviation, label=0):
        """E[x | x + deviation eps], in [-1, 1]."""
        noise = deviation**2 * np.eye(DIM)
        shrunk = self.covariance @ np.linalg.inv(self.covariance + noise)
        away = noisy.reshape(len(noisy), DIM) - self.means[label]
        return (self.means[label] + away @ shrunk.T).reshape(noisy.shape)
