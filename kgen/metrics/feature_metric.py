"""Base of all metrics of images: it checks images, extracts their features and names the results."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from kgen.metrics.feature_extractor import FeatureExtractor
from kgen.training import backend
from kgen.types import Tensor


class FeatureMetric(keras.metrics.Metric):
    """Base of the metrics: `Metric(feature_extractor)`, `update_state(real, generated)`, `result()`.

    Images are `(batch, height, width, channels)`: uint8, or float in `value_range`. Without a feature extractor, pass
    features `(batch, dim)` in their place. The extractor's name is part of the metric's name, and so of every printed
    result: numbers from different features are not comparable.

    The result is a number, or a dict if there are several. A number that is not defined (too few images, features that
    are not finite) is NaN, with a warning that says why, so a long run does not stop. In a compiled step all numbers
    are NaN, because some would be expensive there; Keras reads them again at the end of the epoch.

    Args:
        feature_extractor: a `kgen.metrics.FeatureExtractor`; its name, such as "efficientnet_lite0"; any Keras model
            from images in [-1, 1] to features; None to pass features.
        value_range: `(low, high)` of float images, such as `(0, 1)` or `(-1, 1)`; None if all images are uint8.
        name: name of the metric; by default its kind and the extractor's name.

    Raises:
        ValueError: if `value_range` is not `(low, high)`.

    Example:

    ```python
    class MeanShift(kgen.metrics.FeatureMetric):
        measures = {"mean_shift": "min"}

        def create(self, dim):
            self.total = self.add_variable((dim,), initializer="zeros", name="total")

        def update_features(self, real, generated):
            self.total.assign_add(keras.ops.sum(generated - real, axis=0))

        def compute(self):
            return [keras.ops.norm(self.total)]
    ```
    """

    # The numbers in `result`, each with the better direction: "min" or "max".
    measures: dict[str, str] = {}
    # Whether image i is compared with image i, instead of all with all.
    paired = False

    def __init__(
        self,
        feature_extractor: Any = None,
        value_range: tuple[float, float] | None = None,
        name: str | None = None,
    ):
        kind = re.sub("(?<!^)(?=[A-Z])", "_", type(self).__name__).lower()
        self.feature_extractor = FeatureExtractor.of(feature_extractor)
        self._suffix = f"_{self.feature_extractor.name}" if self.feature_extractor else ""
        self._named = name
        super().__init__(name=name or kind + self._suffix)
        if value_range is not None and (len(value_range) != 2 or not value_range[0] < value_range[1]):
            raise ValueError(f"{kind}: value_range must be (low, high), such as (0, 1); got {value_range!r}.")
        self.value_range = None if value_range is None else (value_range[0], value_range[1])
        self.dim: int | None = None

    # === What a subclass defines ===
    def create(self, dim: int) -> None:
        """Makes the variables for features of length `dim`."""
        raise NotImplementedError(f"{type(self).__name__} must define create().")

    def update_features(self, real: Tensor, generated: Tensor) -> None:
        """Adds features of real and of generated images."""
        raise NotImplementedError(f"{type(self).__name__} must define update_features().")

    def compute(self) -> list[float]:
        """The numbers, in the order of `measures`; raises `Undefined` if there are none."""
        raise NotImplementedError(f"{type(self).__name__} must define compute().")

    # === What Keras calls ===
    def update_state(self, real: Any, generated: Any, sample_weight: None = None) -> None:
        """Adds a batch of real and a batch of generated images, or of their features.

        Raises:
            TypeError: for anything but arrays of uint8 or float.
            ValueError: for another rank or number of channels, an empty batch, values out of range or not finite, or a
                `sample_weight`.
        """
        if sample_weight is not None:
            raise ValueError(f"{type(self).__name__}: sample_weight has no meaning for this metric; leave it out.")
        real, generated = self.features_of(real, "real"), self.features_of(generated, "generated")
        self.take(real, generated)

    def take(self, real: Tensor | None, generated: Tensor | None) -> None:
        """`update_state` with the results of `features_of`; None for a side that the metric ignores."""
        owner = type(self).__name__
        shapes = [tuple(x.shape) for x in (real, generated) if x is not None]
        dims = {shape[-1] for shape in shapes} | ({self.dim} if self.dim else set())
        if len(dims) > 1:
            raise ValueError(f"{owner}: all features must have the same length; got lengths {sorted(dims)}.")
        if self.paired and len({shape[0] for shape in shapes} - {None}) > 1:
            raise ValueError(
                f"{owner} compares image i with image i, so both sides must have the same number; got "
                f"{shapes[0][0]} and {shapes[1][0]}."
            )
        self.build(*dims)
        self.update_features(real, generated)

    def build(self, dim: int) -> None:
        """Makes the variables, once."""
        if self.dim is None:
            self.dim = int(dim)
            self.create(self.dim)

    def build_for(self, image_shape: tuple[int, ...]) -> None:
        """Makes the variables for images `(height, width, channels)`, before a step is compiled."""
        if self.feature_extractor is None:
            raise ValueError(f"{type(self).__name__}: it needs a feature_extractor to measure images.")
        self.build(self.feature_extractor.dim(image_shape))

    def result(self) -> Any:
        """The number, or a dict of them."""
        if any(backend.is_traced(variable.value) for variable in self.variables[:1]):
            values = self.compute_in_step()
        else:
            try:
                values = [float(value) for value in self.compute()] if self.dim else self.unknown
            except Undefined as why:
                warnings.warn(f"{self.name} is not defined: {why}", stacklevel=2)
                values = self.unknown
        return dict(zip(self.keys, values)) if len(values) > 1 else values[0]

    def compute_in_step(self) -> list[Any]:
        """`compute` in a compiled step: once per batch."""
        return self.unknown

    @property
    def unknown(self) -> list[float]:
        """NaN for each number."""
        return [float("nan")] * len(self.measures)

    @property
    def keys(self) -> list[str]:
        """The names of the numbers in `result`."""
        if len(self.measures) == 1:
            return [self.name]
        return [f"{self._named}_{each}" if self._named else each + self._suffix for each in self.measures]

    @property
    def directions(self) -> dict[str, str]:
        """Dict from the name of each number to its better direction, "min" or "max"."""
        return dict(zip(self.keys, self.measures.values()))

    def results(self) -> dict[str, Any]:
        """`result` as a dict from name to number, also for a single number."""
        result = self.result()
        return result if isinstance(result, dict) else {self.name: result}

    @property
    def needs_real(self) -> bool:
        """Whether `update_state` needs real images."""
        return True

    # === Images in ===
    def features_of(self, images: Any, role: str, value_range: tuple[float, float] | None = None) -> Any:
        """Checks images from the user and returns their features.

        Args:
            images: images, or features if there is no extractor.
            role: "real" or "generated".
            value_range: range of float images, if not the metric's own.
        """
        owner = f"{type(self).__name__}: {role}"
        if self.feature_extractor is None:
            return checked_features(owner, images)
        images = pixels_of(f"{owner} images", images, value_range or self.value_range)
        if backend.is_traced(images):
            return self.feature_extractor(images)
        return self.feature_extractor.extract(images)

    # === On disk ===
    def save_own_variables(self, store: Any) -> None:
        """Stores nothing: what was measured so far is not part of the model."""

    def load_own_variables(self, store: Any) -> None:
        """Nothing was stored."""

    def get_config(self) -> dict[str, Any]:
        extractor = self.feature_extractor
        if extractor is not None and extractor.spec is None:
            raise ValueError(
                f"{type(self).__name__}: the feature extractor {extractor.name!r} cannot be saved, since only named "
                "extractors such as 'efficientnet_lite0' can be loaded again."
            )
        return {
            "feature_extractor": extractor.spec if extractor else None,
            "value_range": self.value_range,
            "name": self._named,
        }


class Undefined(ValueError):
    """The number is not defined for the given images."""


def pixels_of(owner: str, images: Any, value_range: tuple[float, float] | None = None) -> Any:
    """Images as pixels from 0 to 255: uint8 unchanged, floats in `value_range` as float32.

    Raises:
        TypeError: for anything but an array of uint8 or float.
        ValueError: for another rank, an empty batch, or floats of unknown range, out of range or not finite.
    """
    if not hasattr(images, "shape") or not hasattr(images, "dtype"):
        raise TypeError(f"{owner} must be an array (batch, height, width, channels); got {type(images).__name__}.")
    shape, dtype = tuple(images.shape), keras.backend.standardize_dtype(images.dtype)
    if len(shape) != 4 or 0 in shape or shape[-1] not in (None, 1, 3):
        hint = " Turn a single image into a batch with images[None]." if len(shape) == 3 else ""
        raise ValueError(
            f"{owner} must have shape (batch, height, width, 1 or 3) and must not be empty; got {shape}.{hint}"
        )
    if dtype == "uint8":
        return images
    if "float" not in dtype:
        raise TypeError(f"{owner} must be uint8 or float; got {dtype}.")
    if value_range is None:
        raise ValueError(
            f"{owner} are {dtype}, whose range is unknown. Pass value_range=(0, 1) or value_range=(-1, 1), "
            "or use uint8 images."
        )
    low, high = value_range
    if not backend.is_traced(images):
        images = ops.convert_to_numpy(images).astype("float32")
        smallest, largest = float(images.min()), float(images.max())
        if not np.isfinite([smallest, largest]).all():
            raise ValueError(f"{owner} must be finite; some values are NaN or infinite.")
        # Resizing and half precision may exceed the range a little.
        room = 0.01 * (high - low)
        if smallest < low - room or largest > high + room:
            raise ValueError(
                f"{owner} must be in value_range=({low}, {high}); got values from {smallest:.4g} to {largest:.4g}."
            )
    else:
        images = ops.cast(images, "float32")
    return (images - low) * (255.0 / (high - low))


def checked_features(owner: str, features: Any) -> Any:
    """Features unchanged; raises unless they are a floating-point array `(batch, dim)`."""
    if not hasattr(features, "shape") or not hasattr(features, "dtype"):
        raise TypeError(f"{owner} features must be an array (batch, dim); got {type(features).__name__}.")
    shape, dtype = tuple(features.shape), keras.backend.standardize_dtype(features.dtype)
    if len(shape) != 2 or 0 in shape:
        hint = " Pass a feature_extractor to measure images." if len(shape) == 4 else ""
        raise ValueError(f"{owner} features must have shape (batch, dim) and must not be empty; got {shape}.{hint}")
    if "float" not in dtype:
        raise TypeError(f"{owner} features must be floating-point numbers; got {dtype}.")
    return features if backend.is_traced(features) else ops.convert_to_numpy(features)


def update_all(
    metrics: Sequence[FeatureMetric], real: Any, generated: Any, value_range: tuple[float, float] | None = None
) -> None:
    """Updates several metrics with the same images, and computes each feature only once.

    Args:
        metrics: list of metrics of this package.
        real, generated: see `FeatureMetric.update_state`. Metrics with a reference ignore `real`.
        value_range: range of float images, if not the metrics' own.

    Example:

    ```python
    metrics = [kgen.metrics.FrechetDistance("efficientnet_lite0"), kgen.metrics.KernelDistance("efficientnet_lite0")]
    kgen.metrics.update_all(metrics, real, model.generate(1000))
    ```
    """
    known = {}
    for metric in metrics:
        features: list[Any] = []
        for role, images in (("real", real), ("generated", generated)):
            if role == "real" and not metric.needs_real:
                features.append(None)
                continue
            key = (
                role,
                _identity(metric.feature_extractor),
                value_range or metric.value_range,
                type(metric).features_of,
                # A reference has checks of its own.
                getattr(metric, "reference", None),
            )
            if key not in known:
                known[key] = metric.features_of(images, role, value_range)
            features.append(known[key])
        metric.take(*features)


def _identity(extractor):
    """Equal for extractors that give the same features."""
    if extractor is None:
        return None
    return id(extractor.network), extractor.image_size, extractor.value_range, extractor.interpolation
