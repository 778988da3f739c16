"""Measures of what a model draws, as part of `evaluate` and of validation."""

from __future__ import annotations

import warnings

import keras
from keras import ops

from kgen.metrics.feature_metric import FeatureMetric, update_all
from kgen.models.image_model import ImageModel


class MeasuredModel(ImageModel):
    """Base of the models whose pictures `compile(metrics=...)` measures.

    A subclass gives `counterparts(batch, paired)`.
    """

    # Whether the model draws a counterpart to each single picture, and not only pictures like all of them.
    draws_pairs = False

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.measures = []

    def counterparts(self, batch, paired):
        """Images in [-1, 1], as many as in the batch, to hold against its `images`.

        Args:
            batch: what `prepare` made of what `evaluate` was given.
            paired: whether image i must be the counterpart of image i, such as its reconstruction.
        """
        raise NotImplementedError(f"{type(self).__name__} must define counterparts().")

    def compile(self, optimizer="auto", *, metrics=None, **kwargs):
        """Chooses how to train.

        Args:
            optimizer: as of `PhasedModel.compile`.
            metrics: list of measures of `kgen.metrics` with a feature extractor. They are computed in `evaluate` and on
                the validation data of `fit`, of one generated picture for each real one; not in training steps, where
                they would cost more than the training. Measures of pairs need a model that draws them: a VAE's
                reconstructions, or the pictures of captions.
            **kwargs: as of `PhasedModel.compile`.

        Raises:
            TypeError: for a metric that is none of `kgen.metrics`.
            ValueError: for a metric that this model's pictures do not suit, or two of one name.
        """
        metrics = list(metrics or [])
        keys = []
        for metric in metrics:
            if not isinstance(metric, FeatureMetric):
                raise TypeError(
                    f"{type(self).__name__}.compile: metrics must be measures of kgen.metrics, such as "
                    f"FrechetDistance('efficientnet_lite0'); got {metric!r}."
                )
            if metric.paired and not self.draws_pairs:
                raise ValueError(
                    f"{type(self).__name__}.compile: {metric.name} holds picture i against picture i, but this model "
                    "draws no counterparts to single pictures."
                )
            keys += metric.keys
        if len(set(keys)) < len(keys):
            raise ValueError(f"{type(self).__name__}.compile: give the metrics different names; got {keys}.")
        super().compile(optimizer, **kwargs)
        for metric in metrics:
            metric.build_for(self.image_shape)
        self.measures = metrics

    def get_compile_config(self):
        config = super().get_compile_config()
        if self.measures:
            config["metrics"] = list(filter(None, map(_serialized, self.measures)))
        return config

    @property
    def metrics(self):
        """The means of the losses, then the measures."""
        return [*super().metrics, *self.measures]

    def get_metrics_result(self):
        """The losses; the measures are read once, by `evaluate`."""
        return {name: tracker.result() for name, tracker in self.trackers.items()}

    def after_test(self, batch):
        if self.measures:
            real = _pixels(batch["images"])
            for paired in (False, True):
                metrics = [metric for metric in self.measures if metric.paired == paired]
                if metrics:
                    generated = _pixels(self.counterparts(batch, paired))
                    update_all(metrics, real, generated, value_range=(0, 255))

    def evaluate(self, x=None, y=None, *, return_dict=False, **kwargs):
        """The losses and the measures, with nothing trained; as `keras.Model.evaluate`."""
        if not self.measures:
            return super().evaluate(x, y, return_dict=return_dict, **kwargs)
        logs = super().evaluate(x, y, return_dict=True, **kwargs)
        logs = {name: logs[name] for name in self.trackers}
        for metric in self.measures:
            logs.update(metric.results())
        return logs if return_dict else list(logs.values())


def _pixels(images):
    # As pictures leave the model, but for NaN, which uint8 would hide.
    return ops.round((ops.clip(ops.cast(images, "float32"), -1.0, 1.0) + 1.0) * 127.5)


def _serialized(metric):
    try:
        return keras.saving.serialize_keras_object(metric)
    except ValueError as why:
        warnings.warn(f"The metric {metric.name} is not saved with the model: {why}", stacklevel=4)
        return None
