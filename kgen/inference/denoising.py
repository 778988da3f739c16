"""Removes noise from images: the posterior mean of the clean image under a VAE."""

from __future__ import annotations

import functools
import math
import numbers
from typing import Any

import keras
import numpy as np
from keras import ops

from kgen import checks, losses
from kgen.inference.inversion import Starts, descend
from kgen.inference.posterior import image_numbers
from kgen.inputs import pixels
from kgen.inputs.class_labels import label_condition
from kgen.networks.interface import feed
from kgen.progress import Progress
from kgen.training import backend, image_noise
from kgen.types import Array, Verbose

# Where the search begins: a deviation of exp(-1), a good part of the prior's.
_LOG_VARIANCE = -2.0


def posterior_mean(
    model: Any,
    images: Any,
    noise_std: float,
    labels: Any = None,
    value_range: tuple[int, int] | None = None,
    steps: int = 150,
    samples: int = 16,
    seed: int = 0,
    batch_size: int = 64,
    verbose: Verbose = "auto",
) -> Array:
    """E[x | y], the mean of the clean images x given noisy images y = x + noise_std * eps, under p(x|z) p(z).

    For each image by itself, q(z) = N(m, diag(v)) approximates the posterior p(z|y). Adam starts at the nearest of 256
    random images and maximises

        E_q log p(y|z) - KL(q(z) || p(z)),

    the variational bound of log p(y). It does not use the encoder, which never saw noise. Then x is averaged over draws
    z from q. Given z, pixels count as normally distributed, with the mean and the variance s^2 that the reconstruction
    likelihood gives, so that

        y | z ~ N(mean, s^2 + noise^2),        E[x | y, z] = mean + s^2 / (s^2 + noise^2) (y - mean).

    A pixel clipped to black says only that its value was black or below: the likelihood is P(y <= black | z), and x has
    its mean under that condition. White is treated the same way [the censored regression of Tobin 1958]. With a linear
    decoder, a normal likelihood and no clipping, all of this is exact.

    Args:
        model: a `VAE`.
        images, noise_std, labels, value_range: as in `VAE.denoise`.
        steps: steps of the search for each posterior, at least 1; each costs as much as generating about six images.
        samples: how many images are averaged, an even number.
        seed: an integer, the seed of the draws.
        batch_size: images computed at once.
        verbose: as in `Progress`.

    Returns:
        uint8 array `(N, height, width, channels)`.
    """
    owner = f"{type(model).__name__}.denoise"
    _check(owner, noise_std, steps, samples, seed, batch_size)
    noisy, numbers = _taken_in(owner, model, images, value_range)
    count, sampler = len(noisy), model.sampler
    conditions = label_condition(owner, model.num_classes, labels, count)
    # From black to white is 1 for the user, and 2 for the networks.
    inputs = {
        "noise": np.full(count, 2.0 * noise_std, "float32"),
        "cut": np.full(count, value_range is None, "float32"),
    }
    inputs.update(conditions, images=noisy, indices=numbers)

    def slope_of_posterior(inputs):
        """Gradients of minus the bound with respect to means and log-variances, from a draw and its mirror image."""
        noise = image_noise(inputs["seeds"], inputs["indices"], model.latent_dim)
        condition = {key: inputs[key] for key in conditions}

        def cost(moments):
            mean, log_variance = ops.split(moments, 2, axis=-1)
            away = ops.exp(0.5 * log_variance) * noise
            total = 0.0
            for latents in (mean + away, mean - away):
                likelihood = _Noisy(model, latents, condition, inputs).log_likelihood()
                total = total + 0.5 * (likelihood + (sampler.log_prior(latents, condition) if sampler.prior else 0.0))
            if sampler.prior:
                return -total - 0.5 * ops.sum(log_variance, axis=-1)
            return losses.gaussian_kl(mean, log_variance) - total

        return backend.input_gradient(cost, inputs["moments"])

    def mean_images(inputs):
        """E[x | y, z], averaged over a draw and its mirror image."""
        noise = image_noise(inputs["seeds"], inputs["indices"], model.latent_dim)
        condition = {key: inputs[key] for key in conditions}
        mean, log_variance = ops.split(inputs["moments"], 2, axis=-1)
        away = ops.exp(0.5 * log_variance) * noise
        return 0.5 * sum(_Noisy(model, z, condition, inputs).mean_image() for z in (mean + away, mean - away))

    pairs = samples // 2
    progress = Progress((steps + pairs) * -(-count // batch_size), "step", verbose)
    starts = Starts(model, seed, batch_size)
    results = np.empty(noisy.shape, "uint8")
    for first in range(0, count, batch_size):
        rows = {key: value[first : first + batch_size] for key, value in inputs.items()}
        means = starts.nearest({key: rows[key] for key in ("images", *conditions)})
        drawn = np.zeros(len(means), "int32")

        def ask(function, moments, number, rows=rows, drawn=drawn):
            progress.add(1)
            given = {**rows, "moments": moments, "seeds": drawn + np.int32((seed + number) % 2**31)}
            return model.graphs.in_batches(function, given, batch_size, verbose=0)

        moments = np.concatenate([means, np.full_like(means, _LOG_VARIANCE)], axis=1)
        moments = descend(functools.partial(ask, slope_of_posterior), moments, steps)
        # New draws, because the search has adapted to its own.
        mean = sum(ask(mean_images, moments, steps + 1 + pair) for pair in range(pairs)) / pairs
        results[first : first + batch_size] = ops.convert_to_numpy(pixels.to_uint8(mean))
    return results


class _Noisy:
    """Noisy images, compared with the decoder's images of given latents."""

    def __init__(self, model, latents, condition, inputs):
        outputs = ops.cast(feed(model.average.network, "latents", latents, condition, False), "float32")
        self.mean = model.reconstruction.mean(outputs)
        self.own = model.reconstruction.variance(outputs)
        self.noisy = inputs["images"]
        self.deviation = ops.sqrt(self.own + ops.square(inputs["noise"])[:, None, None, None])
        cut = inputs["cut"][:, None, None, None] > 0.5
        self.black, self.white = (ops.logical_and(cut, end) for end in (self.noisy <= -1.0, self.noisy >= 1.0))
        # How far off, in deviations; for clipped pixels signed so that `_log_cumulative(side)` is their log-likelihood.
        self.distance = (self.noisy - self.mean) / self.deviation
        self.side = ops.where(self.white, -self.distance, self.distance)

    def log_likelihood(self):
        """Log p(y|z) in nats, `(rows,)`."""
        inside = -0.5 * ops.square(self.distance) - ops.log(self.deviation) - 0.5 * math.log(2.0 * math.pi)
        ends = ops.logical_or(self.black, self.white)
        return ops.sum(ops.where(ends, _log_cumulative(self.side), inside), axis=(1, 2, 3))

    def mean_image(self):
        """E[x | y, z]."""
        share = self.own / self.deviation
        # The mean of a normal distribution cut off at a point is off by density over probability there.
        ratio = ops.exp(-0.5 * ops.square(self.side) - 0.5 * math.log(2.0 * math.pi) - _log_cumulative(self.side))
        away = ops.where(self.black, -ratio, ops.where(self.white, ratio, self.distance))
        return self.mean + share * away


def _log_cumulative(x):
    """The logarithm of the standard normal distribution function; below -4 by its asymptotic series."""
    far = x < -4.0
    near = ops.log(0.5 * (1.0 + ops.erf(ops.where(far, 0.0, x) / math.sqrt(2.0))))
    low = ops.where(far, x, -4.0)
    square = ops.square(low)
    series = 1.0 - 1.0 / square + 3.0 / square**2 - 15.0 / square**3
    return ops.where(far, -0.5 * square - ops.log(-low) - 0.5 * math.log(2.0 * math.pi) + ops.log(series), near)


def _taken_in(owner, model, images, value_range):
    """`(noisy images as float32 with black -1 and white 1, their numbers)`."""
    if model.space.stores:
        raise ValueError(f"{owner}: denoising needs a likelihood of pixels, but this model's is of latents.")
    if value_range is None:
        found = model.image_input.range_of(images, owner)
    else:
        found = pixels.stated_range(owner, value_range)
        pixels.check_spec(owner, images, model.image_shape)
        if "float" not in keras.backend.standardize_dtype(images.dtype):
            raise TypeError(f"{owner}: value_range is only for float images; got {images.dtype}.")
    noisy = ops.convert_to_numpy(pixels.to_network(images, found))
    if not np.isfinite(noisy).all():
        raise ValueError(f"{owner}: images must be finite; some values are NaN or infinite.")
    return noisy, image_numbers(noisy)


def _check(owner, noise_std, steps, samples, seed, batch_size):
    if isinstance(noise_std, bool) or not isinstance(noise_std, numbers.Real) or not 0 < noise_std < math.inf:
        raise ValueError(f"{owner}: noise_std must be a positive number, where white is 1; got {noise_std!r}.")
    checks.integer(owner, "steps", steps)
    checks.integer(owner, "batch_size", batch_size)
    if checks.integer(owner, "samples", samples, least=2) % 2:
        raise ValueError(f"{owner}: samples must be an even number of at least 2; got {samples!r}.")
    checks.seed(owner, seed, optional=False)
