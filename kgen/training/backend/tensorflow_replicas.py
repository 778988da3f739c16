"""A step split over the replicas of a `tf.distribute` strategy, such that N replicas give the same as one device.

Each replica has a share of the batch, and shares differ: the last one of an epoch may have no rows at all. A replica's
own computations are right for any share if sums are divided by the size of the whole batch. This module does the rest:
code that looks across samples sees the whole batch (`on_whole_batch`, and the statistics of batch normalisation), an
optimizer sees the gradients of the whole batch before it clips them, and convolutions take shares without rows.

This changes internals of Keras: `_all_reduce_sum_gradients` of an optimizer and `_maybe_symbolic_build` of a model.
Before you add a version to `CHECKED`, run tests/distributed with it; test_needs.py there says what Keras and TensorFlow
still need.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from kgen.types import Tensor

# Versions of Keras, without the patch number.
CHECKED = ("3.15",)
_CHECKED = ".".join(keras.__version__.split(".")[:2]) in CHECKED


def context() -> Any:
    """The `tf.distribute.ReplicaContext` of the replica whose code is running, if there are several; None elsewhere."""
    several = tf.distribute.get_strategy().num_replicas_in_sync > 1
    return tf.distribute.get_replica_context() if several else None


def total(values: Any) -> Any:
    """The sum over replicas of a tensor, or of each of a list."""
    return context().all_reduce(tf.distribute.ReduceOp.SUM, values)


def on_whole_batch(function: Callable, *tensors: Any) -> Any:
    """By an all-gather. Its gradient sums the gradients of all replicas' losses with respect to this replica's rows."""
    if context() is None:
        return function(*tensors)
    rows = tf.shape(keras.tree.flatten(tensors)[0])[0]
    shares = context().all_gather(rows[None], axis=0)
    first = tf.reduce_sum(shares[: context().replica_id_in_sync_group])
    results = function(*keras.tree.map_structure(_gathered, tensors))
    return keras.tree.map_structure(lambda result: result[first : first + rows], results)


def mean_of_batch(values: Any, axes: tuple) -> Any:
    """The mean of all replicas' values over some axes that include the batch axis. A share may have no rows."""
    count = tf.reduce_prod(tf.gather(tf.shape(values), axes))
    return total(tf.reduce_sum(values, axes)) / tf.cast(total(count), values.dtype)


def _gathered(tensor):
    # Collective operations support only floats, and integers of 32 and 64 bits.
    small = tensor.dtype.is_bool or (tensor.dtype.is_integer and tensor.dtype.size < 4)
    sent = tf.cast(tensor, "int32" if small else "float32" if tensor.dtype.is_floating else tensor.dtype)
    gathered = tf.ensure_shape(context().all_gather(sent, axis=0), [None, *tensor.shape[1:]])
    return tf.cast(gathered, tensor.dtype)


def apply_gradients(optimizer: keras.optimizers.Optimizer, gradients: Sequence, variables: Sequence) -> None:
    """One step of an optimizer on the sums of all replicas' gradients.

    Keras sums them itself, but only after clipping or accumulating each replica's own, and it checks only the first
    replica's for finite values.
    """
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    if not _CHECKED or not hasattr(inner, "_all_reduce_sum_gradients"):
        optimizer.apply(gradients, variables)
        return
    gradients = total(gradients)
    with _instead(inner, "_all_reduce_sum_gradients", list):
        optimizer.apply(gradients, variables)


@contextlib.contextmanager
def sharing(layers: Callable) -> Iterator[None]:
    """A scope for a replica's step, in which a model's layers see the whole batch where they look across samples.

    These are batch normalisation, and layers with a function `on_whole_batch` or `mean_of_batch`. Their configs do not
    change: a model is saved as on one device, and other backends can load it.
    """
    if context() is None:
        yield
        return
    with contextlib.ExitStack() as stack:
        for layer in layers():
            if isinstance(layer, keras.layers.BatchNormalization):
                stack.enter_context(_instead(layer, "synchronized", True))
            for name, function in (("on_whole_batch", on_whole_batch), ("mean_of_batch", mean_of_batch)):
                if hasattr(layer, name):
                    stack.enter_context(_instead(layer, name, function))
        yield


def value_if(condition: Tensor, function: Callable, otherwise: Tensor) -> Tensor:
    """The function's value if the condition holds; else `otherwise`, with the function's changes to statistics undone.

    The function always runs if layers look across samples: replicas cannot exchange data in a branch of a graph.
    """
    layers = [owner for owner, _ in _replaced.values()]
    if not layers:
        return tf.cond(condition, function, lambda: otherwise)
    kept = [(v, tf.identity(v.value)) for layer in layers for v in layer.non_trainable_variables]
    value = function()
    for variable, before in kept:
        variable.assign(tf.where(condition, variable.value, before))
    return tf.where(condition, value, otherwise)


# By object and attribute name: the object with its original value, if it had one, and how many replicas are inside a
# scope that replaces it. Replicas are threads that take turns, even within a step.
_replaced: dict = {}
_users: Counter = Counter()


@contextlib.contextmanager
def _instead(owner, name, value):
    """A scope that replaces an attribute of an object until the last replica has left it."""
    key = id(owner), name
    _users[key] += 1
    _replaced.setdefault(key, (owner, {name: owner.__dict__[name]} if name in owner.__dict__ else {}))
    owner.__dict__[name] = value
    try:
        yield
    finally:
        _users[key] -= 1
        if not _users[key]:
            del _users[key], owner.__dict__[name]
            owner.__dict__.update(_replaced.pop(key)[1])


# === Keras' trainer ===
def adapt(model: keras.Model) -> None:
    """Prepares a model compiled under a strategy for training by several replicas with shares of any size.

    Raises:
        ValueError: for `steps_per_execution` above 1, for which Keras' own error, in the first step, is cryptic.
    """
    if tf.distribute.get_strategy().num_replicas_in_sync == 1:
        return
    if model.steps_per_execution > 1:
        raise ValueError(
            f"{type(model).__name__}.compile: Keras cannot run several steps in one execution with the replicas of "
            f"tf.distribute; got steps_per_execution={model.steps_per_execution}. Leave it out."
        )
    # Before the first step Keras averages a batch over the replicas to build layers with it. That fails for shares of
    # different sizes, and for 8-bit integers between hosts. A `PhasedModel` is already built when it is compiled.
    model.__dict__["_maybe_symbolic_build"] = _nothing
    _take_empty_shares()


def _nothing(*args, **kwargs):
    pass


def reported(logs: dict[str, Tensor]) -> dict[str, Tensor]:
    """The logs of a step in the form that Keras averages over replicas: on several hosts each value needs an axis.

    See https://github.com/keras-team/keras/issues/20585.
    """
    strategy = tf.distribute.get_strategy()
    several_hosts = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy) and context() is not None
    if not several_hosts or not _CHECKED:
        return logs
    return {name: value[None] for name, value in logs.items()}


# === Batches without rows ===
_WINDOWED = (
    (keras.layers.Conv1D, "call"),
    (keras.layers.Conv2D, "convolution_op"),
    (keras.layers.DepthwiseConv1D, "call"),
    (keras.layers.DepthwiseConv2D, "call"),
    (keras.layers.SeparableConv2D, "call"),
    (keras.layers.Conv2DTranspose, "call"),  # its gradient is a convolution
    (keras.layers.MaxPooling1D, "call"),
    (keras.layers.MaxPooling2D, "call"),
)


def _take_empty_shares():
    """Lets Keras' convolutions and maximum poolings take batches without rows, on replicas.

    TensorFlow's CPU version (oneDNN) returns an empty batch with the input's number of channels, or ends the process.
    """
    for layer, name in _WINDOWED:
        original = getattr(layer, name)
        if not hasattr(original, "takes_no_rows"):
            setattr(layer, name, _of_any_rows(original))


def _of_any_rows(convolve):
    def convolved(layer, inputs, *args):
        if context() is None or inputs.shape[0] is not None:
            return convolve(layer, inputs, *args)
        rows = tf.shape(inputs)[0]
        missing = [[0, tf.maximum(1 - rows, 0)], *[[0, 0]] * (len(inputs.shape) - 1)]
        return convolve(layer, tf.pad(inputs, missing), *args)[:rows]

    convolved.takes_no_rows = True
    return convolved
