"""Precision and recall of a generator, and its density and coverage."""

from __future__ import annotations

from typing import Any

from kgen import checks
from kgen.metrics.distribution_metric import SampleMetric
from kgen.metrics.nearest_neighbors import density_coverage, precision_recall
from kgen.metrics.reference_statistics import ReferenceStatistics
from kgen.serializable import serializable
from kgen.types import Array


@serializable
class PrecisionRecall(SampleMetric):
    """How many generated images look real, and how many real images can be generated; 1 is best for both.

    Precision is the share of generated images within reach of a real one. An image reaches as far as its k-th nearest
    neighbour of the same kind. Recall is the share of real images within reach of a generated one [Kynkaanniemi et al.
    2019, "Improved precision and recall metric for assessing generative models"]. Both grow with the number of images.

    Args:
        feature_extractor, value_range, name: see `FeatureMetric`.
        reference: `ReferenceStatistics` of the real images; then pass None for them.
        neighbors: k above.
        max_samples: the most feature vectors to keep for each side; beyond that, a fair sample.

    Raises:
        ValueError: if `neighbors` is below 1, or `max_samples` below `neighbors` + 1.

    Example:

    ```python
    measure = kgen.metrics.PrecisionRecall("efficientnet_lite0")
    measure.update_state(real, model.generate(1000))
    measure.result()     # {"precision_efficientnet_lite0": ..., "recall_efficientnet_lite0": ...}
    ```
    """

    measures = {"precision": "max", "recall": "max"}

    def __init__(
        self,
        feature_extractor: Any = None,
        reference: ReferenceStatistics | None = None,
        neighbors: int = 3,
        **kwargs: Any,
    ):
        self.neighbors = checks.integer(type(self).__name__, "neighbors", neighbors)
        self.least = self.neighbors + 1
        super().__init__(feature_extractor, reference, **kwargs)

    def compare(self, real: Array, generated: Array) -> list[float]:
        return list(precision_recall(real, generated, self.neighbors))


@serializable
class DensityCoverage(PrecisionRecall):
    """How densely real images surround generated ones, and how many real images have a generated one nearby.

    Density is the mean number of real images that have a generated one within reach, divided by k: about 1 for a
    perfect generator, more for one that stays where real images are dense. Coverage, at most 1, is the share of real
    images with a generated one within their reach [Naeem et al. 2020, "Reliable fidelity and diversity metrics for
    generative models"]. A single outlier among the real images spoils precision, but neither density nor coverage.

    Args:
        feature_extractor, reference, neighbors, max_samples, value_range, name: see `PrecisionRecall`.

    Example:

    ```python
    measure = kgen.metrics.DensityCoverage("efficientnet_lite0")
    measure.update_state(real, model.generate(1000))
    measure.result()     # {"density_efficientnet_lite0": ..., "coverage_efficientnet_lite0": ...}
    ```
    """

    measures = {"density": "max", "coverage": "max"}

    def __init__(
        self,
        feature_extractor: Any = None,
        reference: ReferenceStatistics | None = None,
        neighbors: int = 5,
        **kwargs: Any,
    ):
        super().__init__(feature_extractor, reference, neighbors, **kwargs)

    def compare(self, real: Array, generated: Array) -> list[float]:
        return list(density_coverage(real, generated, self.neighbors))
