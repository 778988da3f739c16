"""Density and coverage of a generator."""

from __future__ import annotations

import keras

from kgen.metrics.nearest_neighbors import density_coverage
from kgen.metrics.precision_recall import PrecisionRecall


@keras.saving.register_keras_serializable(package="kgen")
class DensityCoverage(PrecisionRecall):
    """How densely real pictures surround generated ones, and how many real ones have a generated one near.

    Density is the mean number of real pictures within whose reach a generated one lies, divided by k: about 1 for a
    perfect generator, and above it for one that keeps to where real pictures are dense. Coverage, at most 1, is the
    share of real pictures with a generated one within their reach [Naeem et al. 2020, "Reliable fidelity and diversity
    metrics for generative models"]. One odd real picture spoils neither, as it does precision.

    Args:
        feature_extractor, reference, max_samples, value_range, name: as of `SampleMetric`.
        neighbors: k.

    Example:

    ```python
    measure = kgen.metrics.DensityCoverage("efficientnet_lite0")
    measure.update_state(real, model.generate(1000))
    measure.result()     # {"density_efficientnet_lite0": ..., "coverage_efficientnet_lite0": ...}
    ```
    """

    measures = {"density": "max", "coverage": "max"}

    def __init__(self, feature_extractor=None, reference=None, neighbors=5, **kwargs):
        super().__init__(feature_extractor, reference, neighbors, **kwargs)

    def compare(self, real, generated):
        return density_coverage(real, generated, self.neighbors)
