"""What a discriminator says of the class of a picture."""

from __future__ import annotations

from keras import ops


def label_cross_entropy(labels, logits):
    """-log P(label), P the softmax of logits: the auxiliary classifier's loss [Odena et al. 2017, "Conditional image
    synthesis with auxiliary classifier GANs"].

    Args:
        labels: one-hot, `(batch, num_classes)`.
        logits: `(batch, num_classes)`.

    Returns:
        Tensor `(batch,)` in nats.

    Example:

    ```python
    kgen.losses.label_cross_entropy(keras.ops.one_hot([1], 3), keras.ops.zeros((1, 3)))     # [log(3)]
    ```
    """
    labels, logits = ops.cast(labels, "float32"), ops.cast(logits, "float32")
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
