"""Trains only the prior of code words, after training."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from kgen import checks
from kgen.inputs import pixels
from kgen.networks.interface import feed, split_batch
from kgen.progress import Progress
from kgen.training import network_copy
from kgen.types import Array, ValueRange, Verbose

_BATCH = 256
# Noise on pooled features, in deviations of each, so that the prior reads captions similar to the seen ones alike.
_FEATURE_NOISE = 0.15
# The largest share of words hidden from the later ones; each caption draws its own. So the prior reads what a caption
# says from the caption. Guessed from the words before, it would be wrong for captions of unusual pairs.
_HIDDEN = 0.6


def fit_code_prior(
    model: Any,
    x: Any,
    y: Any,
    steps: int,
    seed: int,
    batch_size: int = 64,
    caption_cache: Any = None,
    verbose: Verbose = "auto",
    value_range: ValueRange = None,
) -> float:
    """Trains only the prior of a `TextToImage` with code words; nothing else changes. See `TextToImage.fit_prior`.

    It encodes each image once, and finds its words once for each of its captions: a step runs only the prior.

    Args:
        model: the `TextToImage`; its `codes` learn.
        x, y: captioned images.
        steps: steps of 256 captions each.
        seed: an integer, the seed of the order and of the draws.
        batch_size: images encoded at once.
        caption_cache, verbose, value_range: as in `fit_prior`.

    Returns:
        By how many nats per image the words have become more likely.
    """
    owner = f"{type(model).__name__}.fit_prior"
    steps = checks.integer(owner, "steps", steps)
    seed = checks.integer(owner, "seed", seed, least=None)
    options = caption_cache, value_range, verbose
    batches, found_range = model.image_input.opened_arrays(owner, x, y, batch_size, *options)
    logits, pooled = _found(model, batches, batch_size, found_range)
    codes, network = model.codes, network_copy(model.codes.network)
    rate = keras.optimizers.schedules.CosineDecay(2e-3, steps)
    network.compile(keras.optimizers.Adam(rate), keras.losses.CategoricalCrossentropy(from_logits=True))
    logits = logits.reshape((len(logits), codes.words, codes.values))
    learned = _Draws(logits, pooled, steps, seed % 2**32, _FEATURE_NOISE, _HIDDEN)
    measured = _Draws(logits, pooled, min(steps, learned.in_a_pass), seed % 2**32)
    progress = Progress(steps, "step", verbose)

    def surprise():
        return codes.words * network.evaluate(measured, verbose=0)

    def report(step, logs):
        progress.add(1, [("surprise", codes.words * logs["loss"])])

    before = surprise()
    # `_Draws` shuffles: Keras would shuffle the batches too, with Python's own random numbers.
    reports = [keras.callbacks.LambdaCallback(on_train_batch_end=report)]
    network.fit(learned, shuffle=False, callbacks=reports, verbose=0)
    for part in (codes.network, codes.average.network):
        part.set_weights(network.get_weights())
    return float(before - surprise())


def _found(model, batches, batch_size, value_range):
    """`(logits of q, pooled features)` of each caption with its image, two arrays."""

    def words_of_captions(inputs):
        """The logits of all words, and the features that the prior reads, side by side."""
        images, features = split_batch(inputs)
        condition = model.condition(features)
        logits = ops.cast(feed(model.encoder, "images", images, condition, False), "float32")
        return ops.concatenate([logits, ops.cast(condition["pooled"], "float32")], axis=-1)

    seen = seen_images(model, batches.images, batch_size, value_range)
    image_of, found = np.repeat(np.arange(len(seen)), batches.counts), []
    for start in range(0, len(image_of), _BATCH):
        some = slice(start, start + _BATCH)
        inputs = {"images": seen[image_of[some]], **batches.table.gather(batches.rows[some])}
        found.append(model.graphs.in_batches(words_of_captions, inputs, _BATCH, verbose=0))
    return np.split(np.concatenate(found), [model.latent_dim], axis=1)


def seen_images(model: Any, images: Array, batch_size: int, value_range: Any) -> Array:
    """Many images as the networks of a model see them: encoded into its space, from the value range that was found."""

    def encoded(inputs):
        return model.space.encode(pixels.in_network_range(inputs["images"]))

    return model.graphs.in_batches(
        encoded, {"images": pixels.NetworkImages(images, value_range)}, batch_size, verbose=0
    )


class _Draws(keras.utils.PyDataset):
    """Batches of words drawn from q, with the features of their captions; each caption comes once per pass.

    The `noise` on the features and the share of `hidden` words are for learning, not for measuring.
    """

    def __init__(self, logits: Array, pooled: Array, steps: int, seed: int, noise: float = 0.0, hidden: float = 0.0):
        super().__init__()
        self.logits, self.pooled, self.seed = logits, pooled, seed
        self.noise, self.hidden = noise * pooled.std(axis=0), hidden
        self.in_a_pass = -(-len(logits) // _BATCH)
        self.steps = steps
        self.order: tuple[int, Any] = (-1, None)

    def __len__(self):
        return self.steps

    def __getitem__(self, index):
        number, at = divmod(index, self.in_a_pass)
        if self.order[0] != number:
            self.order = number, np.random.default_rng([self.seed, number]).permutation(len(self.logits))
        rows = self.order[1][at * _BATCH : (at + 1) * _BATCH]
        random = np.random.default_rng([self.seed, number, at])
        logits = self.logits[rows]
        values = np.argmax(logits + random.gumbel(size=logits.shape), axis=-1)
        codes = np.eye(logits.shape[-1], dtype="float32")[values]
        shown = random.random(values.shape) >= self.hidden * random.random((len(rows), 1))
        pooled = self.pooled[rows] + self.noise * random.normal(size=(len(rows), len(self.noise)))
        return {"codes": codes * shown[..., None], "pooled": pooled.astype("float32")}, codes
