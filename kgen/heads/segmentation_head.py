"""A head for the class of each pixel."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kgen import checks, losses, networks
from kgen.heads.class_head import ClassHead
from kgen.portable import largest
from kgen.serializable import serializable
from kgen.types import Tensor


@serializable
class SegmentationHead(ClassHead):
    """The class of each pixel: a `kgen.networks.map_decoder` on the feature maps; cross-entropy and Dice loss.

    Answers are integers `(N, height, width)`. The logs show `cross_entropy`, `dice` and `mean_iou`. The last is the
    intersection of true and predicted pixels of a class, divided by their union, averaged over the classes.

    Args:
        num_classes: how many classes there are, background included; or
        class_names: their names, in the order of the masks' numbers.
        filters: as in `kgen.networks.map_decoder`.
        dice_weight: weight of `kgen.losses.dice`; that of `kgen.losses.pixel_cross_entropy` is 1.

    Raises:
        ValueError: if neither of the first two is given, they contradict each other, or there are fewer than two
            classes; for a negative weight.

    Example:

    ```python
    kgen.heads.SegmentationHead(class_names=["background", "road", "car"])
    ```
    """

    reads = "maps"
    terms = ("cross_entropy", "dice")
    targets = "masks"

    def __init__(
        self,
        num_classes: int | None = None,
        class_names: Any = None,
        filters: int = 16,
        dice_weight: float = 1.0,
    ):
        super().__init__(num_classes, class_names)
        if self.num_classes > 256:
            raise ValueError(
                f"SegmentationHead: there can be at most 256 classes, as masks are uint8; got {self.num_classes}."
            )
        self.filters = filters
        self.dice_weight = checks.number("SegmentationHead", "dice_weight", dice_weight, least=0)

    def attach(self, images: Tensor, encoded: dict[str, Any], name: str) -> Tensor:
        """Logits `(batch, height, width, num_classes)`."""
        return networks.map_decoder(images, encoded["maps"], self.num_classes, self.filters, name=name)

    def loss(self, targets: Tensor, outputs: Tensor) -> dict[str, Tensor]:
        """Cross-entropy per pixel, and Dice."""
        return {
            "cross_entropy": losses.pixel_cross_entropy(targets, outputs),
            "dice": self.dice_weight * losses.dice(targets, outputs),
        }

    def class_weighted(
        self, values: dict[str, Tensor], targets: Tensor, outputs: Tensor, class_weights: Tensor
    ) -> dict[str, Tensor]:
        """Each pixel's cross-entropy times the weight of its class; Dice still counts all classes alike."""
        weights = ops.take(class_weights, targets, axis=0)
        return {**values, "cross_entropy": losses.pixel_cross_entropy(targets, outputs, weights)}

    def check(self, owner: str, targets: Any, shape: tuple) -> None:
        """Raises ValueError unless there is an integer in range for each pixel."""
        if tuple(targets.shape) != shape:
            raise ValueError(
                f"{owner}: masks must have shape {shape}, one class number per pixel; got {tuple(targets.shape)}."
            )
        self.check_numbers(owner, targets)

    def prepare(self, targets: Tensor) -> Tensor:
        """int32 `(batch, height, width)`."""
        return ops.cast(targets, "int32")

    def answer(self, outputs: Tensor) -> Tensor:
        """The most probable class of each pixel, uint8 `(batch, height, width)`."""
        return ops.cast(largest(outputs), "uint8")

    def metric(self) -> keras.metrics.Metric:
        """Mean intersection over union, over all pixels of all images."""
        # In float: otherwise the weights of images would be rounded.
        return keras.metrics.MeanIoU(self.num_classes, name="mean_iou", dtype="float32")

    def measure(
        self, metric: keras.metrics.Metric, targets: Tensor, outputs: Tensor, weight: Tensor | None = None
    ) -> None:
        """Counts pixels."""
        weight = None if weight is None else of_pixels(weight, targets)
        metric.update_state(targets, ops.argmax(outputs, axis=-1), sample_weight=weight)


def of_pixels(weight: Tensor, masks: Tensor) -> Tensor:
    """The weights of images `(batch,)`, repeated for their pixels, `(batch, height, width)`."""
    return weight[:, None, None] * ops.ones_like(ops.cast(masks, "float32"))
