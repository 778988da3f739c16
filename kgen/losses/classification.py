"""Losses and accuracy of image classifiers, from logits, one value per sample."""

from __future__ import annotations

from keras import ops

from kgen.types import Tensor


def label_cross_entropy(labels: Tensor, logits: Tensor, smoothing: float = 0.0) -> Tensor:
    """-sum_k q_k log P(k), with P the softmax of the logits and q the one-hot label: what classifiers minimise.

    Smoothed labels are q = (1 - s) label + s / num_classes, so the network need not be certain of the right answer
    [Szegedy et al. 2016, "Rethinking the Inception architecture for computer vision", section 7]. A row of zeros means
    that the label is unknown, and costs nothing.

    Args:
        labels: one-hot, or shares that add up to 1, `(batch, num_classes)`.
        logits: `(batch, num_classes)`.
        smoothing: s, in [0, 1).

    Returns:
        Tensor `(batch,)` in nats.

    Example:

    ```python
    kgen.losses.label_cross_entropy(keras.ops.one_hot([1], 3), keras.ops.zeros((1, 3)))     # [log(3)]
    ```
    """
    labels, logits = ops.cast(labels, "float32"), ops.cast(logits, "float32")
    if smoothing:
        uniform = ops.mean(labels, axis=-1, keepdims=True)
        labels = (1.0 - smoothing) * labels + smoothing * uniform
    return -ops.sum(labels * ops.log_softmax(logits, axis=-1), axis=-1)


def label_accuracy(labels: Tensor, logits: Tensor) -> Tensor:
    """1 where the largest logit is the label's, 0 elsewhere.

    Args:
        labels: one-hot, `(batch, num_classes)`.
        logits: `(batch, num_classes)`.

    Returns:
        Tensor `(batch,)`.

    Example:

    ```python
    kgen.losses.label_accuracy(keras.ops.one_hot([0, 1], 2), keras.ops.array([[2.0, 1.0], [2.0, 1.0]]))     # [1, 0]
    ```
    """
    return ops.cast(ops.equal(ops.argmax(labels, axis=-1), ops.argmax(logits, axis=-1)), "float32")


def distillation(teacher_logits: Tensor, logits: Tensor, temperature: float = 4.0) -> Tensor:
    """T^2 KL(P_T || Q_T), with P_T and Q_T the softmax of the teacher's and the student's logits, divided by T.

    At a temperature T above 1 the student also learns which wrong answers the teacher finds likely. The factor T^2
    keeps gradients as large as those of labels [Hinton et al. 2015, "Distilling the knowledge in a neural network"].

    Args:
        teacher_logits: `(batch, num_classes)`; no gradient flows into them.
        logits: `(batch, num_classes)`.
        temperature: T, positive.

    Returns:
        Tensor `(batch,)` in nats; 0 where both agree.

    Example:

    ```python
    kgen.losses.distillation(keras.ops.array([[2.0, 0.0]]), keras.ops.array([[2.0, 0.0]]))     # [0]
    ```
    """
    teacher = ops.stop_gradient(ops.cast(teacher_logits, "float32")) / temperature
    student = ops.cast(logits, "float32") / temperature
    difference = ops.log_softmax(teacher, axis=-1) - ops.log_softmax(student, axis=-1)
    return temperature**2 * ops.sum(ops.softmax(teacher, axis=-1) * difference, axis=-1)
