"""Pictures out, in batches with progress."""

from __future__ import annotations

import warnings

import numpy as np

from kgen.models.measured_model import MeasuredModel


class DrawingModel(MeasuredModel):
    """Base of the models that draw pictures like those that they train on.

    A subclass sets `image_shape`, gives `phases()` and `draw(inputs)`, and says by `trained` whether it has learned
    anything yet.

    Args:
        seed: integer or None; where training's random numbers begin.
        **kwargs: `name`, `dtype`.
    """

    @property
    def trained(self):
        """Whether any training step was made."""
        raise NotImplementedError(f"{type(self).__name__} must define trained.")

    def draw(self, inputs):
        """uint8 images from a dict of tensors `(N, ...)`: the graph of `generate` and of the exported model."""
        raise NotImplementedError(f"{type(self).__name__} must define draw().")

    def generate_from(self, inputs, batch_size=64, verbose="auto"):
        """`draw` over a dict of long numpy arrays, in batches, compiled once, with progress.

        Args:
            inputs: dict of arrays of one length N.
            batch_size: pictures computed at once.
            verbose: 0: silent; 1: progress bar; "auto": a bar on long work.

        Returns:
            uint8 array `(N, height, width, channels)`.
        """
        if not self.trained:
            warnings.warn(f"{type(self).__name__} has not been trained: expect noise.", stacklevel=3)
        return self.in_batches(self.draw, inputs, batch_size, verbose)


def seeds_and_indices(owner, seed, count, images_each=1):
    """int32 seeds and indices of `count * images_each` pictures, from the `seed` argument of `generate`.

    One integer: pictures are numbered through under it. A list: each seed has pictures 0 .. images_each - 1 of its own.
    """
    total = count * images_each
    if seed is None:
        seed = int(np.random.randint(2**31))
    if isinstance(seed, (list, tuple, np.ndarray)):
        if len(seed) != count:
            raise ValueError(f"{owner}.generate: give one seed, or one each for the {count}; got {len(seed)} seeds.")
        seeds, indices = np.repeat(np.asarray(seed), images_each), np.tile(np.arange(images_each), count)
    else:
        seeds, indices = np.repeat(np.asarray(seed), total), np.arange(total)
    if not np.issubdtype(seeds.dtype, np.integer) or (seeds >= 2**31).any() or (seeds <= -(2**31)).any():
        raise ValueError(f"{owner}.generate: a seed is an integer below 2**31; got {seed!r}.")
    return seeds.astype("int32"), indices.astype("int32")
