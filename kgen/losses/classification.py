"""What is said of the class of a picture."""

from __future__ import annotations

from keras import ops


def label_cross_entropy(labels, logits, smoothing=0.0):
    """-sum_k q_k log P(k), P the softmax of logits: what classifiers minimise, q being the one-hot label.

    Smoothed labels are q = (1 - s) label + s / num_classes: a right answer need not be given with certainty [Szegedy et
    al. 2016, "Rethinking the Inception architecture for computer vision", section 7]. A row of zeros for a label that
    is not known costs nothing.

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


def label_accuracy(labels, logits):
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


def distillation(teacher_logits, logits, temperature=4.0):
    """T^2 KL(P_T || Q_T), P_T and Q_T the softmax of a teacher's logits and of the student's, divided by T.

    At a temperature T above 1 the student also learns which wrong answers the teacher finds likely; T^2 keeps the
    gradients as large as those of labels [Hinton et al. 2015, "Distilling the knowledge in a neural network"].

    Args:
        teacher_logits: `(batch, num_classes)`; no gradient flows into them.
        logits: `(batch, num_classes)`.
        temperature: T, positive.

    Returns:
        Tensor `(batch,)` in nats; 0 where both say the same.

    Example:

    ```python
    kgen.losses.distillation(keras.ops.array([[2.0, 0.0]]), keras.ops.array([[2.0, 0.0]]))     # [0]
    ```
    """
    teacher = ops.stop_gradient(ops.cast(teacher_logits, "float32")) / temperature
    student = ops.cast(logits, "float32") / temperature
    difference = ops.log_softmax(teacher, axis=-1) - ops.log_softmax(student, axis=-1)
    return temperature**2 * ops.sum(ops.softmax(teacher, axis=-1) * difference, axis=-1)
