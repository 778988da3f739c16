"""What layers and weights add to a loss: regularizers, activity regularizers and `add_loss`.

Keras keeps what a network adds until the network is called again. A step calls networks several times, so kgen collects
it call by call: inside `gathering`, the layers' `add_loss` appends to a list.
"""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import keras
from keras import ops

# The replicas of `tf.distribute` are threads that take turns, even within one layer's call. Each has its own list, and
# layers are restored when the last replica is done.
_thread = threading.local()
_users: Counter = Counter()


def layers_of(parts: Sequence[keras.layers.Layer], variables: Sequence) -> list:
    """The parts of a model that have any of these variables, with all layers inside them, each once.

    The `MovingAverage` of such a part is included, because it may replace the part in evaluation.
    """
    wanted = {id(v) for v in variables}
    networks = [part for part in parts if not wanted.isdisjoint(map(id, part.trainable_variables))]
    averages = [part for part in parts if any(map(getattr(part, "averages", lambda network: False), networks))]
    found = {id(layer): layer for network in [*networks, *averages] for layer in network._flatten_layers()}
    return list(found.values())


@contextlib.contextmanager
def gathering(layers: Sequence[keras.layers.Layer]) -> Iterator[list]:
    """A scope that collects what these layers add to a loss in the list that it yields, one tensor per entry."""
    outer, _thread.gathered = getattr(_thread, "gathered", None), []
    for layer in layers:
        _users[id(layer)] += 1
        layer.__dict__["add_loss"] = _gather
    try:
        yield _thread.gathered
    finally:
        _thread.gathered = outer
        for layer in layers:
            _users[id(layer)] -= 1
            if not _users[id(layer)]:
                del _users[id(layer)], layer.__dict__["add_loss"]


@contextlib.contextmanager
def not_gathering() -> Iterator[None]:
    """A scope in which what layers add is dropped: for branches, and for the gradients of penalties."""
    outer, _thread.gathered = getattr(_thread, "gathered", None), None
    try:
        yield
    finally:
        _thread.gathered = outer


def _gather(loss):
    if getattr(_thread, "gathered", None) is not None:
        _thread.gathered.extend(keras.tree.flatten(loss))


def regularization(variables: Sequence, added: Sequence) -> Any:
    """The sum of the variables' regularizers and of what layers have added: float32 `()`; None if there is nothing.

    Args:
        variables: the trained `keras.Variable`s.
        added: tensors of any shape; each is summed, as in Keras.
    """
    with_regularizer = [v for v in variables if getattr(v, "regularizer", None) is not None]
    parts = [*(v.regularizer(ops.convert_to_tensor(v)) for v in with_regularizer), *added]
    return sum(ops.sum(ops.cast(part, "float32")) for part in parts) if parts else None
