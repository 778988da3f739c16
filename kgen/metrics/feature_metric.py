"""What every measure of pictures shares: the door, the features, the names of its numbers."""

from __future__ import annotations

import re
import warnings

import keras
import numpy as np
from keras import ops

from kgen.metrics.feature_extractor import FeatureExtractor
from kgen.training import backend


class FeatureMetric(keras.metrics.Metric):
    """Base of the measures: `Metric(feature_extractor)`, `update_state(real, generated)`, `result()`.

    Pictures are `(batch, height, width, channels)`: uint8, or float in the `value_range` that was named. Without a
    feature extractor features `(batch, dim)` take their place. The extractor's name is part of the metric's name, and
    so of every number that is printed: numbers in different features cannot be compared.

    A result of one number is that number; of several, a dict. What cannot be computed (of too few pictures, or of
    features that are not finite) is NaN, with a warning that says why, so that a long run does not die of it. In a step
    that is being compiled, where some would be expensive, all are NaN; Keras reads them again when the epoch ends.

    Args:
        feature_extractor: a `kgen.metrics.FeatureExtractor`; its name, such as "efficientnet_lite0"; any Keras model
            from pictures in [-1, 1] to features; None for features.
        value_range: `(low, high)` of float pictures, such as `(0, 1)` or `(-1, 1)`. None: uint8 is all that comes.
        name: of the metric; by default what it is and the extractor's name.

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

    # What `result` has, each with which way is better: "min" or "max".
    measures: dict[str, str] = {}
    # Whether picture i is held against picture i, or all against all.
    paired = False

    def __init__(self, feature_extractor=None, value_range=None, name=None):
        kind = re.sub("(?<!^)(?=[A-Z])", "_", type(self).__name__).lower()
        self.feature_extractor = FeatureExtractor.of(feature_extractor)
        self._suffix = f"_{self.feature_extractor.name}" if self.feature_extractor else ""
        self._named = name
        super().__init__(name=name or kind + self._suffix)
        if value_range is not None and (len(value_range) != 2 or not value_range[0] < value_range[1]):
            raise ValueError(f"{kind}: value_range must be (low, high), such as (0, 1); got {value_range!r}.")
        self.value_range = None if value_range is None else tuple(value_range)
        self.dim = None

    # === What a subclass says ===
    def create(self, dim):
        """Makes the variables for features of length `dim`."""
        raise NotImplementedError(f"{type(self).__name__} must define create().")

    def update_features(self, real, generated):
        """Takes features of real and of generated pictures."""
        raise NotImplementedError(f"{type(self).__name__} must define update_features().")

    def compute(self):
        """The numbers, in the order of `measures`; raises `Undefined` where there are none."""
        raise NotImplementedError(f"{type(self).__name__} must define compute().")

    # === What Keras calls ===
    def update_state(self, real, generated, sample_weight=None):
        """Takes a batch of real and a batch of generated pictures, or of their features.

        Raises:
            TypeError: if what came is no array of uint8 or float.
            ValueError: for another rank or number of channels, an empty batch, values out of range or not finite; for
                weights, which have no meaning here.
        """
        if sample_weight is not None:
            raise ValueError(f"{type(self).__name__}: sample_weight has no meaning for it; leave it out.")
        real, generated = self.features_of(real, "real"), self.features_of(generated, "generated")
        self.take(real, generated)

    def take(self, real, generated):
        """`update_state` of what `features_of` gave; what a measure does not look at is None."""
        owner = type(self).__name__
        shapes = [tuple(x.shape) for x in (real, generated) if x is not None]
        dims = {shape[-1] for shape in shapes} | ({self.dim} if self.dim else set())
        if len(dims) > 1:
            raise ValueError(f"{owner}: all features must have one length; got lengths {sorted(dims)}.")
        if self.paired and len({shape[0] for shape in shapes} - {None}) > 1:
            raise ValueError(f"{owner} holds picture i against picture i; got {shapes[0][0]} and {shapes[1][0]}.")
        self.build(*dims)
        self.update_features(real, generated)

    def build(self, dim):
        """Makes the variables, once."""
        if self.dim is None:
            self.dim = int(dim)
            self.create(self.dim)

    def build_for(self, image_shape):
        """Makes the variables for pictures `(height, width, channels)`, before a step is compiled."""
        if self.feature_extractor is None:
            raise ValueError(f"{type(self).__name__}: to measure pictures it needs a feature_extractor.")
        self.build(self.feature_extractor.dim(image_shape))

    def result(self):
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

    def compute_in_step(self):
        """`compute` in a step that is being compiled: once a batch."""
        return self.unknown

    @property
    def unknown(self):
        """NaN for each number."""
        return [float("nan")] * len(self.measures)

    @property
    def keys(self):
        """The names of the numbers in `result`."""
        if len(self.measures) == 1:
            return [self.name]
        return [f"{self._named}_{each}" if self._named else each + self._suffix for each in self.measures]

    @property
    def directions(self):
        """Dict from the name of each number to "min" or "max": which way is better."""
        return dict(zip(self.keys, self.measures.values()))

    def results(self):
        """`result` as a dict from name to number, even of one."""
        result = self.result()
        return result if isinstance(result, dict) else {self.name: result}

    @property
    def needs_real(self):
        """Whether `update_state` needs real pictures."""
        return True

    # === The door ===
    def features_of(self, images, role, value_range=None):
        """Features of pictures as they come from outside, checked.

        Args:
            images: pictures, or features where there is no extractor.
            role: "real" or "generated".
            value_range: of float pictures, instead of the metric's own.
        """
        owner = f"{type(self).__name__}: {role}"
        if self.feature_extractor is None:
            return checked_features(owner, images)
        images = pixels_of(f"{owner} pictures", images, value_range or self.value_range)
        if backend.is_traced(images):
            return self.feature_extractor(images)
        return self.feature_extractor.extract(images)

    # === On disk ===
    def save_own_variables(self, store):
        """Stores nothing: what was measured so far is not part of the model that is measured."""

    def load_own_variables(self, store):
        """Nothing was stored."""

    def get_config(self):
        extractor = self.feature_extractor
        if extractor is not None and extractor.spec is None:
            raise ValueError(
                f"{type(self).__name__}: the features of {extractor.name!r} have no short name to save; only "
                "'efficientnet_lite0' and the like can be made again from a file."
            )
        return {
            "feature_extractor": extractor.spec if extractor else None,
            "value_range": self.value_range,
            "name": self._named,
        }


class Undefined(ValueError):
    """There is no such number for what was given."""


def pixels_of(owner, images, value_range=None):
    """Pictures as pixels in 0..255: uint8 as they are, floats in `value_range` as float32.

    Raises:
        TypeError: if they are no array of uint8 or float.
        ValueError: for another rank, an empty batch, floats of an unknown range, out of range or not finite.
    """
    if not hasattr(images, "shape") or not hasattr(images, "dtype"):
        raise TypeError(f"{owner} must be an array (batch, height, width, channels); got {type(images).__name__}.")
    shape, dtype = tuple(images.shape), keras.backend.standardize_dtype(images.dtype)
    if len(shape) != 4 or 0 in shape or shape[-1] not in (None, 1, 3):
        hint = " Make a batch of a single picture by images[None]." if len(shape) == 3 else ""
        raise ValueError(f"{owner} must have shape (batch, height, width, 1 or 3), none of it 0; got {shape}.{hint}")
    if dtype == "uint8":
        return images
    if "float" not in dtype:
        raise TypeError(f"{owner} must be uint8 or float; got {dtype}.")
    if value_range is None:
        raise ValueError(
            f"{owner} are {dtype}, which may be in [0, 1] or in [-1, 1]: name it by value_range=(0, 1) or "
            "value_range=(-1, 1), or give uint8."
        )
    low, high = value_range
    if not backend.is_traced(images):
        images = ops.convert_to_numpy(images).astype("float32")
        smallest, largest = float(images.min()), float(images.max())
        if not np.isfinite([smallest, largest]).all():
            raise ValueError(f"{owner} must be finite; some values are NaN or infinite.")
        # Some room for what resizing or half precision add.
        room = 0.01 * (high - low)
        if smallest < low - room or largest > high + room:
            raise ValueError(
                f"{owner} must be in value_range=({low}, {high}); got values from {smallest:.4g} to {largest:.4g}."
            )
    else:
        images = ops.cast(images, "float32")
    return (images - low) * (255.0 / (high - low))


def checked_features(owner, features):
    """Features as they are; raises unless they are a floating-point array `(batch, dim)`."""
    if not hasattr(features, "shape") or not hasattr(features, "dtype"):
        raise TypeError(f"{owner} features must be an array (batch, dim); got {type(features).__name__}.")
    shape, dtype = tuple(features.shape), keras.backend.standardize_dtype(features.dtype)
    if len(shape) != 2 or 0 in shape:
        hint = " For pictures, name a feature_extractor." if len(shape) == 4 else ""
        raise ValueError(f"{owner} features must have shape (batch, dim), neither 0; got {shape}.{hint}")
    if "float" not in dtype:
        raise TypeError(f"{owner} features must be floating-point numbers; got {dtype}.")
    return features if backend.is_traced(features) else ops.convert_to_numpy(features)


def update_all(metrics, real, generated, value_range=None):
    """`update_state` of several measures of the same pictures, each feature computed once.

    Args:
        metrics: list of measures of this package.
        real, generated: as of `update_state`; those with a reference need no real ones, and look at none.
        value_range: of float pictures, instead of the metrics' own.

    Example:

    ```python
    metrics = [kgen.metrics.FrechetDistance("efficientnet_lite0"), kgen.metrics.KernelDistance("efficientnet_lite0")]
    kgen.metrics.update_all(metrics, real, model.generate(1000))
    ```
    """
    known = {}
    for metric in metrics:
        features = []
        for role, images in (("real", real), ("generated", generated)):
            if role == "real" and not metric.needs_real:
                features.append(None)
                continue
            key = (
                role,
                _identity(metric.feature_extractor),
                value_range or metric.value_range,
                type(metric).features_of,
                # A reference has its own say on what comes.
                getattr(metric, "reference", None),
            )
            if key not in known:
                known[key] = metric.features_of(images, role, value_range)
            features.append(known[key])
        metric.take(*features)


def _identity(extractor):
    """What two extractors that give the same features have in common."""
    if extractor is None:
        return None
    return id(extractor.network), extractor.image_size, extractor.value_range, extractor.interpolation
