"""Metrics of generated images or answers, for `evaluate` and validation."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kgen.metrics.by_name import metric_list
from kgen.metrics.feature_metric import FeatureMetric, update_all
from kgen.types import Tensor


class SampleMetrics:
    """The metrics of a model's `compile(metrics=...)`.

    Metrics of `kgen.metrics` measure generated images: the model's `counterparts(batch, paired)` gives real images and
    as many generated ones. Metrics of `keras.metrics` judge answers: the model's `judged(batch)` gives the true and its
    own answers, and perhaps sample weights.

    Args:
        owner: class name that errors begin with.
        metrics: from `compile`: metrics, or names such as "frechet_distance", alone or in a list.
        image_shape: shape of the measured images.
        generates: whether the model generates images.
        pairs: whether it generates a counterpart of each single image, such as its reconstruction.
        judges: whether it gives answers.

    Raises:
        TypeError: for a kind of metric that does not suit the model.
        ValueError: for a paired metric if the model makes no pairs, or two metrics with the same name.

    Example:

    ```python
    gan.compile(metrics=[kgen.metrics.FrechetDistance("efficientnet_lite0")])
    gan.sample_metrics.all          # what was given; `gan.evaluate(images)` has its numbers
    ```
    """

    def __init__(self, owner: str, metrics: Any, image_shape: tuple, generates: bool, pairs: bool, judges: bool):
        metrics = metric_list(f"{owner}.compile: metrics", metrics)
        keys: list[str] = []
        for metric in metrics:
            of_images = isinstance(metric, FeatureMetric)
            if not (generates if of_images else judges and isinstance(metric, keras.metrics.Metric)):
                wanted = ["metrics of kgen.metrics, such as FrechetDistance('efficientnet_lite0')"] * generates
                wanted += ["Keras metrics of answers, such as keras.metrics.TopKCategoricalAccuracy(5)"] * judges
                raise TypeError(f"{owner}.compile: metrics must be {' or '.join(wanted)}; got {metric!r}.")
            if of_images and metric.paired and not pairs:
                raise ValueError(
                    f"{owner}.compile: {metric.name} compares image i with image i, but this model does not generate "
                    "counterparts of single images."
                )
            keys += metric.keys if of_images else [metric.name]
        if len(set(keys)) < len(keys):
            raise ValueError(f"{owner}.compile: give the metrics different names; got {keys}.")
        self.all = metrics
        self.of_images = [metric for metric in metrics if isinstance(metric, FeatureMetric)]
        self.of_answers = [metric for metric in metrics if not isinstance(metric, FeatureMetric)]
        for metric in self.of_images:
            metric.build_for(image_shape)

    def update(self, model: Any, batch: dict[str, Tensor]) -> None:
        """Updates the metrics with a batch of `evaluate`."""
        for paired in (False, True):
            metrics = [metric for metric in self.of_images if metric.paired == paired]
            if metrics:
                decode = model.space.decode
                real, generated = (_in_grey_levels(decode(images)) for images in model.counterparts(batch, paired))
                update_all(metrics, real, generated, value_range=(0, 255))
        if self.of_answers:
            judged = model.judged(batch)
            for metric in self.of_answers:
                metric.update_state(*judged)

    def results(self) -> dict[str, Any]:
        """The results by name: numbers, or arrays of a Keras metric that has one number per class."""
        numbers: dict[str, Any] = {}
        for metric in self.all:
            if isinstance(metric, FeatureMetric):
                numbers.update(metric.results())
            else:
                result = ops.convert_to_numpy(metric.result())
                numbers[metric.name] = result if result.ndim else float(result)
        return numbers


def _in_grey_levels(images):
    # Rounded like the model's uint8 images, but float, because uint8 would hide NaN.
    return ops.round((ops.clip(ops.cast(images, "float32"), -1.0, 1.0) + 1.0) * 127.5)
