"""Pictures out, in batches with progress."""

from __future__ import annotations

import warnings

import keras
import numpy as np
from keras import ops

from kgen.models import pixels
from kgen.models.measured_model import MeasuredModel


class DrawingModel(MeasuredModel):
    """Base of the models that draw pictures like those that they train on.

    A subclass sets `image_shape`, gives `phases()` and `draw(inputs)`, and says by `trained` whether it has learned
    anything yet.

    Args:
        seed: integer or None; where training's random numbers begin.
        postprocessing: list of layers for what `generate` and the SavedModel give, in order, from pictures in [0, 1] to
            pictures in [0, 1] with as many channels, which may be larger: those of `kgen.layers` (`Upscale`, `Sharpen`,
            `Saturation`, `ColorBalance`), `keras.layers.AutoContrast(value_range=(0, 1))`, or a network of yours. They
            are saved with the model, and not trained by it; losses and measures do not see them.
        **kwargs: `name`, `dtype`.
    """

    def __init__(self, seed=None, postprocessing=(), **kwargs):
        super().__init__(seed=seed, **kwargs)
        self.postprocessing = checked_postprocessing(type(self).__name__, postprocessing)

    @property
    def trained(self):
        """Whether any training step was made."""
        raise NotImplementedError(f"{type(self).__name__} must define trained.")

    @property
    def picture_shape(self):
        """`(height, width, channels)` of what `generate` gives: `image_shape` after the post-processing."""
        shape = (None, *self.image_shape)
        for layer in self.postprocessing:
            shape = tuple(layer.compute_output_shape(shape))
        return shape[1:]

    def finished(self, images):
        """uint8 pictures of those in [-1, 1] that a network has made: after the post-processing."""
        if self.postprocessing:
            images = ops.clip(0.5 * ops.cast(images, "float32") + 0.5, 0.0, 1.0)
            for layer in self.postprocessing:
                images = layer(images, training=False)
            images = 2.0 * ops.cast(images, "float32") - 1.0
        return pixels.to_uint8(images)

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

    def get_config(self):
        layers = [keras.saving.serialize_keras_object(layer) for layer in self.postprocessing]
        return {**super().get_config(), "postprocessing": layers}


def checked_postprocessing(owner, layers):
    """A list of layers, or of their configurations, as layers that are not trained.

    Raises:
        TypeError: if it is something else.
    """
    layers = [keras.saving.deserialize_keras_object(layer) if isinstance(layer, dict) else layer for layer in layers]
    for layer in layers:
        if not isinstance(layer, keras.layers.Layer):
            raise TypeError(f"{owner}: postprocessing must be a list of layers; got {type(layer).__name__} in it.")
        layer.trainable = False
    return layers


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
