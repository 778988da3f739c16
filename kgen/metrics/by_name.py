"""Metrics of images by their short names."""

from __future__ import annotations

from typing import Any

from kgen.metrics.classifier_score import ClassifierScore
from kgen.metrics.feature_extractor import FeatureExtractor
from kgen.metrics.feature_metric import FeatureMetric
from kgen.metrics.frechet_distance import FrechetDistance
from kgen.metrics.kernel_distance import KernelDistance
from kgen.metrics.precision_recall import DensityCoverage, PrecisionRecall
from kgen.metrics.reconstruction_error import ReconstructionError

FEATURES, CLASSIFIER = "efficientnet_lite0", "efficientnet_lite0_probabilities"
METRICS: dict[str, Any] = {
    "frechet_distance": FrechetDistance,
    "kernel_distance": KernelDistance,
    "precision_recall": PrecisionRecall,
    "density_coverage": DensityCoverage,
    "classifier_score": ClassifierScore,
    "reconstruction_error": ReconstructionError,
}


def named_metric(name: str, features: Any = FEATURES, classifier: Any = CLASSIFIER, **options: Any) -> FeatureMetric:
    """A metric of `kgen.metrics` by its name, in the features of EfficientNet-Lite0 unless others are given.

    Args:
        name: one of `METRICS`.
        features: a `FeatureExtractor`, or anything that `FeatureExtractor.of` accepts.
        classifier: the same, but with class probabilities for features; for "classifier_score".
        **options: further arguments of the metrics that compare two distributions, such as `reference`.
    """
    kind = METRICS[name]
    if kind is ClassifierScore:
        return kind(classifier)
    extractor = FeatureExtractor.of(features)
    if kind is ReconstructionError:
        return kind(extractor if extractor is not None and extractor.maps is not None else None)
    return kind(extractor, **options)


def metric_list(owner: str, metrics: Any) -> list:
    """Turns one metric or name, or a list of them, into a list of metrics.

    Raises:
        ValueError: for an unknown name.

    Example:

    ```python
    metric_list("GAN.compile", ["frechet_distance", kgen.metrics.KernelDistance("inception_v3")])
    ```
    """
    if metrics is None:
        return []
    metrics = list(metrics) if isinstance(metrics, (list, tuple)) else [metrics]
    unknown = [each for each in metrics if isinstance(each, str) and each not in METRICS]
    if unknown:
        raise ValueError(
            f"{owner}: unknown metric {unknown[0]!r}; choose from {', '.join(METRICS)}, or pass a metric of "
            "kgen.metrics or keras.metrics."
        )
    return [named_metric(each) if isinstance(each, str) else each for each in metrics]
