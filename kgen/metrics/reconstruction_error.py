"""How far images are from their targets."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from kgen.metrics.feature_metric import FeatureMetric, pixels_of
from kgen.metrics.image_errors import peak_signal_to_noise_ratio, perceptual_distance, structural_similarity
from kgen.metrics.replica_rows import ReplicaRows
from kgen.serializable import serializable
from kgen.training import backend
from kgen.types import Tensor

_BATCH = 32


@serializable
class ReconstructionError(FeatureMetric):
    """Mean over images of PSNR in dB, SSIM and, with a feature extractor, a perceptual distance.

    It compares image i with image i: for reconstruction, denoising, super-resolution. `result()` is a dict of `psnr`
    and `ssim`, for which more is better, and `perceptual_distance_<extractor>`, for which less is better. The formulas
    are `kgen.metrics.peak_signal_to_noise_ratio`, `structural_similarity` and `perceptual_distance`. Unlike other
    metrics of this package, it also shows its running value in compiled steps.

    Args:
        feature_extractor: one with `maps`, such as "efficientnet_lite0"; None for only PSNR and SSIM.
        value_range, name: see `FeatureMetric`.

    Raises:
        ValueError: for images of different shapes or below 11 x 11 pixels, and for an extractor without maps.

    Example:

    ```python
    error = kgen.metrics.ReconstructionError()
    error.update_state(clean, restored)     # uint8 (N, H, W, C)
    error.result()                          # {"psnr": ..., "ssim": ...}
    ```
    """

    paired = True

    def __init__(
        self,
        feature_extractor: Any = None,
        value_range: tuple[float, float] | None = None,
        name: str | None = None,
    ):
        super().__init__(feature_extractor, value_range, name)
        if self.feature_extractor is not None and self.feature_extractor.maps is None:
            raise ValueError(
                f"ReconstructionError: {self.feature_extractor.name!r} has no feature maps to compare. Use "
                "'efficientnet_lite0', which has them."
            )
        self.measures = {"psnr": "max", "ssim": "max"}
        if self.feature_extractor is not None:
            self.measures["perceptual_distance"] = "min"

    @property
    def keys(self) -> list[str]:
        prefix = f"{self._named}_" if self._named else ""
        return [prefix + each + (self._suffix if each == "perceptual_distance" else "") for each in self.measures]

    def create(self, dim: int) -> None:
        self.count = ReplicaRows(self, "count", ())
        self.totals = ReplicaRows(self, "totals", (len(self.measures),))

    def build_for(self, image_shape: tuple[int, ...]) -> None:
        self.build(image_shape[-1])

    def features_of(self, images: Any, role: str, value_range: tuple[float, float] | None = None) -> Any:
        return pixels_of(f"ReconstructionError: {role} images", images, value_range or self.value_range)

    def update_features(self, real: Tensor, generated: Tensor) -> None:
        """Adds pixels instead of features."""
        if backend.is_traced(generated):
            count, totals = self._errors(real, generated)
            self._add(count, totals, ops)
            return
        for start in range(0, len(generated), _BATCH):
            part = [ops.convert_to_tensor(x[start : start + _BATCH]) for x in (real, generated)]
            with backend.without_gradients():
                count, totals = self._errors(*part)
            self._add(float(count), ops.convert_to_numpy(totals).astype("float64"), np)

    def _errors(self, real, generated):
        """The number of images, and the sum of each measure over them."""
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

    def compute(self) -> list[float]:
        count = self.count.read().sum()
        return list(self.totals.read().sum(axis=0) / count) if count else self.unknown

    def compute_in_step(self) -> list[Tensor]:
        """This replica's running means, as tensors."""
        means = self.totals.own(ops) / ops.maximum(self.count.own(ops), 1.0)
        return [means[i] for i in range(len(self.measures))]
