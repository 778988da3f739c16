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
    `kgen.networks.backbone_encoder`); `terms`, the names of the terms that add up to its loss; and `targets`, the
    name of the answers that `fit` needs, None if it needs none.

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
    # For answers that are numbers: `(name, lowest, highest)`.
    limits: Any = None

    def attach(self, images: Tensor, encoded: dict[str, Any], name: str) -> Tensor:
        """The symbolic outputs, from symbolic images and the dict of a backbone's parts."""
        raise NotImplementedError(f"{type(self).__name__} must define attach().")

    def loss(self, targets: Tensor, outputs: Tensor) -> dict[str, Tensor]:
        """Dict from each of `terms` to a tensor `(batch,)`."""
        raise NotImplementedError(f"{type(self).__name__} must define loss().")

    def class_weighted(
        self, values: dict[str, Tensor], targets: Tensor, outputs: Tensor, class_weights: Tensor
    ) -> dict[str, Tensor]:
        """The `values` of `loss`, with each class weighted by `class_weights` `(num_classes,)`."""
        raise ValueError(f"{type(self).__name__}: class_weight has no meaning for this head; leave it out.")

    def numbered(self, owner: str, targets: Any) -> Any:
        """The answers given to `fit`, with names replaced by numbers."""
        return targets

    def check(self, owner: str, targets: Any, shape: tuple) -> None:
        """Raises ValueError for answers that do not fit images of shape `(N, height, width)`."""

    def prepare(self, targets: Tensor) -> Tensor:
        """Answers as the loss sees them."""
        return targets

    def answer(self, outputs: Tensor) -> Tensor:
        """What the user gets, from the outputs for a batch."""
        return outputs

    def metric(self) -> keras.metrics.Metric | None:
        """A metric for the logs, or None."""
        return None

    def measure(
        self, metric: keras.metrics.Metric, targets: Tensor, outputs: Tensor, weight: Tensor | None = None
    ) -> None:
        """Updates the metric; `weight` `(batch,)` is how much each image counts, None if all count alike."""
