"""Finds the latents of given images by gradient descent on a generator's input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops

from kgen.inputs import pixels
from kgen.networks.interface import split_batch
from kgen.progress import Progress
from kgen.training import backend, image_noise
from kgen.types import Array

# Starting from the best of many saves most of the way, and these images are generated only once.
_CANDIDATES = 256
# At the length of random latents, this costs as much as an error of four grey levels.
_PULL = 1e-3


def invert(
    model: Any, images: Any, conditions: dict, steps: int, seed: int, batch_size: int, verbose: int | str
) -> Array:
    """Latents that minimise |G(z) - x|^2 / pixels + 0.001 |z|^2 / length, for each image x by itself.

    Adam starts at the best of 256 random latents, takes steps that shrink to zero, and the best point on the way wins
    [Zhu et al. 2016, "Generative visual manipulation on the natural image manifold"; Creswell & Bharath 2018,
    "Inverting the generator of a generative adversarial network"]. The second term keeps latents where the generator
    was trained.

    Args:
        model: a model with a `Sampler`.
        images: `NetworkImages` `(N, height, width, channels)`.
        conditions: dict of float32 arrays `(N, ...)`: what the generator needs besides latents.
        steps: steps of the descent.
        seed: seed of the random latents.
        batch_size: images computed at once.
        verbose: as in `Progress`.

    Returns:
        float32 array `(N, latent_dim)`.
    """

    def slope_of_latents(inputs):
        """Gradients, with the costs in the last column."""
        target, condition = inputs["images"], {key: inputs[key] for key in conditions}

        def cost(latents):
            drawn = ops.cast(model.sampler.synthesize(latents, condition), "float32")
            error = ops.mean(ops.square(drawn - target), axis=(1, 2, 3))
            return error + _PULL * ops.mean(ops.square(latents), axis=-1)

        slope = backend.input_gradient(cost, inputs["latents"])
        return ops.concatenate([slope, ops.expand_dims(cost(inputs["latents"]), 1)], axis=1)

    count = len(images)
    progress = Progress((steps + 1) * -(-count // batch_size), "step", verbose)
    latents = np.empty((count, model.latent_dim), "float32")
    starts = Starts(model, seed, batch_size)
    for first in range(0, count, batch_size):
        rows = slice(first, first + batch_size)
        target = ops.convert_to_numpy(model.space.encode(pixels.in_network_range(images[rows])))
        inputs = {"images": target, **{key: value[rows] for key, value in conditions.items()}}

        best = _Best(len(target), model.latent_dim)

        def slope(points, step, inputs=inputs, best=best):
            both = model.graphs.in_batches(slope_of_latents, {"latents": points, **inputs}, batch_size, verbose=0)
            best.take(points, both[:, -1])
            progress.add(1)
            return both[:, :-1]

        slope(descend(slope, starts.nearest(inputs), steps), steps)
        latents[rows] = best.points
    return latents


class _Best:
    """The best point of each row so far."""

    def __init__(self, rows, dim):
        self.points, self.costs = np.empty((rows, dim), "float32"), np.full(rows, np.inf)

    def take(self, points, costs):
        better = costs < self.costs
        self.points = np.where(better[:, None], points, self.points)
        self.costs = np.where(better, costs, self.costs)


class Starts:
    """Random latents, and their images under each condition that came up."""

    def __init__(self, model, seed, batch_size):
        self.model = model
        self.batch_size = batch_size
        seeds, indices = np.full(_CANDIDATES, seed, "int32"), np.arange(_CANDIDATES, dtype="int32")
        self.latents = ops.convert_to_numpy(image_noise(seeds, indices, model.latent_dim))
        self.images = {}

    def nearest(self, inputs):
        """For each image the random latents whose image is nearest to it."""
        images, others = split_batch(inputs)
        images = images.reshape((len(images), -1))
        result = np.empty((len(images), self.latents.shape[1]), "float32")
        for row, image in enumerate(images):
            condition = {key: value[row] for key, value in others.items()}
            images, squares = self._of(condition)
            result[row] = self.latents[np.argmin(squares - 2.0 * images @ image)]
        return result

    def _of(self, condition):
        key = tuple(value.tobytes() for value in condition.values())
        if key not in self.images:
            many = {name: np.repeat(value[None], _CANDIDATES, axis=0) for name, value in condition.items()}
            drawn = self.model.graphs.in_batches(
                self.model.sampler.made, {"latents": self.latents, **many}, self.batch_size, verbose=0
            )
            images = drawn.reshape((_CANDIDATES, -1))
            self.images[key] = images, np.sum(np.square(images), axis=1)
        return self.images[key]


def descend(slope: Callable[[Array, int], Array], points: Array, steps: int, rate: float = 0.1) -> Array:
    """Adam [Kingma & Ba 2015], with a learning rate that falls to zero along a cosine.

    Args:
        slope: function from points `(rows, dim)` and the number of the step, from 0, to gradients of the same shape.
        points: where to start.
        steps: number of steps.
        rate: the first learning rate.

    Returns:
        The last points.
    """
    mean, square = np.zeros_like(points), np.zeros_like(points)
    for step in range(steps):
        gradient = slope(points, step)
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        size = np.sqrt(square / (1.0 - 0.999 ** (step + 1))) + 1e-8
        falling = 0.5 * rate * (1.0 + np.cos(np.pi * step / steps))
        points = (points - falling * mean / (1.0 - 0.9 ** (step + 1)) / size).astype("float32")
    return points
