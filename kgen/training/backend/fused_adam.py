"""Adam by TensorFlow's fused kernel, inside Keras' own Adam.

Keras' Adam reads or writes a variable and its two slots about ten times. On a CPU that takes 1.5 times as long as all
the rest of a small dense network's step. Only the update of a variable is replaced. Everything around it, from clipping
to weight decay, and all state stay Keras'.

This relies on internals that Keras may change: `apply` calls `self.update_step(gradient, variable, learning_rate)` for
each `tf.Variable`; `_momentums` and `_velocities` are lists of slots in the order of `_get_variable_index`. So it runs
only with the Keras versions that it was checked with; with all others Keras' own Adam runs. Before you add a version to
`CHECKED`, read `keras/src/optimizers/adam.py` there, and run tests/training/test_fused_adam.py with it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import keras
import tensorflow as tf

# Versions of Keras, without the patch number.
CHECKED = ("3.15",)
# The attributes of a built Adam that this reads.
ATTRIBUTES = (
    "_get_variable_index",
    "_momentums",
    "_velocities",
    "amsgrad",
    "beta_1",
    "beta_2",
    "epsilon",
    "iterations",
    "update_step",
)


def can_fuse(optimizer: keras.optimizers.Optimizer) -> bool:
    """Whether it is a plain Adam, in a Keras version that this was checked with."""
    return (
        type(optimizer) is keras.optimizers.Adam
        and ".".join(keras.__version__.split(".")[:2]) in CHECKED
        and all(hasattr(optimizer, name) for name in ATTRIBUTES)
        and not optimizer.amsgrad
    )


@contextlib.contextmanager
def fused_adam(optimizer: keras.optimizers.Optimizer) -> Iterator[None]:
    """A scope in which `optimizer.apply` updates variables by the kernel if it can, also inside loss scaling."""
    adam = getattr(optimizer, "inner_optimizer", optimizer)
    if not can_fuse(adam):
        yield
        return

    def update_step(gradient, variable, learning_rate):
        index = adam._get_variable_index(variable)
        step = tf.cast(adam.iterations + 1, variable.dtype)
        beta_1, beta_2 = (tf.cast(beta, variable.dtype) for beta in (adam.beta_1, adam.beta_2))
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=adam._momentums[index].value.handle,
            v=adam._velocities[index].value.handle,
            beta1_power=beta_1**step,
            beta2_power=beta_2**step,
            lr=tf.cast(learning_rate, variable.dtype),
            beta1=beta_1,
            beta2=beta_2,
            epsilon=tf.cast(adam.epsilon, variable.dtype),
            grad=tf.cast(gradient, variable.dtype),
        )

    adam.update_step = update_step
    try:
        yield
    finally:
        del adam.update_step
