"""Bounds of log p(x) from draws of q(z|x), for many pictures and many draws, in little memory."""

from __future__ import annotations

import zlib

import numpy as np
from keras import ops

from kgen.models import pixels

# Of draws whose weights are kept at once: memory grows neither with the pictures nor with the draws.
_HELD = 2**14
# Of pictures that are converted at once to be numbered.
_BLOCK = 256
# An odd constant near 2^32 / golden ratio keeps the draws of neighbouring seeds apart.
_SPREAD = 2654435769


def importance_bounds(model, inputs, samples, batch_size, progress=None):
    """Two bounds for each picture: the importance-weighted one of all draws, and the mean ELBO.

    Args:
        model: has `bounds(inputs)`, as of `LikelihoodModel`, and `in_batches`.
        inputs: dict of arrays `(N, ...)`, with `images`, `seeds`, `indices`.
        samples: draws from q(z|x) for each picture.
        batch_size: draws computed at once.
        progress: a `keras.utils.Progbar` to count pictures on, or None.

    Returns:
        float64 array `(N, 2)`, in nats.
    """
    count = len(inputs["images"])
    at_once = max(1, _HELD // samples)
    results = np.empty((count, 2))
    for start in range(0, count, at_once):
        block = {key: value[start : start + at_once] for key, value in inputs.items()}
        size = len(block["images"])
        block = {key: _Repeated(value, samples) for key, value in block.items()}
        block["seeds"] = _seeds_of_draws(block["seeds"][:], samples)
        both = model.in_batches(model.bounds, block, batch_size, verbose=0).astype("float64").reshape(size, samples, 2)
        results[start : start + size, 0] = np.logaddexp.reduce(both[..., 0], axis=1) - np.log(samples)
        results[start : start + size, 1] = both[..., 1].mean(axis=1)
        if progress:
            progress.add(size)
    return results


def picture_numbers(images, pixel_range):
    """int32 `(N,)`: a number that belongs to a picture, whatever others come with it and in whatever range."""
    numbers = []
    for start in range(0, len(images), _BLOCK):
        block = ops.convert_to_numpy(images[start : start + _BLOCK])
        if block.dtype != "uint8":
            block = ops.convert_to_numpy(pixels.to_uint8(pixels.to_network(block, pixel_range)))
        numbers += [zlib.crc32(np.ascontiguousarray(image).data) for image in block]
    return np.array(numbers, "uint32").view("int32")


def _seeds_of_draws(seeds, samples):
    # Wraps around in 32 bits, where each pair of a seed and the number of a draw comes out elsewhere.
    spread = seeds.astype("uint32") * np.uint32(_SPREAD) + np.tile(
        np.arange(samples, dtype="uint32"), len(seeds) // samples
    )
    return spread.view("int32")


class Draws:
    """Draws from normal distributions, one after the other, out of noise `(rows, all of their numbers)`.

    In place of `GaussianSampling` where the noise is not to come from a generator with a state.
    """

    def __init__(self, noise):
        self.noise = noise
        self.used = 0

    def __call__(self, mean, log_variance):
        size = int(np.prod(mean.shape[1:]))
        noise = self.noise[:, self.used : self.used + size]
        self.used += size
        return mean + ops.exp(0.5 * log_variance) * ops.reshape(noise, (-1, *mean.shape[1:]))


class _Repeated:
    """Each row of an array several times in a row, made only where it is looked at."""

    def __init__(self, array, times):
        self.array, self.times = array, times

    def __len__(self):
        return len(self.array) * self.times

    def __getitem__(self, rows):
        return self.array[np.arange(*rows.indices(len(self))) // self.times]
