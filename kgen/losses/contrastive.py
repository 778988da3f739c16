"""Losses that compare all images of a batch with all its captions, from logits, one value per sample."""

from __future__ import annotations

from keras import ops

from kgen.serializable import serializable
from kgen.types import Tensor


@serializable
class ContrastiveLoss:
    """Base of the losses of a dual encoder, from logits that say how well each image of a batch fits each caption.

    Logits `(batch, batch)` have a row per image and a column per caption. They are scale * cosine + bias, and the model
    learns scale and bias. Images with equal captions also fit each other's captions: the symmetric `same`
    `(batch, batch)` is true for these pairs and on the diagonal. None means only the diagonal.

    A subclass defines `loss`, and may set `initial_scale`, `largest_scale` and `initial_bias` (None if a bias has no
    effect).

    Example:

    ```python
    class SmallLogits(kgen.losses.InfoNCE):
        def loss(self, logits, same=None):
            return super().loss(logits, same) + 0.01 * keras.ops.mean(keras.ops.square(logits), axis=1)
    ```
    """

    initial_scale = 1.0
    largest_scale = 100.0
    initial_bias: float | None = None

    def loss(self, logits: Tensor, same: Tensor | None = None) -> Tensor:
        """The loss of each image with its caption, `(batch,)`, in nats."""
        raise NotImplementedError(f"{type(self).__name__} must define loss().")


@serializable
class InfoNCE(ContrastiveLoss):
    """L_i = -(sum_j p_ij log softmax_j(l_ij) + sum_j p_ij log softmax_j(l_ji)) / 2, p_ij = same_ij / sum_k same_ik.

    Each image must find its caption among those of the batch, and each caption its image [van den Oord et al.
    2018, "Representation learning with contrastive predictive coding"; in both directions Radford et al. 2021,
    "Learning transferable visual models from natural language supervision"]. Equal captions share the probability, as
    equal labels do in Yang et al. 2022, "Unified contrastive learning in image-text-label space". Otherwise an image
    would be pushed away from its own caption when another image has the same one.

    Example:

    ```python
    kgen.losses.InfoNCE().loss(keras.ops.zeros((4, 4)))     # 4 times log(4)
    ```
    """

    # CLIP starts with a temperature of 0.07, and keeps its scale below 100.
    initial_scale = 1.0 / 0.07

    def loss(self, logits: Tensor, same: Tensor | None = None) -> Tensor:
        """Cross-entropy over captions and over images, halved, `(batch,)`."""
        logits = ops.cast(logits, "float32")
        share = as_pairs(same, logits)
        share = share / ops.sum(share, axis=1, keepdims=True)
        both = ops.log_softmax(logits, axis=1) + ops.log_softmax(ops.transpose(logits), axis=1)
        return -0.5 * ops.sum(share * both, axis=1)


@serializable
class SigmoidContrastive(ContrastiveLoss):
    """L_i = sum_j log(1 + exp(-z_ij l_ij)), z_ij = 1 for an image and its caption or an equal one, else -1.

    Each pair is judged by itself, independently of the rest of the batch [Zhai et al. 2023, "Sigmoid loss for language
    image pre-training"]. The learned bias starts at -10, because almost no pairs fit.

    Example:

    ```python
    kgen.losses.SigmoidContrastive().loss(keras.ops.zeros((4, 4)))     # 4 times 4 log(2)
    ```
    """

    initial_scale = 10.0
    initial_bias = -10.0

    def loss(self, logits: Tensor, same: Tensor | None = None) -> Tensor:
        """The sum of the logistic losses of an image with every caption, `(batch,)`."""
        logits = ops.cast(logits, "float32")
        signs = 2.0 * as_pairs(same, logits) - 1.0
        return ops.sum(ops.softplus(-signs * logits), axis=1)


def matching_accuracy(logits: Tensor, same: Tensor | None = None) -> Tensor:
    """How often the best caption for an image is its own, and the best image for a caption; the mean of both.

    Args:
        logits, same: `(batch, batch)`, see `ContrastiveLoss`.

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


def as_pairs(same: Tensor | None, logits: Tensor) -> Tensor:
    """`same` as float32 `(batch, batch)`; the identity matrix if it is None."""
    if same is None:
        index = ops.arange(ops.shape(logits)[0])
        same = ops.equal(index[:, None], index[None, :])
    return ops.cast(same, "float32")
