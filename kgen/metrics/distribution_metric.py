"""Bases of the metrics that compare two distributions, by moments of features or by a sample of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from kgen import checks
from kgen.metrics.feature_metric import FeatureMetric, Undefined
from kgen.metrics.reference_statistics import ReferenceStatistics
from kgen.metrics.running_moments import Moments, RunningMoments
from kgen.metrics.running_sample import RunningSample
from kgen.serializable import serializable
from kgen.types import Tensor


class DistributionMetric(FeatureMetric):
    """Base of the metrics that compare all real images with all generated ones.

    Args:
        feature_extractor, value_range, name: see `FeatureMetric`.
        reference: `kgen.metrics.ReferenceStatistics` of the real images in the same features, computed beforehand.
            Then `update_state(None, generated)` needs no real images.
    """

    # The fewest images of each side that the result needs.
    least = 2

    def __init__(
        self,
        feature_extractor: Any = None,
        reference: ReferenceStatistics | None = None,
        value_range: tuple[float, float] | None = None,
        name: str | None = None,
    ):
        super().__init__(feature_extractor, value_range, name)
        self.reference = reference
        if reference is not None:
            reference.check_features(type(self).__name__, self.feature_extractor)

    # === What a subclass defines ===
    def summary(self, name: str, dim: int) -> RunningMoments | RunningSample:
        """A `RunningMoments` or a `RunningSample` for one side."""
        raise NotImplementedError(f"{type(self).__name__} must define summary().")

    def compare(self, real: Any, generated: Any) -> list[float]:
        """The numbers, from what `read()` of the two summaries returns."""
        raise NotImplementedError(f"{type(self).__name__} must define compare().")

    # === For all of them ===
    def create(self, dim: int) -> None:
        self.generated = self.summary("generated", dim)
        self.real = None if self.reference is not None else self.summary("real", dim)

    def build_for(self, image_shape: tuple[int, ...]) -> None:
        if self.reference is not None:
            self.reference.check_image_shape(type(self).__name__, image_shape)
        super().build_for(image_shape)

    @property
    def needs_real(self) -> bool:
        return self.reference is None

    def features_of(self, images: Any, role: str, value_range: tuple[float, float] | None = None) -> Any:
        if role == "real" and self.reference is not None:
            if images is not None:
                raise ValueError(
                    f"{type(self).__name__}: the reference already describes the real images. Pass None for them."
                )
            return None
        if self.reference is not None and len(getattr(images, "shape", ())) == 4:
            self.reference.check_image_shape(type(self).__name__, images.shape[1:])
        return super().features_of(images, role, value_range)

    def update_features(self, real: Tensor | None, generated: Tensor) -> None:
        if self.real is not None:
            self.real.update(real)
        self.generated.update(generated)

    def compute(self) -> list[float]:
        generated = self.generated.read()
        real = getattr(self.reference, self.generated.kind) if self.real is None else self.real.read()
        if not _count(generated):
            return self.unknown
        for role, summary in (("real", real), ("generated", generated)):
            self._check(role, summary)
        return self.compare(real, generated)

    def _check(self, role, summary):
        if _count(summary) < self.least:
            raise Undefined(f"it needs at least {self.least} {role} images; got {_count(summary)}.")
        # The trace includes every feature.
        if not np.isfinite(summary.covariance.trace() if isinstance(summary, Moments) else summary.sum()):
            raise Undefined(f"some features of {role} images are NaN or infinite.")

    def get_config(self) -> dict[str, Any]:
        if self.reference is not None:
            raise ValueError(f"{type(self).__name__}: a metric with a reference cannot be saved.")
        return super().get_config()


@serializable
class SampleMetric(DistributionMetric):
    """Base of the metrics that use a sample of features: all up to `max_samples` per side, then a fair sample.

    Args:
        feature_extractor, reference, value_range, name: see `DistributionMetric`.
        max_samples: the most feature vectors to keep for each side; their memory is allocated at the start.
    """

    def __init__(
        self,
        feature_extractor: Any = None,
        reference: ReferenceStatistics | None = None,
        max_samples: int = 10_000,
        value_range: tuple[float, float] | None = None,
        name: str | None = None,
    ):
        super().__init__(feature_extractor, reference, value_range, name)
        self.max_samples = checks.integer(type(self).__name__, "max_samples", max_samples, least=self.least)

    def summary(self, name: str, dim: int) -> RunningSample:
        return RunningSample(self, name, dim, self.max_samples)


def _count(summary):
    return summary.count if isinstance(summary, Moments) else len(summary)
