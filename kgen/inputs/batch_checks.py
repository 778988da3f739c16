"""Checks of numeric answers, all at once or batch by batch."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops


def check_numbers(owner: str, name: str, numbers: Any, least: int, most: int) -> None:
    """Checks that answers are integers in a range.

    Args:
        owner: class or function that errors begin with.
        name: name of the answers.
        numbers: array or tensor of any shape.
        least, most: bounds, both included.

    Raises:
        ValueError: if they are not integers in this range.

    Example:

    ```python
    check_numbers("GAN", "labels", np.array([0, 9]), least=0, most=9)
    ```
    """
    numbers = ops.convert_to_numpy(numbers)
    if not np.issubdtype(numbers.dtype, np.integer):
        raise ValueError(f"{owner}: {name} must be integers; got {numbers.dtype}.")
    if numbers.size and (numbers.min() < least or numbers.max() > most):
        raise ValueError(f"{owner}: {name} must be in {least} .. {most}; got {numbers.min()} to {numbers.max()}.")


def assert_numbers(owner: str, name: str, numbers: Any, least: int, most: int) -> None:
    """As `check_numbers`, for a TensorFlow tensor in a graph, such as that of `tf.data.Dataset.map`.

    Raises:
        tf.errors.InvalidArgumentError: when the graph runs.
    """
    import tensorflow as tf

    numbers = tf.cast(numbers, tf.int64)
    low, high = tf.reduce_min(numbers), tf.reduce_max(numbers)
    right = tf.logical_and(low >= least, high <= most)
    message = f"{owner}: {name} must be in {least} .. {most}; got"
    tf.debugging.Assert(tf.logical_or(right, tf.size(numbers) == 0), [message, low, "to", high])


def every_batch(data: Any, check: Callable, check_in_graph: Callable) -> Any:
    """The same data, which now call `check(batch)` for each batch; data that are not in batches are unchanged.

    Args:
        data: what `fit` was given: a `tf.data.Dataset`, a `keras.utils.PyDataset`, a generator, a torch `DataLoader`.
        check: function that checks a batch on the host.
        check_in_graph: the same for a batch of a `tf.data.Dataset`, in TensorFlow operations.
    """

    def checked(batch):
        check(batch)
        return batch

    if hasattr(data, "element_spec"):

        def checked_in_graph(*parts):
            batch = parts if len(parts) > 1 else parts[0]
            check_in_graph(batch)
            return batch

        return data.map(checked_in_graph)
    if isinstance(data, keras.utils.PyDataset):
        return _CheckedBatches(data, checked)
    if hasattr(data, "collate_fn"):
        # Checked in this process: workers that are spawned cannot take a function of this one.
        loader, kind = copy.copy(data), type(data)
        loader.__class__ = type(kind.__name__, (kind,), {"__iter__": lambda self: map(checked, kind.__iter__(self))})
        return loader
    if hasattr(data, "__next__"):
        return (checked(batch) for batch in data)
    return data


class _CheckedBatches(keras.utils.PyDataset):
    """The batches of another `PyDataset`."""

    def __init__(self, batches, checked):
        super().__init__(batches.workers, batches.use_multiprocessing, batches.max_queue_size)
        self.batches = batches
        self.checked = checked

    @property
    def num_batches(self):
        return self.batches.num_batches

    def __getitem__(self, index):
        return self.checked(self.batches[index])

    def on_epoch_begin(self):
        self.batches.on_epoch_begin()

    def on_epoch_end(self):
        self.batches.on_epoch_end()
