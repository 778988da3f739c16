"""Gives new meanings to the least useful code words."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from kgen import checks
from kgen.networks.interface import feed, split_batch
from kgen.sampling.fit_code_prior import seen_images
from kgen.sampling.k_means import k_means
from kgen.training import Phase, PhasedModel
from kgen.types import ValueRange, Verbose

# More images would not improve the clusters, and the error of each is kept in memory.
_MOST_IMAGES = 10_000
_BATCH = 64


def renew_code_words(
    model: Any,
    x: Any,
    y: Any = None,
    words: int = 4,
    steps: int = 800,
    seed: int = 0,
    batch_size: int = 64,
    caption_cache: Any = None,
    verbose: Verbose = "auto",
    value_range: ValueRange = None,
) -> float:
    """Gives the least useful code words a new meaning: kinds of errors in the model's reconstructions.

    Training finds words for large things, such as hair, and often several words for the same. Small parts, such as
    mouths, then become the mean of all kinds, and no gradient leads away from that. This function takes the errors of
    the model's reconstructions and sorts them into kinds by k-means, one word after the other, each on what the words
    before leave unexplained [residual vector quantization: Juang and Gray 1982, "Multiple stage vector quantization for
    speech coding"]. It then teaches the encoder these words. Call `fit` again afterwards: the generator must learn what
    the new words mean, and the prior when to use them.

    Args:
        model: a `TextToImage` with `codes` that has trained for a while.
        x, y: captioned images as in `fit`, but no `tf.data.Dataset`.
        words: how many words get a new meaning.
        steps: encoder steps of 64 images each, rounded to whole epochs.
        seed: an integer, the seed of the captions and the clusters.
        batch_size: images encoded at once.
        caption_cache, verbose, value_range: as in `TextToImage.fit_prior`.

    Returns:
        The share of the squared error that the kinds explain, in [0, 1].

    Raises:
        ValueError: for a model without codes, or numbers out of range.

    Example:

    ```python
    model = kgen.models.TextToImage(encoder, (128, 128, 3), codes=(24, 8))
    model.compile()
    model.fit(data, epochs=20)
    kgen.sampling.renew_code_words(model, data)
    model.fit(data, epochs=10)
    ```
    """
    owner = "renew_code_words"
    codes = getattr(model, "codes", None)
    if codes is None:
        raise ValueError(f"{owner}: the model must be a TextToImage with codes; this {type(model).__name__} has none.")
    words = checks.integer(owner, "words", words, most=codes.words)
    steps = checks.integer(owner, "steps", steps)
    random = np.random.default_rng(checks.integer(owner, "seed", seed, least=None) % 2**32)
    options = caption_cache, value_range, verbose
    batches, found_range = model.image_input.opened_arrays(owner, x, y, batch_size, *options)
    rows = np.sort(random.permutation(len(batches.counts))[:_MOST_IMAGES])
    captions = batches.rows[batches.first_row[rows] + random.integers(batches.counts[rows])]
    seen = seen_images(model, batches.images[rows], batch_size, found_range)
    batch = {"images": seen, **batches.table.gather(captions)}
    logits, divergence, missing = _looked_at(model, batch, batch_size)

    weakest = np.argsort(divergence.mean(axis=0), kind="stable")[:words]
    targets = np.exp(logits - logits.max(axis=-1, keepdims=True))
    targets /= targets.sum(axis=-1, keepdims=True)
    before = float(np.sum(missing**2, dtype="float64"))
    for word in weakest:
        kinds, means = k_means(missing, codes.values, random)
        missing -= means[kinds]
        targets[:, word] = np.eye(codes.values, dtype="float32")[kinds]
    learner = _Learner(model)
    learner.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(2e-3, steps), global_clipnorm=1.0))
    in_an_epoch = -(-len(rows) // _BATCH)
    epochs, shown = max(1, round(steps / in_an_epoch)), 0 if verbose == 0 else 2
    learner.fit({**batch, "targets": targets}, batch_size=_BATCH, epochs=epochs, verbose=shown)
    return 1.0 - float(np.sum(missing**2, dtype="float64")) / before


def _looked_at(model, batch, batch_size):
    """For each image the logits of its words `(n, K, V)`, their divergences `(n, K)`, and the reconstruction error."""
    codes = model.codes

    def look(inputs):
        images, features = split_batch(inputs)
        condition = model.condition(features)
        logits = ops.cast(feed(model.encoder, "images", images, condition, False), "float32")
        likeliest = codes.likeliest(logits)
        divergence = codes.divergence(logits, likeliest, condition, False)
        outputs = ops.cast(feed(model.average.network, "latents", likeliest, condition, False), "float32")
        missing = images - model.space.location(model.reconstruction, outputs)
        return ops.concatenate([logits, divergence, ops.reshape(missing, (ops.shape(images)[0], -1))], axis=-1)

    found = model.graphs.in_batches(look, batch, batch_size, verbose=0)
    logits, divergence, missing = np.split(found, np.cumsum([model.latent_dim, codes.words]), axis=1)
    return logits.reshape((-1, codes.words, codes.values)), divergence, missing


class _Learner(PhasedModel):
    """Trains a model's encoder on given words."""

    def __init__(self, model):
        super().__init__(seed=0)
        self.encoder = model.encoder
        # Hidden in a function, or Keras would track the model as a layer of this one.
        self.model = lambda: model
        self.built = True

    def phases(self):
        return [Phase("encoder", self.surprise, self.encoder.trainable_variables)]

    def surprise(self, batch, training):
        """The cross-entropy of the words of each image, in nats."""
        model, targets = self.model(), batch["targets"]
        images, features = split_batch({name: value for name, value in batch.items() if name != "targets"})
        logits = feed(self.encoder, "images", images, model.condition(features), training)
        by_word = ops.log_softmax(ops.reshape(ops.cast(logits, "float32"), ops.shape(targets)), axis=-1)
        return -ops.sum(targets * by_word, axis=(1, 2))
