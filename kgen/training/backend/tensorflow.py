"""TensorFlow: variables are updated in place, gradients come from a tape, and `tf.distribute` has replicas."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from kgen.training.backend import tensorflow_replicas
from kgen.training.backend.fast_layers import fast_layers
from kgen.training.backend.fused_adam import fused_adam
from kgen.training.backend.tensorflow_replicas import on_whole_batch as on_whole_batch
from kgen.types import Tensor


# === Gradients ===
def value_and_grad(function: Callable, variables: Sequence) -> tuple[tuple[Tensor, Any], list]:
    """By a tape that watches only these variables."""
    values = [v.value for v in variables]
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(values)
        loss, auxiliary = function()
    gradients = tape.gradient(loss, values, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return (loss, auxiliary), [tf.convert_to_tensor(g) for g in gradients]


def shared_forward(function: Callable, variables: Sequence) -> tuple[Any, Callable]:
    """By a tape for the function and a tape for the loss: the loss's gradient is passed back into the function's."""
    values = [v.value for v in variables]
    with tf.GradientTape(watch_accessed_variables=False) as forward:
        forward.watch(values)
        made, auxiliary = function()
    outputs = tf.nest.map_structure(tf.stop_gradient, made)

    def value_and_grad_of(loss_of):
        leaves = tf.nest.flatten(outputs)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(leaves)
            loss, parts = loss_of(outputs)
        none = tf.UnconnectedGradients.ZERO
        slopes = tape.gradient(loss, leaves, unconnected_gradients=none)
        gradients = forward.gradient(tf.nest.flatten(made), values, slopes, unconnected_gradients=none)
        return (loss, parts), [tf.convert_to_tensor(g) for g in gradients]

    return (outputs, auxiliary), value_and_grad_of


def input_gradient(function: Callable, inputs: Tensor) -> Tensor:
    """By a tape within the tape of the loss."""
    inputs = keras.ops.stop_gradient(inputs)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(inputs)
        total = keras.ops.sum(function(inputs))
    return tape.gradient(total, inputs, unconnected_gradients=tf.UnconnectedGradients.ZERO)


def without_gradients() -> contextlib.AbstractContextManager:
    """Nothing to do: a tape watches only what it was told to."""
    return contextlib.nullcontext()


# === Conditions ===
def run_if(condition: Tensor, function: Callable, otherwise: Callable | None = None) -> None:
    """By `tf.cond`, entered from the cross-replica context if there is a strategy."""

    def operation(function):
        if function is not None:
            function()
        return tf.no_op()

    # Even a one-device strategy has a replica context.
    if not tf.distribute.has_strategy() or tf.distribute.in_cross_replica_context():
        tf.cond(condition, lambda: operation(function), lambda: operation(otherwise))
        return

    # An optimizer step inside a branch must be entered from the cross-replica context; every replica counts the same
    # steps, so the first one's condition holds for all. The functions are passed along too; otherwise all replicas
    # would call the first one's, which hold the first one's share of the batch.
    def from_above(strategy, condition, *functions):
        def everywhere(function):
            strategy.extended.call_for_each_replica(operation, args=(function,))

        own = strategy.experimental_local_results(condition)[0]
        tf.cond(own, lambda: everywhere(functions[0]), lambda: everywhere(functions[1]))

    functions = function, otherwise or (lambda: None)
    tf.distribute.get_replica_context().merge_call(from_above, args=(condition, *functions))


def value_if(condition: Tensor, function: Callable, otherwise: Tensor) -> Tensor:
    """By `tf.cond`, unless layers look across the samples of several replicas."""
    return tensorflow_replicas.value_if(condition, function, otherwise)


# === Optimizers and replicas ===
def apply_gradients(optimizer: keras.optimizers.Optimizer, gradients: Sequence, variables: Sequence) -> None:
    """By the optimizer; on one device, Adam uses TensorFlow's fused kernel."""
    gradients = _of_one_type(gradients)
    if replicas() == 1:
        with fused_adam(optimizer):
            optimizer.apply(gradients, variables)
        return
    tensorflow_replicas.apply_gradients(optimizer, gradients, variables)


def _of_one_type(gradients):
    """The gradients, all in the widest of their types: Keras multiplies all by one number to clip their global norm."""
    types = {gradient.dtype for gradient in gradients}
    widest = max(types, key=lambda dtype: dtype.size)
    return gradients if len(types) == 1 else [tf.cast(gradient, widest) for gradient in gradients]


def sum_over_replicas(value: Tensor) -> Tensor:
    """By the replica's context."""
    return value if tensorflow_replicas.context() is None else tensorflow_replicas.total(value)


def replicas() -> int:
    """The number of replicas of the strategy in scope."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def replica_index() -> Any:
    """Also 0 outside a replica's own code."""
    context = tensorflow_replicas.context()
    return 0 if context is None else context.replica_id_in_sync_group


def batch_mean(values: Tensor) -> Tensor:
    """This replica's sum, divided by the size of the whole batch.

    TensorFlow's optimizers sum gradients over replicas; shares may differ, as in the last batch of an epoch.
    """
    if tensorflow_replicas.context() is None:
        return keras.ops.mean(values)
    return tf.reduce_sum(values) / sum_over_replicas(tf.cast(tf.shape(values)[0], values.dtype))


def like_batch(tensor: Tensor) -> Tensor:
    """The tensor: each replica has drawn its own share."""
    return tensor


# === Steps and state ===
def run_step(step: Callable, groups: Sequence, args: Sequence, layers: Callable = list) -> Any:
    """The trainer passes only the data. Replicas see the whole batch where they must; one device uses fast layers."""
    alone = tensorflow_replicas.context() is None
    with fast_layers(layers(), not has_accelerator()) if alone else tensorflow_replicas.sharing(layers):
        return tensorflow_replicas.reported(step(*args))


def adapt_trainer(model: keras.Model) -> None:
    """Prepares it for several replicas, if there are any."""
    tensorflow_replicas.adapt(model)


def has_accelerator() -> bool:
    """Whether TensorFlow sees a GPU or a TPU."""
    return any(device.device_type != "CPU" for device in tf.config.list_physical_devices())


def step_logs(result: Any) -> dict:
    """The result is the logs."""
    return result


def attach_state(model: keras.Model) -> None:
    """Nothing to do: the variables themselves are trained."""


def interruptible() -> contextlib.AbstractContextManager:
    """Nothing to do: the variables have their values at any moment."""
    return contextlib.nullcontext([])


def give_state(model: keras.Model, synchronize: Callable) -> None:
    """Nothing to do."""


def kept_step(model: keras.Model, function: Callable, groups: Callable) -> Callable:
    """Nothing to do."""
    return function


def compiled(function: Callable, state: Callable, axes: int = 1) -> Callable:
    """One graph for each shape beyond the first `axes` axes, whose lengths the graph leaves open.

    If a layer must know these lengths, there is one for each shape beyond the first axis.
    """
    graph = tf.function(function, autograph=False)
    # Looking them up in `graph` takes longer than many a call.
    made: dict[tuple, Any] = {}

    def call(inputs):
        nonlocal axes
        rows = {k: tf.convert_to_tensor(v) for k, v in inputs.items()}
        kind = tuple((k, v.dtype, tuple(v.shape[axes:])) for k, v in rows.items())
        if kind not in made:
            unknown = {k: [None] * min(axes, len(v.shape)) for k, v in rows.items()}
            specification = {k: tf.TensorSpec([*unknown[k], *v.shape[axes:]], v.dtype) for k, v in rows.items()}
            try:
                made[kind] = graph.get_concrete_function(specification)
            except (TypeError, ValueError):
                if axes == 1:
                    raise
                axes = 1
                return call(inputs)
        return tf.nest.map_structure(lambda tensor: tensor.numpy(), made[kind](rows))

    return call


# === Tensors ===
def is_traced(tensor: Tensor) -> bool:
    """Whether a graph is being built."""
    return not tf.executing_eagerly()


def widest_float() -> str:
    """float64."""
    return "float64"
