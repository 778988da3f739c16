"""Whether a generated picture leads back to what it was made from."""

from __future__ import annotations

import warnings

import keras
import numpy as np

from kgen.metrics.feature_metric import FeatureMetric, Undefined
from kgen.metrics.running_sample import RunningSample
from kgen.metrics.sample_metric import check_count

# Rows of the similarity matrix that are in memory at once.
_BLOCK = 1024


@keras.saving.register_keras_serializable(package="kgen")
class RetrievalRecall(FeatureMetric):
    """How often a generated picture is most like its own real picture, among those of others; 1 is best.

    `recall_at_1` and `recall_at_5`: the probability that the own one is the best, or among the best five, of `among`
    real pictures: the own one and others at random. It is computed over all draws of the others, none is made. A real
    picture that is as like as the own one counts as liker, so that pictures all alike retrieve nothing.

    Args:
        feature_extractor, value_range, name: as of `FeatureMetric`; "pixels" compares pixels.
        among: how many real pictures one is sought among; of fewer, all.
        similarity: "cosine", or "euclidean" for small distances.
        max_samples: the most pairs kept; beyond, a fair sample of them.

    Example:

    ```python
    recall = kgen.metrics.RetrievalRecall("pixels", similarity="euclidean")
    recall.update_state(data.images, model.generate(captions))     # picture i of caption i
    recall.result()     # {"recall_at_1_pixels": ..., "recall_at_5_pixels": ...}
    ```
    """

    measures = {"recall_at_1": "max", "recall_at_5": "max"}
    paired = True

    def __init__(
        self, feature_extractor=None, among=100, similarity="cosine", max_samples=10_000, value_range=None, name=None
    ):
        super().__init__(feature_extractor, value_range, name)
        self.among = check_count(type(self).__name__, "among", among, 2)
        self.max_samples = check_count(type(self).__name__, "max_samples", max_samples, 2)
        if similarity not in ("cosine", "euclidean"):
            raise ValueError(f'{type(self).__name__}: similarity must be "cosine" or "euclidean"; got {similarity!r}.')
        self.similarity = similarity

    def create(self, dim):
        # The n-th of either side has the same priority: what is kept stays in pairs.
        self.real = RunningSample(self, "real", dim, self.max_samples)
        self.generated = RunningSample(self, "generated", dim, self.max_samples)

    def update_features(self, real, generated):
        self.real.update(real)
        self.generated.update(generated)

    def pairs(self):
        """The features of real and of generated pictures that were kept, float64."""
        return self.real.read().astype("float64"), self.generated.read().astype("float64")

    def compute(self):
        real, generated = self.pairs()
        if not len(real):
            return self.unknown
        if len(real) < 2:
            raise Undefined(f"it needs at least 2 pairs; got {len(real)}.")
        if not np.isfinite(real.sum()):
            raise Undefined("some features of the real side are NaN or infinite.")
        among = min(self.among, len(real))
        if among < self.among:
            warnings.warn(f"{self.name}: sought among {among}, not {self.among}, for there are no more.", stacklevel=4)
        if self.similarity == "cosine":
            real, generated = normalized(real), normalized(generated)
        better = candidates_before_own(real, generated)
        return [expected_recall(better, len(real), among, best).mean() for best in (1, 5)]

    def get_config(self):
        own = {key: getattr(self, key) for key in ("among", "similarity", "max_samples")}
        return {**super().get_config(), **own}


def normalized(features):
    """Features `(n, dim)` at unit length; a zero stays zero."""
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)


def candidates_before_own(candidates, queries):
    """Of the candidates `(n, dim)`, how many are at least as near to query i as candidate i is: int `(n,)`.

    A query with NaN is near to none: all others come before its own.
    """
    squares = (candidates**2).sum(axis=1)
    before = np.empty(len(queries), int)
    for start in range(0, len(queries), _BLOCK):
        part = queries[start : start + _BLOCK]
        # Squared distances less the query's own square, which all candidates share.
        distances = squares - 2.0 * part @ candidates.T
        own = distances[np.arange(len(part)), np.arange(start, start + len(part))]
        # Rounding alone must not decide between candidates that are the same.
        slack = 1e-9 * (1.0 + abs(own))
        before[start : start + _BLOCK] = (~(distances > (own + slack)[:, None])).sum(axis=1) - 1
    return before


def expected_recall(before, total, among, best):
    """Probability `(n,)` that the own candidate is among the `best` of itself and `among - 1` others at random.

    Hypergeometric: of `total - 1` others, `before` come before the own one, and fewer than `best` of these are drawn.
    """
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, total + 1)))])

    def log_choose(n, k):
        possible = (k >= 0) & (k <= n)
        n, k = np.where(possible, n, 0), np.where(possible, k, 0)
        return np.where(possible, logs[n] - logs[k] - logs[n - k], -np.inf)

    drawn, others = among - 1, total - 1
    return sum(
        np.exp(
            log_choose(before, np.full_like(before, j))
            + log_choose(others - before, np.full_like(before, drawn - j))
            - log_choose(np.full_like(before, others), np.full_like(before, drawn))
        )
        for j in range(min(best, among))
    )
