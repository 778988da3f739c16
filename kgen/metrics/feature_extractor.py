"""Networks that turn images into the features in which metrics compare them."""

from __future__ import annotations

import functools
import hashlib
import importlib
import numbers
from typing import Any

import keras
import numpy as np
from keras import ops

from kgen import checks
from kgen.layers.resize import KERNELS, resize
from kgen.progress import Progress
from kgen.training import backend
from kgen.types import Array, Tensor

# Name: (function, its argument); the function is in the module of kgen.metrics with the same name.
_NAMED = {
    "efficientnet_lite0": ("efficientnet_lite0", "features"),
    "efficientnet_lite0_probabilities": ("efficientnet_lite0", "probabilities"),
    "inception_v3": ("inception_v3", "features"),
    "inception_v3_probabilities": ("inception_v3", "probabilities"),
}


class FeatureExtractor:
    """A network that turns images into features, with all settings that must match for results to be comparable.

    Images have values from 0 to 255 here. They are resized with antialiasing as Pillow resizes float images (as in
    clean-fid: clipped to 0 and 255, never rounded) and scaled to the network's range. A grey image is repeated to three
    channels if the network takes three.

    It is a plain object, neither layer nor model, so a model whose metric uses it does not track or save it.

    Args:
        network: a `keras.Model` or layer from images `(batch, height, width, channels)` to features `(batch, dim)`, or
            to maps `(batch, height, width, dim)`, which are averaged over positions. It runs in inference mode.
        name: printed with every number; by default the network's name.
        image_size: an integer, or `(height, width)`, to resize images to; None to keep their size.
        value_range: `(low, high)`, the values that the network expects for 0 and 255.
        interpolation: `"bicubic"`, `"bilinear"` or `"lanczos"`.
        maps: a `keras.Model` from the same images to a list of feature maps, for perceptual distances; or None.
        spec: the name by which `FeatureExtractor.of` makes the same extractor again; None if there is none.

    Raises:
        TypeError: if `network` or `maps` is not a Keras model or layer.
        ValueError: for an invalid option.

    Example:

    ```python
    network = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Conv2D(8, 3)], name="small")
    extractor = kgen.metrics.FeatureExtractor(network, image_size=32)
    extractor.extract(np.zeros((10, 64, 64, 3), "uint8")).shape       # (10, 8)
    ```
    """

    def __init__(
        self,
        network: keras.layers.Layer,
        name: str | None = None,
        image_size: int | tuple[int, int] | None = None,
        value_range: tuple[float, float] = (-1.0, 1.0),
        interpolation: str = "bicubic",
        maps: keras.Model | None = None,
        spec: str | None = None,
    ):
        for label, model in (("network", network), ("maps", maps)):
            if not isinstance(model, keras.layers.Layer) and (model is not None or label == "network"):
                raise TypeError(
                    f"FeatureExtractor: {label} must be a Keras model or layer; got {type(model).__name__}."
                )
        takes = getattr(network, "input_shape", None)
        if takes is not None and (not isinstance(takes, tuple) or len(takes) != 4):
            raise ValueError(
                f"FeatureExtractor: network must take only images (batch, height, width, channels); it takes {takes}."
            )
        sides = image_size if isinstance(image_size, (tuple, list)) else (image_size, image_size)
        if len(sides) != 2:
            raise ValueError(f"FeatureExtractor: image_size must be one integer or two; got {image_size!r}.")
        if not _is_range(value_range):
            raise ValueError(f"FeatureExtractor: value_range must be (low, high), low < high; got {value_range!r}.")
        if interpolation not in KERNELS:
            raise ValueError(f"FeatureExtractor: interpolation must be one of {list(KERNELS)}; got {interpolation!r}.")
        self.network = network
        self.name = name or network.name
        self.image_size = None
        if image_size is not None:
            self.image_size = tuple(checks.integer("FeatureExtractor", "image_size", side) for side in sides)
        self.value_range = tuple(float(v) for v in value_range)
        self.interpolation = interpolation
        self.maps = maps
        self.spec = spec
        self._compiled: dict[tuple, Any] = {}  # one per image shape: a shared one would not know the size

    def __repr__(self) -> str:
        return f"<FeatureExtractor {self.name}>"

    @classmethod
    def of(cls, value: Any) -> FeatureExtractor | None:
        """The feature extractor for a name, a network or a dual encoder.

        Args:
            value: one of the names `"efficientnet_lite0"`, `"efficientnet_lite0_probabilities"`, `"inception_v3"`,
                `"inception_v3_probabilities"` and `"pixels"` (the pixels themselves, from 0 to 1, as one vector),
                each built once; a `keras.Model` or layer that expects images in [-1, 1]; a `kgen.models.DualEncoder`,
                for its image tower; a `FeatureExtractor`; or None.

        Returns:
            A `FeatureExtractor`, or None for None.

        Raises:
            TypeError: if `value` is something else.
            ValueError: for an unknown name.

        Example:

        ```python
        kgen.metrics.FeatureExtractor.of("pixels").dim((8, 8, 3))       # 192
        ```
        """
        if value is None or isinstance(value, cls):
            return value
        if hasattr(value, "as_feature_extractor"):
            return value.as_feature_extractor()
        if isinstance(value, keras.layers.Layer):
            return cls(value)
        if not isinstance(value, str):
            raise TypeError(
                "FeatureExtractor: expected a name, a Keras model from images in [-1, 1] to features, a "
                f"FeatureExtractor, or None; got {type(value).__name__}."
            )
        if value == "pixels":
            return _pixels()
        if value not in _NAMED:
            raise ValueError(f"FeatureExtractor: unknown name {value!r}; choose from {', '.join([*_NAMED, 'pixels'])}.")
        function, output = _NAMED[value]
        return getattr(importlib.import_module(f"kgen.metrics.{function}"), function)(output)

    # === What it computes ===
    def __call__(self, pixels: Tensor) -> Tensor:
        """Features, `(batch, dim)` float32, of pixels `(batch, height, width, channels)` from 0 to 255.

        It works in a compiled function if height and width are known, and gradients flow through it. An image with NaN
        gets NaN features.
        """
        (features,) = self._run(self.network, pixels)
        if len(features.shape) == 4:
            features = ops.mean(features, axis=(1, 2))
        if len(features.shape) != 2:
            raise ValueError(
                f"FeatureExtractor: {self.name} must give features (batch, dim) or maps (batch, height, width, dim); "
                f"got {tuple(features.shape)}."
            )
        return features

    def feature_maps(self, pixels: Tensor) -> list[Tensor]:
        """A list of maps `(batch, h, w, c)`, float32, of pixels `(batch, height, width, channels)` from 0 to 255."""
        if self.maps is None:
            raise ValueError(
                f"FeatureExtractor: {self.name} has no feature maps. Pass a model that outputs them as maps=."
            )
        return self._run(self.maps, pixels)

    def extract(self, images: Tensor, batch_size: int = 64, verbose: int | str = "auto") -> Array:
        """Features of many images, in batches.

        Args:
            images: array `(N, height, width, channels)`: uint8, or float from 0 to 255.
            batch_size: images per batch.
            verbose: 0: silent; 1: progress bar; "auto": a bar after two seconds.

        Returns:
            NumPy array `(N, dim)`, float32.

        Raises:
            ValueError: for images of another rank or number of channels, no images, or a `batch_size` below 1.
        """
        batch_size = checks.integer("FeatureExtractor.extract", "batch_size", batch_size)
        self._check(images)
        shape = tuple(images.shape[1:])
        if shape not in self._compiled:
            self.dim(shape)  # builds the network if it is not built
            compiled = backend.compiled(lambda inputs: self(inputs["pixels"]), lambda: self.network.variables)
            self._compiled[shape] = compiled
        count = len(images)
        progress = Progress(count, "image", verbose)
        features = []
        for start in range(0, count, batch_size):
            batch = np.asarray(images[start : start + batch_size])
            features.append(self._compiled[shape]({"pixels": batch}))
            progress.add(len(batch))
        return np.concatenate(features)

    def dim(self, image_shape: tuple[int, ...]) -> int:
        """Length of the features of images `(height, width, channels)`, without computing any."""
        self._check(keras.KerasTensor((1, *image_shape)))
        if not self.network.built:
            # Variables must not be made inside a compiled function.
            self(np.zeros((1, *image_shape), "uint8"))
        shape = (None, *(self.image_size or image_shape[:2]), self._channels() or image_shape[-1])
        try:
            shape = self.network.compute_output_shape(shape)
        except NotImplementedError:
            shape = self.network.compute_output_spec(keras.KerasTensor(shape)).shape
        if shape[-1] is None:
            raise ValueError(
                f"FeatureExtractor: {self.name} needs images of known height and width; got {tuple(image_shape)}."
            )
        return int(shape[-1])

    # === What it is ===
    @property
    def key(self) -> dict[str, Any]:
        """A JSON dict that differs if results are not comparable. It reads all weights."""
        digest = hashlib.sha256()
        for variable in self.network.variables:
            value = ops.convert_to_numpy(variable.value)
            digest.update(f"{value.shape} {value.dtype}".encode())
            digest.update(value.tobytes())
        return {
            "name": self.name,
            "image_size": None if self.image_size is None else list(self.image_size),
            "interpolation": self.interpolation,
            "value_range": list(self.value_range),
            "weights": digest.hexdigest(),
        }

    # === Images in ===
    def _run(self, network, pixels):
        """A network's float32 outputs for pixels, after checks, resizing, and conversion to its range and channels."""
        pixels = ops.cast(ops.convert_to_tensor(pixels), "float32")
        self._check(pixels)
        images = pixels
        if self.image_size is not None:
            if None in pixels.shape[1:3]:
                raise ValueError(
                    f"FeatureExtractor: {self.name} resizes images, so their height and width must be known; got shape "
                    f"{tuple(pixels.shape)}. Set the shape of the dataset's elements."
                )
            images = ops.clip(resize(images, self.image_size, self.interpolation), 0.0, 255.0)
        low, high = self.value_range
        images = images * ((high - low) / 255.0) + low
        if images.shape[-1] == 1 and self._channels() == 3:
            images = ops.repeat(images, 3, axis=-1)
        outputs = network(images, training=False)
        outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
        # TensorFlow's relu6 turns NaN into 0: a broken image would pass for a good one.
        finite = ops.isfinite(ops.sum(pixels, axis=(1, 2, 3)))
        return [
            ops.where(ops.reshape(finite, [-1] + [1] * (len(y.shape) - 1)), ops.cast(y, "float32"), float("nan"))
            for y in outputs
        ]

    def _check(self, pixels):
        shape, channels = getattr(pixels, "shape", None), self._channels()
        if shape is None or len(shape) != 4:
            got = type(pixels).__name__ if shape is None else f"shape {tuple(shape)}"
            raise ValueError(f"FeatureExtractor: images must be (batch, height, width, channels); got {got}.")
        if 0 in shape:
            raise ValueError(f"FeatureExtractor: images must not be empty; got shape {tuple(shape)}.")
        if channels not in (None, shape[-1]) and (channels, shape[-1]) != (3, 1):
            takes = "3 channels, or of 1 channel that is repeated" if channels == 3 else f"{channels} channels"
            raise ValueError(f"FeatureExtractor: {self.name} takes images of {takes}; got shape {tuple(shape)}.")

    def _channels(self):
        """The number of channels that the network takes; None if it does not say."""
        return getattr(self.network, "input_shape", (None,))[-1]


def _is_range(value):
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        return False
    return all(isinstance(v, numbers.Real) and not isinstance(v, bool) for v in value) and value[0] < value[1]


@functools.cache
def _pixels():
    flatten = keras.layers.Flatten(data_format="channels_last", dtype="float32")
    return FeatureExtractor(flatten, "pixels", value_range=(0.0, 1.0), spec="pixels")
