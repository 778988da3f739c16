"""What is predicted from a backbone's features, and how the prediction is learned."""

from __future__ import annotations

from typing import Any

import keras

from kgen.serializable import serializable
from kgen.types import Tensor


@serializable
class Head:
    """Base of the heads: layers on a backbone's features, a loss, and a metric for the logs.

    A subclass sets `reads`, the part of the backbone that it builds on, "vector" or "maps" (see
    `kgen.networks.backbone_encoder`); `terms`, what its loss is the sum of; and `targets`, what the answers are called
    that `fit` must be given, None for a head that needs none.

    Example:

    ```python
    class SmallLogits(kgen.heads.ClassificationHead):
        def loss(self, targets, outputs):
            small = 0.01 * keras.ops.mean(keras.ops.square(outputs), axis=-1)
            return {"loss": super().loss(targets, outputs)["loss"] + small}
    ```
    """

    reads = "vector"
    terms: tuple[str, ...] = ("loss",)
    targets: str | None = None
    # Of answers that are numbers: what they are called, the lowest and the highest.
    limits: Any = None

    def attach(self, images: Tensor, encoded: dict[str, Any], name: str) -> Tensor:
        """The symbolic outputs, made of symbolic images and the dict of a backbone's parts."""
        raise NotImplementedError(f"{type(self).__name__} must define attach().")

    def loss(self, targets: Tensor, outputs: Tensor) -> dict[str, Tensor]:
        """Dict from each of `terms` to a tensor `(batch,)`."""
        raise NotImplementedError(f"{type(self).__name__} must define loss().")

    def class_weighted(
        self, values: dict[str, Tensor], targets: Tensor, outputs: Tensor, class_weights: Tensor
    ) -> dict[str, Tensor]:
        """The `values` of `loss` where classes count as much as `class_weights` `(num_classes,)` says."""
        raise ValueError(f"{type(self).__name__}: class_weight has no meaning for this head; leave it out.")

    def numbered(self, owner: str, targets: Any) -> Any:
        """Answers as `fit` was given them, with numbers for names."""
        return targets

    def check(self, owner: str, targets: Any, shape: tuple) -> None:
        """Raises ValueError for answers that do not fit images of a shape `(N, height, width)`."""

    def prepare(self, targets: Tensor) -> Tensor:
        """Answers as the loss sees them."""
        return targets

    def answer(self, outputs: Tensor) -> Tensor:
        """What a user gets, of the outputs for a batch."""
        return outputs

    def metric(self) -> keras.metrics.Metric | None:
        """A metric for the logs, or None."""
        return None

    def measure(
        self, metric: keras.metrics.Metric, targets: Tensor, outputs: Tensor, weight: Tensor | None = None
    ) -> None:
        """Updates the metric; `weight` `(batch,)` is how much each image counts, None for all alike."""
