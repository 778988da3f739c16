"""Pictures and captions of a batch held against each other, all pairs at once: losses from logits, one per sample."""

from __future__ import annotations

import keras
from keras import ops

from kgen.losses.configurable import Configurable


class ContrastiveLoss(Configurable):
    """What a dual encoder minimises, given how well each picture of a batch fits each caption of it.

    Logits are `(batch, batch)`, a row a picture, a column a caption: scale * cosine + bias, both of them learned.
    Pictures whose captions are equal fit each other's: `same` `(batch, batch)`, symmetric, is true there and on the
    diagonal, which is all of it where `same` is None.

    A subclass gives `loss`; and `initial_scale`, `largest_scale` and `initial_bias`, None where a bias has no effect.

    Example:

    ```python
    isinstance(kgen.losses.InfoNCE(), kgen.losses.ContrastiveLoss)     # True
    ```
    """

    initial_scale = 1.0
    largest_scale = 100.0
    initial_bias = None

    def loss(self, logits, same=None):
        """The loss of each picture with its caption, `(batch,)`, in nats."""
        raise NotImplementedError(f"{type(self).__name__} must define loss().")


@keras.saving.register_keras_serializable(package="kgen")
class InfoNCE(ContrastiveLoss):
    """L_i = -(sum_j p_ij log softmax_j(l_ij) + sum_j p_ij log softmax_j(l_ji)) / 2, p_ij = same_ij / sum_k same_ik.

    Each picture is to find its caption among those of the batch, and each caption its picture [van den Oord et al.
    2018, "Representation learning with contrastive predictive coding"; in both directions Radford et al. 2021,
    "Learning transferable visual models from natural language supervision"]. Equal captions share the probability, as
    equal labels do in Yang et al. 2022, "Unified contrastive learning in image-text-label space": else a picture would
    be pushed away from its own caption wherever another one has it too.

    Example:

    ```python
    kgen.losses.InfoNCE().loss(keras.ops.zeros((4, 4)))     # 4 times log(4)
    ```
    """

    # The temperature that CLIP begins with is 0.07, and its scale is kept below 100.
    initial_scale = 1.0 / 0.07

    def loss(self, logits, same=None):
        """Cross-entropy over captions and over pictures, halved, `(batch,)`."""
        logits = ops.cast(logits, "float32")
        share = as_pairs(same, logits)
        share = share / ops.sum(share, axis=1, keepdims=True)
        both = ops.log_softmax(logits, axis=1) + ops.log_softmax(ops.transpose(logits), axis=1)
        return -0.5 * ops.sum(share * both, axis=1)


@keras.saving.register_keras_serializable(package="kgen")
class SigmoidContrastive(ContrastiveLoss):
    """L_i = sum_j log(1 + exp(-z_ij l_ij)), z_ij = 1 for a picture and its caption or an equal one, else -1.

    Each pair is judged by itself, whatever else is in the batch [Zhai et al. 2023, "Sigmoid loss for language image
    pre-training"]. The learned bias begins at -10, as nearly all pairs do not fit.

    Example:

    ```python
    kgen.losses.SigmoidContrastive().loss(keras.ops.zeros((4, 4)))     # 4 times 4 log(2)
    ```
    """

    initial_scale = 10.0
    initial_bias = -10.0

    def loss(self, logits, same=None):
        """Logistic losses of a picture beside every caption, summed, `(batch,)`."""
        logits = ops.cast(logits, "float32")
        signs = 2.0 * as_pairs(same, logits) - 1.0
        return ops.sum(ops.softplus(-signs * logits), axis=1)


def matching_accuracy(logits, same=None):
    """How often the caption that fits a picture best is its own, and the picture that fits a caption best; their mean.

    Args:
        logits, same: `(batch, batch)`, as of `ContrastiveLoss`.

    Returns:
        Tensor `(batch,)` of 0, 0.5 and 1.

    Example:

    ```python
    kgen.losses.matching_accuracy(keras.ops.array([[2.0, 1.0], [3.0, 4.0]]))     # [0.5, 1]
    ```
    """
    same = as_pairs(same, logits)
    found = []
    for rows in (logits, ops.transpose(logits)):
        best = ops.expand_dims(ops.argmax(rows, axis=1), 1)
        found.append(ops.take_along_axis(same, best, axis=1)[:, 0])
    return 0.5 * (found[0] + found[1])


def as_pairs(same, logits):
    """`same` as float32 `(batch, batch)`: the identity where it is None."""
    if same is None:
        index = ops.arange(ops.shape(logits)[0])
        same = ops.equal(index[:, None], index[None, :])
    return ops.cast(same, "float32")
