"""Classes that condition a generator."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from kgen.inputs.batch_checks import check_numbers
from kgen.types import Array, Tensor


class ClassLabels:
    """Labels that condition a model: integers `(N,)` or `(N, 1)`, and inside one-hot `pooled` `(batch, num_classes)`.

    Args:
        num_classes: how many classes there are.

    Example:

    ```python
    ClassLabels(10).condition("GAN.generate", [7, 8], 2)["pooled"].shape        # (2, 10)
    ```
    """

    # Their name in a batch.
    key = "pooled"

    def __init__(self, num_classes: int):
        self.num_classes = num_classes

    @property
    def limits(self) -> tuple[str, int, int]:
        """The name, the minimum and the maximum of the labels."""
        return "labels", 0, self.num_classes - 1

    def numbered(self, owner: str, labels: Any) -> Any:
        """Labels as an array: these classes have no names."""
        return np.asarray(labels) if isinstance(labels, (list, tuple)) else labels

    def check(self, owner: str, labels: Any, shape: tuple) -> None:
        """Raises ValueError unless there is an integer in range for each of `shape[0]` images."""
        labels = ops.convert_to_numpy(labels)
        if labels.shape not in (shape[:1], (shape[0], 1)) or not np.issubdtype(labels.dtype, np.integer):
            raise ValueError(
                f"{owner}: labels must be {shape[0]} integers, one for each image; got {labels.dtype} of shape "
                f"{labels.shape}."
            )
        name, least, most = self.limits
        check_numbers(owner, name, labels, least, most)

    def prepare(self, labels: Tensor) -> Tensor:
        """One-hot, `(batch, num_classes)`."""
        return ops.one_hot(ops.reshape(ops.cast(labels, "int32"), (-1,)), self.num_classes, dtype="float32")

    def condition(self, owner: str, labels: Any, count: int) -> dict[str, Array]:
        """The condition of `count` images to generate, from their checked labels."""
        labels = np.asarray(labels)
        self.check(owner, labels, (count,))
        return {"pooled": np.eye(self.num_classes, dtype="float32")[labels.reshape(-1)]}


def label_condition(owner: str, num_classes: int | None, labels: Any, count: int) -> dict[str, Array]:
    """The condition that labels make: `{"pooled": one-hot}`, or nothing for a model without classes.

    Raises:
        ValueError: if a model without classes gets labels, a model with classes gets none, or the labels are wrong.
    """
    if (labels is None) != (num_classes is None):
        raise ValueError(f"{owner}: models with num_classes need labels, and others take none.")
    return {} if num_classes is None else ClassLabels(num_classes).condition(owner, labels, count)
