"""What the measures of two distributions share: a running summary of either side."""

from __future__ import annotations

import numpy as np

from kgen.metrics.feature_metric import FeatureMetric, Undefined
from kgen.metrics.running_moments import Moments


class DistributionMetric(FeatureMetric):
    """Base of the measures that hold all real pictures against all generated ones.

    Args:
        feature_extractor, value_range, name: as of `FeatureMetric`.
        reference: `kgen.metrics.ReferenceStatistics` of the real pictures in the same features, computed before;
            `update_state(None, generated)` then needs no real ones.
    """

    # The fewest pictures of either side that the number is defined for.
    least = 2

    def __init__(self, feature_extractor=None, reference=None, value_range=None, name=None):
        super().__init__(feature_extractor, value_range, name)
        self.reference = reference
        if reference is not None:
            reference.check_features(type(self).__name__, self.feature_extractor)

    # === What a subclass says ===
    def summary(self, name, dim):
        """A `RunningMoments` or a `RunningSample` for one side."""
        raise NotImplementedError(f"{type(self).__name__} must define summary().")

    def compare(self, real, generated):
        """The numbers, from what `read()` of the two summaries gives."""
        raise NotImplementedError(f"{type(self).__name__} must define compare().")

    # === For all of them ===
    def create(self, dim):
        self.generated = self.summary("generated", dim)
        self.real = None if self.reference is not None else self.summary("real", dim)

    def build_for(self, image_shape):
        if self.reference is not None:
            self.reference.check_image_shape(type(self).__name__, image_shape)
        super().build_for(image_shape)

    @property
    def needs_real(self):
        return self.reference is None

    def features_of(self, images, role, value_range=None):
        if role == "real" and self.reference is not None:
            if images is not None:
                raise ValueError(
                    f"{type(self).__name__}: the real pictures are those of the reference; give None for them."
                )
            return None
        if self.reference is not None and len(getattr(images, "shape", ())) == 4:
            self.reference.check_image_shape(type(self).__name__, images.shape[1:])
        return super().features_of(images, role, value_range)

    def update_features(self, real, generated):
        if self.real is not None:
            self.real.update(real)
        self.generated.update(generated)

    def compute(self):
        generated = self.generated.read()
        real = getattr(self.reference, self.generated.kind) if self.real is None else self.real.read()
        if not _count(generated):
            return self.unknown
        for role, summary in (("real", real), ("generated", generated)):
            self._check(role, summary)
        return self.compare(real, generated)

    def _check(self, role, summary):
        if _count(summary) < self.least:
            raise Undefined(f"it needs at least {self.least} {role} pictures; got {_count(summary)}.")
        # Every feature has a part in the trace.
        if not np.isfinite(summary.covariance.trace() if isinstance(summary, Moments) else summary.sum()):
            raise Undefined(f"some features of {role} pictures are NaN or infinite.")

    def get_config(self):
        if self.reference is not None:
            raise ValueError(f"{type(self).__name__}: a metric with a reference cannot be saved.")
        return super().get_config()


def _count(summary):
    return summary.count if isinstance(summary, Moments) else len(summary)
