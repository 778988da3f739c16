"""Batches of images with their captions, as features or as tokens for a network to read."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import keras
import numpy as np

from kgen import checks
from kgen.text.caption_features import CaptionFeatures
from kgen.text.prompt_cleaner import clean_prompts
from kgen.text.text_encoder import TextEncoder
from kgen.types import Array

if TYPE_CHECKING:
    import tensorflow as tf


class CaptionTokens:
    """The tokens of each distinct caption of a data set, for a trainable text encoder.

    Args:
        encoder: a `TextEncoder`.
        captions: list of strings; duplicates cost nothing.

    Example:

    ```python
    tokens = kgen.text.CaptionTokens(encoder, ["a cat", "a dog"])
    tokens.gather(tokens.index(["a dog"]))["token_ids"].shape        # (1, 32)
    ```
    """

    def __init__(self, encoder: TextEncoder, captions: Sequence[str]):
        self.encoder = encoder
        self._rows: dict[str, int] = {}
        self._tokens: dict[str, Array] = {}
        self.extend(captions)

    @property
    def vocabulary(self) -> list[str]:
        """The captions, in the order of their rows."""
        return list(self._rows)

    def extend(self, captions: Sequence[str]) -> None:
        """Adds captions; known ones keep their rows."""
        different = dict.fromkeys(clean_prompts(captions, "CaptionTokens"))
        new = [caption for caption in different if caption not in self._rows]
        if new:
            tokens = self.encoder.tokenize(new)
            known = self._tokens or {name: values[:0] for name, values in tokens.items()}
            self._tokens = {name: np.concatenate([known[name], tokens[name]]) for name in tokens}
            self._rows.update(zip(new, range(len(self._rows), len(self._rows) + len(new))))

    def index(self, captions: Sequence[str]) -> Array:
        """The row of each caption, as an int32 array."""
        return np.array([self._rows[caption] for caption in clean_prompts(captions, "CaptionTokens")], "int32")

    def gather(self, rows: Array) -> dict[str, Array]:
        """The tokens of rows, a dict of int32 arrays `(rows, sequence_length)`."""
        return {name: values[rows] for name, values in self._tokens.items()}


class CaptionBatches(keras.utils.PyDataset):
    """Batches `{"images", **features}`; in each epoch every image once, with one of its captions.

    Order and captions depend only on the seed and the number of the epoch, which follows from the steps that the model
    has made, so resumed training sees the same batches.

    Args:
        images: array `(N, H, W, C)`; may be a memory map.
        captions: list of N lists of strings.
        table: `CaptionFeatures` or `CaptionTokens` that knows them.
        batch_size: images per batch; the last one of an epoch may be smaller.
        shuffle: whether to shuffle, and to draw among an image's captions; else its first one is taken.
        seed: integer.
        steps_done: function that gives the number of training steps made so far.

    Example:

    ```python
    batches = kgen.text.CaptionBatches(images, captions, features, batch_size=32)
    batches[0]["tokens"].shape      # (32, 32, 384)
    ```
    """

    def __init__(
        self,
        images: Array,
        captions: Sequence[Sequence[str]],
        table: CaptionFeatures | CaptionTokens,
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int = 0,
        steps_done: Callable[[], int] = lambda: 0,
    ):
        super().__init__()
        self.images = images
        self.table = table
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.steps_done = steps_done
        # How many of the model's steps belong to the epoch that begins: not 0 when a training resumes.
        self.steps_into_epoch = 0
        counts = np.array([len(each) for each in captions])
        self.first_row = np.concatenate([[0], np.cumsum(counts)[:-1]])
        self.counts = counts
        self.rows = table.index([caption for each in captions for caption in each])
        self.on_epoch_begin()

    def beside(
        self,
        others: Array,
        at: Array | Sequence[int] | slice,
        batch_size: int,
        shuffle: bool,
        seed: int = 0,
        steps_done: Callable[[], int] = lambda: 0,
    ) -> CaptionBatches:
        """Batches with the captions of images number `at`, and with the rows of an array `others` as images."""
        batches = copy.copy(self)
        batches.images, batches.first_row, batches.counts = others, self.first_row[at], self.counts[at]
        batches.batch_size, batches.shuffle, batches.seed, batches.steps_done = batch_size, shuffle, seed, steps_done
        batches.on_epoch_begin()
        return batches

    def split(self, owner: str, share: float) -> tuple[CaptionBatches, CaptionBatches]:
        """Splits off a share of the images, the last ones, in their order: `validation_split`.

        Raises:
            ValueError: if one of the two would have no image; errors begin with `owner`.
        """
        count = len(self.images)
        share = checks.number(owner, "validation_split", share, least=0.0, below=1.0)
        kept = int(count * (1.0 - share))
        if not 0 < kept < count:
            raise ValueError(f"{owner}: validation_split={share:g} of {count} images leaves none on one side.")
        options = self.batch_size, self.shuffle, self.seed, self.steps_done
        train = self.beside(self.images[:kept], slice(kept), *options)
        return train, self.beside(self.images[kept:], slice(kept, None), self.batch_size, shuffle=False)

    def __len__(self) -> int:
        return -(-len(self.images) // self.batch_size)

    def on_epoch_begin(self) -> None:
        """Draws the order and the captions of the epoch that begins."""
        self.order = np.arange(len(self.images))
        chosen = np.zeros(len(self.images), int)
        if self.shuffle:
            random = np.random.default_rng([self.seed, (self.steps_done() - self.steps_into_epoch) // len(self)])
            self.order = random.permutation(self.order)
            chosen = random.integers(self.counts)
        self.chosen = self.rows[self.first_row + chosen]

    def __getitem__(self, index: int) -> dict[str, Array]:
        at = np.sort(self.order[index * self.batch_size : (index + 1) * self.batch_size])
        return {"images": np.asarray(self.images[at]), **self.table.gather(self.chosen[at])}


def attach_features(dataset: tf.data.Dataset, table: CaptionFeatures | CaptionTokens) -> tf.data.Dataset:
    """Replaces the captions in a `tf.data.Dataset` of batches `{"images", "captions"}` by a table's features.

    Args:
        dataset: batches of images and `tf.string` captions.
        table: `CaptionFeatures` or `CaptionTokens`; captions that it does not know are added.

    Example:

    ```python
    dataset = kgen.text.attach_features(data.as_dataset(32), features)
    ```
    """
    import tensorflow as tf

    sample = table.gather(np.zeros(1, "int32"))
    names = list(sample)

    def gather(captions):
        captions = [caption.decode("utf-8") for caption in captions]
        # A dataset may draw a different caption of an image in each epoch.
        table.extend(captions)
        features = table.gather(table.index(captions))
        return [features[name] for name in names]

    def attach(batch):
        values = tf.numpy_function(gather, [batch["captions"]], [sample[name].dtype for name in names])
        for name, value in zip(names, values):
            value.set_shape([batch["captions"].shape[0], *sample[name].shape[1:]])
        return {"images": batch["images"], **dict(zip(names, values))}

    return dataset.map(attach).prefetch(tf.data.AUTOTUNE)
