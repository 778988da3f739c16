"""A head for the class of an image."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from kgen import checks, losses
from kgen.heads.class_head import ClassHead
from kgen.serializable import serializable
from kgen.types import Tensor


@serializable
class ClassificationHead(ClassHead):
    """The class of an image: a linear layer on the vector of features, and cross-entropy.

    Answers are integers `(N,)`, or names; -1 means that the class is unknown, and this head learns nothing from that
    image. The logs show `accuracy`, the share of right answers.

    Args:
        num_classes: how many classes there are; or
        class_names: their names, in the order of the labels.
        dropout: share of the features to drop in training, in [0, 1).
        label_smoothing: as in `kgen.losses.label_cross_entropy`.

    Raises:
        ValueError: if neither of the first two is given, they contradict each other, or there are fewer than two
            classes; for a number out of range.

    Example:

    ```python
    kgen.heads.ClassificationHead(class_names=["cat", "dog"])
    ```
    """

    targets = "labels"
    least = -1

    def __init__(
        self,
        num_classes: int | None = None,
        class_names: Any = None,
        dropout: float = 0.0,
        label_smoothing: float = 0.0,
    ):
        super().__init__(num_classes, class_names)
        self.dropout = checks.number("ClassificationHead", "dropout", dropout, least=0, below=1)
        self.label_smoothing = checks.number("ClassificationHead", "label_smoothing", label_smoothing, least=0, below=1)

    def attach(self, images: Tensor, encoded: dict[str, Any], name: str) -> Tensor:
        """Logits `(batch, num_classes)`."""
        x = layers.Dropout(self.dropout, name=f"{name}_dropout")(encoded["vector"])
        return layers.Dense(self.num_classes, dtype="float32", name=f"{name}_logits")(x)

    def loss(self, targets: Tensor, outputs: Tensor) -> dict[str, Tensor]:
        """Cross-entropy with smoothed labels."""
        return {"loss": losses.label_cross_entropy(targets, outputs, self.label_smoothing)}

    def class_weighted(
        self, values: dict[str, Tensor], targets: Tensor, outputs: Tensor, class_weights: Tensor
    ) -> dict[str, Tensor]:
        """Each image's loss times the weight of its class; mixed images have a mixed weight."""
        weight = ops.sum(targets * class_weights, axis=-1)
        return {name: weight * value for name, value in values.items()}

    def numbered(self, owner: str, targets: Any) -> Any:
        """Replaces names by labels."""
        if not isinstance(targets, (list, tuple, np.ndarray)):
            return targets
        targets = np.asarray(targets)
        if targets.dtype.kind not in "USO":
            return targets
        names = [each.decode() if isinstance(each, bytes) else str(each) for each in targets.ravel().tolist()]
        numbers = {name: number for number, name in enumerate(self.class_names)}
        unknown = sorted(set(names) - set(numbers))
        if unknown:
            raise ValueError(
                f"{owner}: unknown class {unknown[0]!r}; the classes are {', '.join(map(repr, self.class_names))}."
            )
        return np.array([numbers[name] for name in names], "int32").reshape(targets.shape)

    def check(self, owner: str, targets: Any, shape: tuple) -> None:
        """Raises ValueError unless there is an integer in range for each image."""
        targets = ops.convert_to_numpy(targets)
        if targets.shape not in (shape[:1], (shape[0], 1)):
            raise ValueError(
                f"{owner}: labels must be {shape[0]} integers, one for each image; got shape {targets.shape}."
            )
        self.check_numbers(owner, targets)

    def prepare(self, targets: Tensor) -> Tensor:
        """One-hot, `(batch, num_classes)`; zeros where the class is not known."""
        return ops.one_hot(ops.reshape(ops.cast(targets, "int32"), (-1,)), self.num_classes, dtype="float32")

    def answer(self, outputs: Tensor) -> Tensor:
        """Probabilities `(batch, num_classes)`."""
        return ops.softmax(outputs, axis=-1)

    def metric(self) -> keras.metrics.Metric:
        """The share of right answers."""
        return keras.metrics.Mean(name="accuracy")

    def measure(
        self, metric: keras.metrics.Metric, targets: Tensor, outputs: Tensor, weight: Tensor | None = None
    ) -> None:
        """Counts the images whose class is known."""
        weight = known(targets) if weight is None else known(targets) * weight
        metric.update_state(losses.label_accuracy(targets, outputs), sample_weight=weight)


def known(targets: Tensor) -> Tensor:
    """1 for prepared labels, 0 where the class is not known: float32 `(batch,)`."""
    return ops.cast(ops.sum(targets, axis=-1) > 0.0, "float32")
