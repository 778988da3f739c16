"""Whether generated images are most similar to what they were made from."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from kgen import checks
from kgen.metrics.feature_metric import FeatureMetric, Undefined
from kgen.metrics.running_sample import RunningSample
from kgen.serializable import serializable
from kgen.types import Array, Tensor

# Rows of the similarity matrix in memory at once.
_BLOCK = 1024


@serializable
class RetrievalRecall(FeatureMetric):
    """How often a generated image is more similar to its own real image than to those of others; 1 is best.

    `recall_at_1` and `recall_at_5` are the probabilities that its own real image is the best match, or among the best
    five, when the other `among` - 1 real images are random. They are computed exactly, without random draws. An equally
    similar image counts as a better match, so images that are all alike retrieve nothing.

    Args:
        feature_extractor, value_range, name: see `FeatureMetric`; "pixels" compares pixels.
        among: how many real images to choose from, its own included, at least 2; all if there are fewer.
        similarity: "cosine", or "euclidean": the smaller the distance, the more similar.
        max_samples: the most pairs to keep, at least 2; beyond that, a fair sample.

    Raises:
        ValueError: for an option out of range.

    Example:

    ```python
    recall = kgen.metrics.RetrievalRecall("pixels", similarity="euclidean")
    recall.update_state(data.images, model.generate(captions))     # image i of caption i
    recall.result()     # {"recall_at_1_pixels": ..., "recall_at_5_pixels": ...}
    ```
    """

    measures = {"recall_at_1": "max", "recall_at_5": "max"}
    paired = True

    def __init__(
        self,
        feature_extractor: Any = None,
        among: int = 100,
        similarity: str = "cosine",
        max_samples: int = 10_000,
        value_range: tuple[float, float] | None = None,
        name: str | None = None,
    ):
        super().__init__(feature_extractor, value_range, name)
        self.among = checks.integer(type(self).__name__, "among", among, least=2)
        self.max_samples = checks.integer(type(self).__name__, "max_samples", max_samples, least=2)
        if similarity not in ("cosine", "euclidean"):
            raise ValueError(f'{type(self).__name__}: similarity must be "cosine" or "euclidean"; got {similarity!r}.')
        self.similarity = similarity

    def create(self, dim: int) -> None:
        # The n-th vectors of both sides have the same priority, so pairs stay together.
        self.real = RunningSample(self, "real", dim, self.max_samples)
        self.generated = RunningSample(self, "generated", dim, self.max_samples)

    def update_features(self, real: Tensor, generated: Tensor) -> None:
        self.real.update(real)
        self.generated.update(generated)

    def pairs(self) -> tuple[Array, Array]:
        """The kept features of real and of generated images, float64."""
        return self.real.read().astype("float64"), self.generated.read().astype("float64")

    def compute(self) -> list[float]:
        real, generated = self.pairs()
        if not len(real):
            return self.unknown
        if len(real) < 2:
            raise Undefined(f"it needs at least 2 pairs; got {len(real)}.")
        if not np.isfinite(real.sum()):
            raise Undefined("some features of the real side are NaN or infinite.")
        among = min(self.among, len(real))
        if among < self.among:
            warnings.warn(
                f"{self.name}: there are only {among} pairs, so recall is measured among these instead of "
                f"{self.among}.",
                stacklevel=4,
            )
        if self.similarity == "cosine":
            real, generated = normalized(real), normalized(generated)
        better = candidates_before_own(real, generated)
        return [expected_recall(better, len(real), among, best).mean() for best in (1, 5)]


def normalized(features: Array) -> Array:
    """Features `(n, dim)` at unit length; zeros stay zeros."""
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)


def candidates_before_own(candidates: Array, queries: Array) -> Array:
    """How many of the candidates `(n, dim)` are at least as near to query i as candidate i is: int `(n,)`.

    For a query with NaN all others come before its own.
    """
    squares = (candidates**2).sum(axis=1)
    before = np.empty(len(queries), int)
    for start in range(0, len(queries), _BLOCK):
        part = queries[start : start + _BLOCK]
        # Squared distances without the query's own square, which all candidates share.
        distances = squares - 2.0 * part @ candidates.T
        own = distances[np.arange(len(part)), np.arange(start, start + len(part))]
        # Rounding must not decide between equal candidates.
        slack = 1e-9 * (1.0 + abs(own))
        before[start : start + _BLOCK] = (~(distances > (own + slack)[:, None])).sum(axis=1) - 1
    return before


def expected_recall(before: Array, total: int, among: int, best: int) -> Array:
    """Probability `(n,)` that a query's own candidate is among the `best` of it and `among - 1` random others.

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
