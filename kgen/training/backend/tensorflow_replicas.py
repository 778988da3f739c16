"""A step shared by the replicas of a `tf.distribute` strategy, such that N of them equal one device.

Each replica has a share of the batch, and shares differ: the last one of an epoch may have no rows at all. What a
replica computes by itself is right for any share, if sums are divided by the size of the whole batch. The rest is here:
what looks across samples sees the whole batch (`on_whole_batch`, and the statistics of batch normalisation), an
optimizer sees the gradients of the whole batch before it clips them, and convolutions take shares without rows.

This changes what Keras does not promise to keep: `_all_reduce_sum_gradients` of an optimizer, and of a model
`_maybe_symbolic_build`. Before you add a version to `CHECKED`, run tests/distributed with it; test_needs.py there says
what Keras and TensorFlow still need.
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
    """The `tf.distribute.ReplicaContext` of the one of several replicas whose code runs; None elsewhere."""
    several = tf.distribute.get_strategy().num_replicas_in_sync > 1
    return tf.distribute.get_replica_context() if several else None


def total(values: Any) -> Any:
    """The sum over replicas of a tensor, or of each of a list."""
    return context().all_reduce(tf.distribute.ReduceOp.SUM, values)


def on_whole_batch(function: Callable, *tensors: Any) -> Any:
    """By an all-gather, whose gradient is the sum of what all replicas' losses say of this one's rows."""
    if context() is None:
        return function(*tensors)
    rows = tf.shape(keras.tree.flatten(tensors)[0])[0]
    shares = context().all_gather(rows[None], axis=0)
    first = tf.reduce_sum(shares[: context().replica_id_in_sync_group])
    results = function(*keras.tree.map_structure(_gathered, tensors))
    return keras.tree.map_structure(lambda result: result[first : first + rows], results)


def mean_of_batch(values: Any, axes: tuple) -> Any:
    """The mean over some axes, the batch's among them, of the values of all replicas; a share may have no rows."""
    count = tf.reduce_prod(tf.gather(tf.shape(values), axes))
    return total(tf.reduce_sum(values, axes)) / tf.cast(total(count), values.dtype)


def _gathered(tensor):
    # Collective operations know floats and integers of 32 and 64 bits.
    small = tensor.dtype.is_bool or (tensor.dtype.is_integer and tensor.dtype.size < 4)
    sent = tf.cast(tensor, "int32" if small else "float32" if tensor.dtype.is_floating else tensor.dtype)
    gathered = tf.ensure_shape(context().all_gather(sent, axis=0), [None, *tensor.shape[1:]])
    return tf.cast(gathered, tensor.dtype)


def apply_gradients(optimizer: keras.optimizers.Optimizer, gradients: Sequence, variables: Sequence) -> None:
    """One step of an optimizer on the sums of all replicas' gradients.

    Keras sums them itself, but after it has clipped or accumulated those of each replica, and it asks the first replica
    alone whether they are finite.
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

    These are batch normalisation, and layers with a function `on_whole_batch` or `mean_of_batch`. Their configs say
    what they were made with: a model is saved as on one device, and other backends load it.
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
    """The function's value where the condition holds; where it does not, what it did to statistics is undone.

    Replicas cannot meet in a branch of a graph, as they do in a layer that looks across samples.
    """
    layers = [owner for owner, _ in _replaced.values()]
    if not layers:
        return tf.cond(condition, function, lambda: otherwise)
    kept = [(v, tf.identity(v.value)) for layer in layers for v in layer.non_trainable_variables]
    value = function()
    for variable, before in kept:
        variable.assign(tf.where(condition, variable.value, before))
    return tf.where(condition, value, otherwise)


# By object and name of an attribute: the object with its own value, if it has one, and how many replicas are in a scope
# in which it is another. Replicas are threads that take turns, even within a step.
_replaced: dict = {}
_users: Counter = Counter()


@contextlib.contextmanager
def _instead(owner, name, value):
    """A scope in which an attribute of an object is another, until the last replica has left it."""
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
    """Makes a model that is compiled under a strategy ready to be trained by several replicas, of any share.

    Raises:
        ValueError: for `steps_per_execution` above 1, of which Keras gives a cryptic error in the first step.
    """
    if tf.distribute.get_strategy().num_replicas_in_sync == 1:
        return
    if model.steps_per_execution > 1:
        raise ValueError(
            f"{type(model).__name__}.compile: Keras cannot make several steps in one execution with the replicas of "
            f"tf.distribute; got steps_per_execution={model.steps_per_execution}. Leave it out."
        )
    # Before the first step Keras averages a batch over replicas, to build layers with it. Shares of different sizes
    # have no average, nor have integers of 8 bits between hosts. A `PhasedModel` is built when it is compiled.
    model.__dict__["_maybe_symbolic_build"] = _nothing
    _take_empty_shares()


def _nothing(*args, **kwargs):
    pass


def reported(logs: dict[str, Tensor]) -> dict[str, Tensor]:
    """The logs of a step as Keras averages them over replicas: on several hosts each must have an axis to do so.

    See https://github.com/keras-team/keras/issues/20585.
    """
    strategy = tf.distribute.get_strategy()
    several_hosts = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy) and context() is not None
    if not several_hosts or not _CHECKED:
        return logs
    return {name: value[None] for name, value in logs.items()}


# === Convolutions ===
_CONVOLUTIONS = (
    (keras.layers.Conv2D, "convolution_op"),
    (keras.layers.SeparableConv2D, "call"),
    (keras.layers.Conv2DTranspose, "call"),  # its gradient is a convolution
)


def _take_empty_shares():
    """Lets Keras' two-dimensional convolutions take batches without rows, on replicas.

    TensorFlow's for CPUs (oneDNN) gives such a batch back with the channels that came in.
    """
    for layer, name in _CONVOLUTIONS:
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
