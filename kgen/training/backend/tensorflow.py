"""TensorFlow: variables are updated in place, gradients come from a tape, and `tf.distribute` has replicas."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from kgen.training.backend.fused_adam import fused_adam
from kgen.types import Tensor


# === Gradients ===
def value_and_grad(function: Callable, variables: Sequence) -> tuple[tuple[Tensor, Any], list]:
    """By a tape that watches these variables alone."""
    values = [v.value for v in variables]
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(values)
        loss, auxiliary = function()
    gradients = tape.gradient(loss, values, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return (loss, auxiliary), [tf.convert_to_tensor(g) for g in gradients]


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
def run_if(condition: Tensor, function: Callable) -> None:
    """By `tf.cond`, entered from the cross-replica context where there are replicas."""

    def nothing():
        return tf.no_op()

    def something():
        function()
        return tf.no_op()

    if replicas() == 1:
        tf.cond(condition, something, nothing)
        return

    # An optimizer step inside a branch must be entered from the cross-replica context; every replica counts the same
    # steps, so the first one's condition is everyone's. The function is passed along with it, or all replicas would
    # call the first one's, which holds the first one's share of the batch.
    def from_above(strategy, condition, something):
        def everywhere():
            strategy.extended.call_for_each_replica(lambda own: own(), args=(something,))

        tf.cond(strategy.experimental_local_results(condition)[0], everywhere, lambda: None)

    tf.distribute.get_replica_context().merge_call(from_above, args=(condition, something))


def value_if(condition: Tensor, function: Callable, otherwise: Tensor) -> Tensor:
    """By `tf.cond`."""
    return tf.cond(condition, function, lambda: otherwise)


# === Optimizers and replicas ===
def apply_gradients(optimizer: keras.optimizers.Optimizer, gradients: Sequence, variables: Sequence) -> None:
    """By the optimizer; Adam on one device by TensorFlow's one kernel for it."""
    gradients = _of_one_type(gradients)
    if replicas() == 1:
        with fused_adam(optimizer):
            optimizer.apply(gradients, variables)
        return
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        gradients = _bad_everywhere(gradients)
    optimizer.apply(gradients, variables)


def _of_one_type(gradients):
    """The gradients in the widest of their types: Keras multiplies all by one number to clip their global norm."""
    types = {gradient.dtype for gradient in gradients}
    widest = max(types, key=lambda dtype: dtype.size)
    return gradients if len(types) == 1 else [tf.cast(gradient, widest) for gradient in gradients]


def _bad_everywhere(gradients):
    """The gradients; NaN on all replicas where one has any that is not finite: Keras asks the first replica alone."""
    finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(g)) for g in gradients])
    bad = _sum_over_replicas(tf.cast(~finite, "float32"))
    return [tf.where(bad > 0.0, float("nan"), g) for g in gradients]


def _sum_over_replicas(value):
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, value)


def replicas() -> int:
    """Those of the strategy in scope."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def replica_index() -> Any:
    """0 outside of a replica's own code, too."""
    context = tf.distribute.get_replica_context() if replicas() > 1 else None
    return 0 if context is None else context.replica_id_in_sync_group


def batch_mean(values: Tensor) -> Tensor:
    """This replica's sum, divided by the size of the whole batch.

    TensorFlow's optimizers sum gradients over replicas; shares may differ, as in the last batch of an epoch.
    """
    if replicas() == 1:
        return keras.ops.mean(values)
    return tf.reduce_sum(values) / _sum_over_replicas(tf.cast(tf.shape(values)[0], values.dtype))


# === Steps and state ===
def run_step(step: Callable, groups: Sequence, args: Sequence) -> Any:
    """The trainer passes the data alone."""
    return step(*args)


def attach_state(model: keras.Model) -> None:
    """Nothing to do: the variables themselves are trained."""


def compiled(function: Callable, state: Callable) -> Callable:
    """One graph, with the number of rows unknown."""
    graph = tf.function(function, reduce_retracing=True, autograph=False)

    def call(inputs):
        rows = {k: tf.convert_to_tensor(v) for k, v in inputs.items()}
        specification = {k: tf.TensorSpec([None, *v.shape[1:]], v.dtype) for k, v in rows.items()}
        return graph.get_concrete_function(specification)(rows).numpy()

    return call


# === Tensors ===
def is_traced(tensor: Tensor) -> bool:
    """Whether a graph is being made."""
    return not tf.executing_eagerly()


def widest_float() -> str:
    """float64."""
    return "float64"
