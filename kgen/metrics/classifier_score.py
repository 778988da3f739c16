"""The classifier score of generated images (Inception score)."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from kgen.metrics.feature_metric import FeatureMetric, Undefined
from kgen.metrics.replica_rows import ReplicaRows
from kgen.serializable import serializable
from kgen.training import backend
from kgen.types import Tensor

_LEAST = 1e-12


@serializable
class ClassifierScore(FeatureMetric):
    """How certain a classifier is of each generated image, and how diverse they are; from 1 to the number of classes.

    `exp(mean KL(p(class | image) || p(class)))` [Salimans et al. 2016, "Improved techniques for training GANs"], over
    all images at once. With that paper's classifier, it is the Inception score. It ignores real images:
    `update_state(None, generated)` is enough.

    Args:
        feature_extractor: extractor of class probabilities, such as "efficientnet_lite0_probabilities" or a Keras
            classifier that ends in a softmax; None to pass probabilities `(batch, classes)`.
        value_range, name: see `FeatureMetric`.

    Example:

    ```python
    score = kgen.metrics.ClassifierScore("efficientnet_lite0_probabilities")
    score.update_state(None, model.generate(1000))
    score.result()
    ```
    """

    measures = {"classifier_score": "max"}

    def create(self, dim: int) -> None:
        self.count = ReplicaRows(self, "count", ())
        self.probabilities = ReplicaRows(self, "probabilities", (dim,))
        self.negative_entropy = ReplicaRows(self, "negative_entropy", ())

    @property
    def needs_real(self) -> bool:
        return False

    def features_of(self, images: Any, role: str, value_range: tuple[float, float] | None = None) -> Any:
        return None if role == "real" else super().features_of(images, role, value_range)

    def update_features(self, real: Tensor | None, generated: Tensor) -> None:
        xp = ops if backend.is_traced(generated) else np
        given = ops.cast(generated, self.count.dtype) if xp is ops else np.asarray(generated, "float64")
        if xp is np and (given.min() < -1e-3 or abs(given.sum(axis=-1) - 1.0).max() > 1e-2):
            raise ValueError(
                "ClassifierScore: the features must be class probabilities, which add up to 1; got a row that adds up "
                f"to {given.sum(axis=-1).max():.4g}. Does the classifier end in a softmax?"
            )
        information = xp.sum(given * xp.log(xp.maximum(given, _LEAST)))
        for rows, value in (
            (self.count, xp.sum(xp.ones_like(given[:, 0]))),
            (self.probabilities, xp.sum(given, axis=0)),
            (self.negative_entropy, information),
        ):
            rows.assign(rows.own(xp) + value, xp)

    def compute(self) -> list[float]:
        count = self.count.read().sum()
        if not count:
            return self.unknown
        mean = self.probabilities.read().sum(axis=0) / count
        if not np.isfinite(mean.sum()):
            raise Undefined("some probabilities are NaN or infinite.")
        return [np.exp(self.negative_entropy.read().sum() / count - (mean * np.log(mean + _LEAST)).sum())]
