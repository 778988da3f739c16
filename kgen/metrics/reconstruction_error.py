"""How far pictures are from those that they should be."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from kgen.metrics.feature_metric import FeatureMetric, pixels_of
from kgen.metrics.image_errors import peak_signal_to_noise_ratio, perceptual_distance, structural_similarity
from kgen.metrics.replica_rows import ReplicaRows
from kgen.training import backend

_BATCH = 32


@keras.saving.register_keras_serializable(package="kgen")
class ReconstructionError(FeatureMetric):
    """Mean over pictures of PSNR in dB, SSIM and, in the features of an extractor, a perceptual distance.

    Picture i is held against picture i: for reconstructions, denoising, super-resolution. `result()` is a dict of
    `psnr` and `ssim`, for which more is better, and `perceptual_distance_<extractor>`, for which less is; the formulas
    are `kgen.metrics.peak_signal_to_noise_ratio`, `structural_similarity` and `perceptual_distance`. Unlike other
    measures of this package it also shows its running value while a step is compiled.

    Args:
        feature_extractor: one with `maps`, such as "efficientnet_lite0"; None for PSNR and SSIM alone.
        value_range, name: as of `FeatureMetric`.

    Raises:
        ValueError: for pictures of different shapes, or of less than 11 pixels a side; an extractor without maps.

    Example:

    ```python
    error = kgen.metrics.ReconstructionError()
    error.update_state(clean, restored)     # uint8 (N, H, W, C)
    error.result()                          # {"psnr": ..., "ssim": ...}
    ```
    """

    paired = True

    def __init__(self, feature_extractor=None, value_range=None, name=None):
        super().__init__(feature_extractor, value_range, name)
        if self.feature_extractor is not None and self.feature_extractor.maps is None:
            raise ValueError(
                f"ReconstructionError: {self.feature_extractor.name!r} has no feature maps to compare; "
                "'efficientnet_lite0' has."
            )
        self.measures = {"psnr": "max", "ssim": "max"}
        if self.feature_extractor is not None:
            self.measures["perceptual_distance"] = "min"

    @property
    def keys(self):
        prefix = f"{self._named}_" if self._named else ""
        return [prefix + each + (self._suffix if each == "perceptual_distance" else "") for each in self.measures]

    def create(self, dim):
        self.count = ReplicaRows(self, "count", ())
        self.totals = ReplicaRows(self, "totals", (len(self.measures),))

    def build_for(self, image_shape):
        self.build(image_shape[-1])

    def features_of(self, images, role, value_range=None):
        return pixels_of(f"ReconstructionError: {role} pictures", images, value_range or self.value_range)

    def update_features(self, real, generated):
        """Takes pixels, which stand for features here."""
        if backend.is_traced(generated):
            self._add(*self._errors(real, generated), ops)
            return
        for start in range(0, len(generated), _BATCH):
            part = [ops.convert_to_tensor(x[start : start + _BATCH]) for x in (real, generated)]
            with backend.without_gradients():
                count, totals = self._errors(*part)
            self._add(float(count), ops.convert_to_numpy(totals).astype("float64"), np)

    def _errors(self, real, generated):
        """The number of pictures, and the sum over them of each measure."""
        real, generated = ops.cast(real, "float32"), ops.cast(generated, "float32")
        values = [peak_signal_to_noise_ratio(real, generated), structural_similarity(real, generated)]
        if self.feature_extractor is not None:
            maps = [self.feature_extractor.feature_maps(images) for images in (real, generated)]
            values.append(perceptual_distance(*maps))
        return ops.sum(ops.ones_like(values[0])), ops.stack([ops.sum(each) for each in values])

    def _add(self, count, totals, xp):
        for rows, value in ((self.count, count), (self.totals, totals)):
            value = ops.cast(value, rows.dtype) if xp is ops else value
            rows.assign(rows.own(xp) + value, xp)

    def compute(self):
        count = self.count.read().sum()
        return list(self.totals.read().sum(axis=0) / count) if count else self.unknown

    def compute_in_step(self):
        """This replica's running means, as tensors."""
        means = self.totals.own(ops) / ops.maximum(self.count.own(ops), 1.0)
        return [means[i] for i in range(len(self.measures))]
