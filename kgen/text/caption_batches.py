"""Batches of pictures with the features, or the tokens, of their captions."""

from __future__ import annotations

import copy

import keras
import numpy as np

from kgen.text.prompt_cleaning import clean_prompts


class CaptionTokens:
    """The tokens of captions, for a text encoder that is trained: what `CaptionFeatures` is for a frozen one.

    Args:
        encoder: a `TextEncoder`.
        captions: list of strings; duplicates are free.

    Example:

    ```python
    tokens = kgen.text.CaptionTokens(encoder, ["a cat", "a dog"])
    tokens.gather(tokens.index(["a dog"]))["token_ids"].shape        # (1, 32)
    ```
    """

    def __init__(self, encoder, captions):
        self.encoder = encoder
        self._rows = {}
        self._tokens = None
        self.extend(captions)

    def extend(self, captions):
        """Adds captions; those that are known already keep their rows."""
        captions = dict.fromkeys(clean_prompts(captions, "CaptionTokens"))
        new = [caption for caption in captions if caption not in self._rows]
        if new:
            tokens = self.encoder.tokenize(new)
            known = self._tokens or {name: values[:0] for name, values in tokens.items()}
            self._tokens = {name: np.concatenate([known[name], tokens[name]]) for name in tokens}
            self._rows.update(zip(new, range(len(self._rows), len(self._rows) + len(new))))

    def index(self, captions):
        """The row of each caption, as an int32 array."""
        return np.array([self._rows[caption] for caption in clean_prompts(captions, "CaptionTokens")], "int32")

    def gather(self, rows):
        """The tokens of rows, a dict of int32 arrays `(rows, sequence_length)`."""
        return {name: values[rows] for name, values in self._tokens.items()}


class CaptionBatches(keras.utils.PyDataset):
    """Batches `{"images", **features}`: each epoch every picture once, with one of its captions.

    Order and choice of captions follow from the seed and the number of the epoch alone, which is counted by the steps
    that the model has made: training that is resumed sees what it would have seen.

    Args:
        images: array `(N, H, W, C)`; may be a memory map.
        captions: list of N lists of strings.
        table: `CaptionFeatures` or `CaptionTokens` that knows them.
        batch_size: pictures a batch; the last one of an epoch may be smaller.
        shuffle: whether to shuffle, and to choose among a picture's captions; else the first one counts.
        seed: integer.
        steps_done: function that gives the number of training steps made so far.

    Example:

    ```python
    batches = kgen.text.CaptionBatches(images, captions, features, batch_size=32)
    batches[0]["tokens"].shape
    ```
    """

    def __init__(self, images, captions, table, batch_size=32, shuffle=True, seed=0, steps_done=lambda: 0):
        super().__init__()
        self.images = images
        self.table = table
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.steps_done = steps_done
        counts = np.array([len(each) for each in captions])
        self.first_row = np.concatenate([[0], np.cumsum(counts)[:-1]])
        self.counts = counts
        self.rows = table.index([caption for each in captions for caption in each])
        self.on_epoch_begin()

    def beside(self, others, at, batch_size, shuffle, seed=0, steps_done=lambda: 0):
        """Batches of the captions of the pictures numbered `at`, with rows of an array `others` in their place."""
        batches = copy.copy(self)
        batches.images, batches.first_row, batches.counts = others, self.first_row[at], self.counts[at]
        batches.batch_size, batches.shuffle, batches.seed, batches.steps_done = batch_size, shuffle, seed, steps_done
        batches.on_epoch_begin()
        return batches

    def __len__(self):
        return -(-len(self.images) // self.batch_size)

    def on_epoch_begin(self):
        """Chooses the order of the epoch that begins."""
        self.order = np.arange(len(self.images))
        chosen = np.zeros(len(self.images), int)
        if self.shuffle:
            random = np.random.default_rng([self.seed, self.steps_done() // len(self)])
            self.order = random.permutation(self.order)
            chosen = random.integers(self.counts)
        self.chosen = self.rows[self.first_row + chosen]

    def __getitem__(self, index):
        at = np.sort(self.order[index * self.batch_size : (index + 1) * self.batch_size])
        return {"images": np.asarray(self.images[at]), **addable(self.table.gather(self.chosen[at]))}


def addable(features):
    """Features with numbers for truth values: under `tf.distribute` Keras averages a first batch over replicas."""
    return {name: values.astype("int32") if values.dtype == bool else values for name, values in features.items()}


def attach_features(dataset, table):
    """A `tf.data.Dataset` of batches `{"images", "captions"}` with captions replaced by what the table has of them."""
    import tensorflow as tf

    sample = addable(table.gather(np.zeros(1, "int32")))
    names = list(sample)

    def gather(captions):
        captions = [caption.decode("utf-8") for caption in captions]
        # A dataset may draw another of a picture's captions each epoch.
        table.extend(captions)
        features = addable(table.gather(table.index(captions)))
        return [features[name] for name in names]

    def attach(batch):
        values = tf.numpy_function(gather, [batch["captions"]], [sample[name].dtype for name in names])
        for name, value in zip(names, values):
            value.set_shape([batch["captions"].shape[0], *sample[name].shape[1:]])
        return {"images": batch["images"], **dict(zip(names, values))}

    return dataset.map(attach).prefetch(tf.data.AUTOTUNE)
