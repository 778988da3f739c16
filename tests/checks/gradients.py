"""Second derivatives on each backend, for networks that must stand gradient penalties."""

import keras
import numpy as np


def gradient_penalty_gradients(model, images, training=True):
    """Gradients of sum |d sum(model(x)) / dx|^2 with respect to the trainable weights.

    Args:
        model: a built Keras model of one input.
        images: array to differentiate by.
        training: passed to the model.

    Returns:
        Dict from a weight's path to its gradient as an array. A weight that the penalty does not depend on is absent
        or zero, as the backend has it.
    """
    weights = model.trainable_weights
    gradients = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}[keras.backend.backend()](
        model, images, weights, training
    )
    return {
        weight.path: np.asarray(keras.ops.convert_to_numpy(gradient))
        for weight, gradient in zip(weights, gradients, strict=True)
        if gradient is not None
    }


def _tensorflow(model, images, weights, training):
    import tensorflow as tf

    @tf.function
    def compute(x):
        with tf.GradientTape() as outer:
            with tf.GradientTape() as inner:
                inner.watch(x)
                total = tf.reduce_sum(model(x, training=training))
            penalty = tf.reduce_sum(inner.gradient(total, x) ** 2)
        return outer.gradient(penalty, [weight.value for weight in weights])

    return compute(tf.convert_to_tensor(images))


def _torch(model, images, weights, training):
    import torch

    x = torch.tensor(images, requires_grad=True)
    (slope,) = torch.autograd.grad(model(x, training=training).sum(), x, create_graph=True)
    return torch.autograd.grad((slope**2).sum(), [weight.value for weight in weights], allow_unused=True)


def _jax(model, images, weights, training):
    import jax

    others = [variable.value for variable in model.non_trainable_variables]

    def penalty(values):
        def total(x):
            return model.stateless_call(values, others, x, training=training)[0].sum()

        return (jax.grad(total)(images) ** 2).sum()

    return jax.jit(jax.grad(penalty))([weight.value for weight in weights])
