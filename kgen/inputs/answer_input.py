"""The input of images with answers, and of weights for classes and samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from keras import ops

from kgen.inputs.image_input import ImageInput
from kgen.types import Array, Tensor


class AnswerInput(ImageInput):
    """The input of a model that answers questions about images; also takes weights of classes and of samples.

    As in Keras, weights of classes count in training but not in validation. They are part of the training graph.

    Args:
        owner, image_shape, float_scale, targets: as in `ImageInput`.

    Example:

    ```python
    classifier.fit(images, labels, class_weight={0: 1.0, 1: 5.0})
    classifier.image_input.class_weights        # {} again, after fit
    ```
    """

    options = ("class_weight", "sample_weight")

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.class_weights: dict[str, Array] = {}

    # === What the losses see ===
    def batch(self, x: Any, y: Any = None) -> dict[str, Tensor]:
        """The batch that losses see: as in `ImageInput`, and `sample_weight` if there are weights of samples."""
        batch = super().batch(x, y)
        given = x.get("sample_weight") if isinstance(x, dict) else None
        return batch if given is None else {**batch, "sample_weight": self.weights(given)}

    # === What comes in ===
    def for_training(
        self, x, y, validation_data, batch_size, shuffle, value_range=None, class_weight=None, sample_weight=None
    ):
        """The arguments of `keras.Model.fit`; keeps the weights of classes until `end`."""
        if class_weight is not None:
            self.class_weights = self._of_classes(class_weight)
        if sample_weight is not None:
            x, y = self._with_weights(x, y, sample_weight)
        if isinstance(validation_data, (tuple, list)) and len(validation_data) == 3:
            validation_data = self._with_weights(*validation_data)
        return super().for_training(x, y, validation_data, batch_size, shuffle, value_range)

    def for_evaluation(self, x, y, batch_size, value_range=None, sample_weight=None):
        """The arguments of `keras.Model.evaluate`."""
        if sample_weight is not None:
            x, y = self._with_weights(x, y, sample_weight)
        return super().for_evaluation(x, y, batch_size, value_range)

    def constants(self) -> list:
        """Values in a training graph that are not variables; here also weights of classes."""
        return [*super().constants(), *self.class_weights.values()]

    def end(self) -> None:
        """Releases the weights of classes."""
        super().end()
        self.class_weights = {}

    def weights(self, given: Any) -> dict[str, Tensor]:
        """A dict from each target to its sample weights `(batch,)`; those of all other targets are under `""`.

        Raises:
            ValueError: for weights of a wrong shape.
        """
        parts = dict(given) if isinstance(given, Mapping) else {name: given for name in (*self.targets, "")}
        for name, weight in parts.items():
            if len(weight.shape) == 2 and weight.shape[-1] == 1:
                weight = weight[:, 0]
            if len(weight.shape) != 1:
                raise ValueError(
                    f"{self.owner}: sample_weight must be a number for each image, of shape (batch,); got "
                    f"{tuple(weight.shape)}."
                )
            parts[name] = ops.cast(weight, "float32")
        return parts

    def _of_classes(self, class_weight):
        heads = {name: target for name, target in self.targets.items() if hasattr(target, "class_names")}
        if not isinstance(class_weight, Mapping):
            raise TypeError(
                f"{self.owner}: class_weight must be a dict from a class to its weight; got {class_weight!r}."
            )
        if set(class_weight) <= set(heads) and class_weight:
            parts = dict(class_weight)
        elif len(heads) == 1:
            parts = {next(iter(heads)): class_weight}
        else:
            raise ValueError(
                f"{self.owner}: class_weight must be a dict from a head's name to the weights of its classes. The "
                f"heads are {sorted(heads)}; got {class_weight!r}."
            )
        return {name: self._table(heads[name].class_names, weights) for name, weights in parts.items()}

    def _table(self, names, weights):
        table = np.ones(len(names), "float32")
        for each, weight in dict(weights).items():
            known = each in names if isinstance(each, str) else each in range(len(names))
            if not known or not np.isfinite(weight) or weight < 0:
                raise ValueError(
                    f"{self.owner}: class_weight must be a dict from classes (numbers below {len(names)}, or names) "
                    f"to numbers of at least 0; got {each!r}: {weight!r}."
                )
            table[names.index(each) if isinstance(each, str) else int(each)] = weight
        return table

    def _with_weights(self, x, y, sample_weight):
        """`(x, None)` with answers and weights in x: Keras wants weights in the form of y, which may lack heads."""
        if not hasattr(x, "shape") and not isinstance(x, dict):
            raise ValueError(
                f"{self.owner}: sample_weight can only be passed with arrays; a dataset must yield "
                "(images, answers, weights)."
            )
        x = x if isinstance(x, dict) else {"images": x}
        count = len(x["images"])
        parts = dict(sample_weight) if isinstance(sample_weight, Mapping) else {"": sample_weight}
        if unknown := sorted(set(parts) - {*self.targets, ""}):
            raise ValueError(
                f"{self.owner}: keys of sample_weight must be among {sorted(self.targets)}; got {unknown}."
            )
        for name, weight in parts.items():
            parts[name] = weight = np.asarray(ops.convert_to_numpy(weight), "float32")
            if weight.shape not in ((count,), (count, 1)) or not np.isfinite(weight).all() or weight.min() < 0:
                found = f", {weight.min():g} to {weight.max():g}" if weight.size else ""
                raise ValueError(
                    f"{self.owner}: sample_weight must be {count} numbers of at least 0, one for each image; got shape "
                    f"{weight.shape}{found}."
                )
        answers = {name: np.asarray(value) for name, value in self.answers(x, self.numbered(y)).items()}
        given = parts if isinstance(sample_weight, Mapping) else parts[""]
        return {**x, **answers, "sample_weight": given}, None
