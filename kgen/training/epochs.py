"""The data of a training, epoch by epoch, starting at any step of any epoch.

Keras' `fit` reads data from the start, in an order drawn from global random numbers. A resumed training needs the data
from its own position on, in the order they would have had without the interruption.
"""

from __future__ import annotations

import hashlib
from typing import Any

import keras
import numpy as np
from keras import ops


def epochs_of(
    owner: str,
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    batch_size: int | None = None,
    shuffle: bool = True,
    steps_per_epoch: int | None = None,
    seed: int = 0,
) -> Any:
    """The data of `keras.Model.fit`, in a form that can start anywhere.

    Args:
        owner: how error messages begin.
        x, y, sample_weight, batch_size, shuffle, steps_per_epoch: as in `keras.Model.fit`.
        seed: integer. The order of arrays, and of the batches of a `keras.utils.PyDataset`, depends only on it and the
            epoch number.

    Returns:
        An object with `steps`, the number of batches in an epoch, or None if unknown; `first()`, the first batch, or
        None if it cannot be read in advance; and `begin(epoch, step)`, the arguments of `keras.Model.fit` for the data
        from there on: the rest of that epoch if `step` is not 0, else that epoch and all that follow.

    Raises:
        ValueError: if it is unknown where an epoch of the data ends, or for arguments that do not fit the data.

    Example:

    ```python
    epochs = epochs_of("fit", np.arange(10), batch_size=4, seed=1)
    epochs.begin(2, 1)["x"][0]       # the second batch of the third epoch
    ```
    """
    if not isinstance(shuffle, bool):
        raise ValueError(f"{owner}: shuffle must be True or False; got {shuffle!r}.")
    arrays = not hasattr(x, "element_spec") and all(hasattr(each, "shape") for each in keras.tree.flatten(x))
    batches = isinstance(x, keras.utils.PyDataset)
    if steps_per_epoch is not None and (arrays or batches and x.num_batches is not None):
        raise ValueError(f"{owner}: these data have one step per batch; leave out steps_per_epoch.")
    if not arrays and (y is not None or sample_weight is not None):
        raise ValueError(
            f"{owner}: a {type(x).__name__} provides targets and weights itself; leave out y, sample_weight."
        )
    if arrays:
        data = keras.tree.map_structure(_on_host, keras.utils.pack_x_y_sample_weight(x, y, sample_weight))
        return _Arrays(data, batch_size or 32, seed if shuffle else None)
    if hasattr(x, "element_spec"):
        return _Dataset(owner, x, steps_per_epoch)
    steps = steps_per_epoch or (x.num_batches if batches else _length(x))
    if steps is None:
        raise ValueError(f"{owner}: the length of an epoch of a {type(x).__name__} is unknown; give steps_per_epoch.")
    return _Batches(x, steps, seed if shuffle else None) if batches else _Drawn(owner, x, steps)


def fingerprint(batch: Any) -> str:
    """A hash of a batch, to recognize the data by."""
    digest = hashlib.blake2b(digest_size=16)
    for array in map(_on_host, keras.tree.flatten(batch)):
        if array is not None:
            digest.update(f"{array.dtype} {array.shape}".encode())
            digest.update(repr(array.tolist()).encode() if array.dtype == object else array.tobytes())
    return digest.hexdigest()


class _Dataset:
    """A `tf.data.Dataset`, which can skip batches itself."""

    def __init__(self, owner, dataset, steps_per_epoch):
        if not hasattr(dataset, "skip"):
            raise ValueError(f"{owner}: a {type(dataset).__name__} cannot skip batches; give a tf.data.Dataset.")
        self.dataset = dataset
        self.steps_per_epoch = steps_per_epoch
        count = int(dataset.cardinality())
        self.steps = steps_per_epoch or (count if count >= 0 else None)

    def first(self):
        return next(iter(self.dataset.take(1)))

    def begin(self, epoch, step):
        each = self.steps_per_epoch
        # With steps_per_epoch an epoch starts where the previous one ended.
        done = step if each is None else epoch * each + step
        left = None if each is None else each - step
        return {"x": self.dataset.skip(done) if done else self.dataset, "shuffle": False, "steps_per_epoch": left}


class _Epochs(keras.utils.PyDataset):
    """Batches that know their epoch number, and may skip the first batches of the epoch they start with."""

    def __init__(self, steps, seed, **workers):
        super().__init__(**workers)
        self.steps = steps
        self.seed = seed
        self.epoch = self.left_out = 0
        self.within = False

    def begin(self, epoch, step):
        self.go_to(epoch)
        self.left_out = step
        self.start_epoch()
        return {"x": self, "shuffle": False}

    def __len__(self):
        return self.steps - self.left_out

    def on_epoch_begin(self):
        self.within = True
        self.start_epoch()

    def on_epoch_end(self):
        # Keras also calls this once before the first epoch.
        if self.within:
            self.within = False
            self.end_epoch()
            self.epoch += 1

    def go_to(self, epoch):
        """Skips whole epochs."""
        self.epoch = epoch

    def start_epoch(self):
        """Called at least once before the batches of an epoch are read."""

    def end_epoch(self):
        """Called once after an epoch."""


class _Arrays(_Epochs):
    """Batches of rows of arrays."""

    def __init__(self, data, batch_size, seed):
        self.data = data
        self.batch_size = batch_size
        self.count = len(keras.tree.flatten(data)[0])
        super().__init__(-(-self.count // batch_size), seed)

    def first(self):
        return self._rows(slice(self.batch_size))

    def start_epoch(self):
        self.order = _order(self.seed, self.epoch, self.count)

    def __getitem__(self, index):
        start = (index + self.left_out) * self.batch_size
        # Sorted, so that arrays in a file are read in file order.
        return self._rows(np.sort(self.order[start : start + self.batch_size]))

    def _rows(self, rows):
        return keras.tree.map_structure(lambda each: None if each is None else np.asarray(each[rows]), self.data)


class _Batches(_Epochs):
    """The batches of another `PyDataset`, whose hooks are called as if no epoch had been skipped."""

    def __init__(self, batches, steps, seed):
        workers = {name: getattr(batches, name) for name in ("workers", "use_multiprocessing", "max_queue_size")}
        self.batches = batches
        self.endless = batches.num_batches is None
        super().__init__(steps, None if self.endless else seed, **workers)

    def first(self):
        return self.batches[0]

    def go_to(self, epoch):
        while self.epoch < epoch:
            self.on_epoch_begin()
            self.on_epoch_end()

    def start_epoch(self):
        self.order = _order(self.seed, self.epoch, self.steps)
        if self.within:
            if hasattr(self.batches, "steps_into_epoch"):
                self.batches.steps_into_epoch = self.left_out
            self.batches.on_epoch_begin()

    def end_epoch(self):
        self.batches.on_epoch_end()

    def __getitem__(self, index):
        number = int(self.order[index + self.left_out])
        return self.batches[number + self.epoch * self.steps if self.endless else number]


class _Drawn(_Epochs):
    """The batches of a loader, which restarts in each epoch, or of a generator, which continues."""

    def __init__(self, owner, source, steps):
        super().__init__(steps, None)
        self.owner = owner
        self.source = source
        self.goes_on = hasattr(source, "__next__")
        self.coming, self.drawn, self.recent = iter(source) if self.goes_on else None, 0, {}

    def first(self):
        return None if self.goes_on else next(iter(self.source))

    def end_epoch(self):
        self.recent = {}
        if not self.goes_on:
            self.coming, self.drawn = None, 0

    def __getitem__(self, index):
        number = index + self.left_out + (self.epoch * self.steps if self.goes_on else 0)
        self.coming = iter(self.source) if self.coming is None else self.coming
        while self.drawn <= number:
            batch = next(self.coming, None)
            if batch is None:
                raise ValueError(f"{self.owner}: the data ended after {self.drawn} batches.")
            # Keras on TensorFlow reads two batches in advance before an epoch.
            self.recent = {**dict(list(self.recent.items())[-1:]), self.drawn: batch}
            self.drawn += 1
        batch = keras.tree.map_structure(_on_host, self.recent[number])
        return tuple(batch) if isinstance(batch, list) else batch


def _order(seed, epoch, count):
    return np.arange(count) if seed is None else np.random.default_rng([seed % 2**32, epoch]).permutation(count)


def _on_host(array):
    if array is None or isinstance(array, np.ndarray):
        return array
    return ops.convert_to_numpy(array) if keras.ops.is_tensor(array) else np.asarray(array)


def _length(data):
    try:
        return len(data)
    except TypeError:
        return None
