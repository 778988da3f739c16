"""What turns pictures into the features in which they are compared."""

from __future__ import annotations

import functools
import hashlib
import importlib

import keras
import numpy as np
from keras import ops

from kgen.layers.resize import KERNELS, resize
from kgen.training import backend

# Name: (function, its argument); the function lies in the module of kgen.metrics that is named like it.
_NAMED = {
    "efficientnet_lite0": ("efficientnet_lite0", "features"),
    "efficientnet_lite0_probabilities": ("efficientnet_lite0", "probabilities"),
    "inception_v3": ("inception_v3", "features"),
    "inception_v3_probabilities": ("inception_v3", "probabilities"),
}


class FeatureExtractor:
    """A network that describes pictures by features, with all that must be the same for two numbers to be comparable.

    Pictures are numbers from 0 to 255 here. They are resized with antialiasing as Pillow resizes float images (and as
    clean-fid does, cut off at 0 and 255 but never rounded), scaled to the network's range, and a grey picture is
    repeated to three channels where the network wants three.

    A plain object, neither layer nor model: a model whose metric uses it neither tracks nor saves it.

    Args:
        network: a `keras.Model` or layer from images `(batch, height, width, channels)` to features `(batch, dim)`, or
            to maps `(batch, height, width, dim)`, which are averaged over positions. It runs in inference mode.
        name: printed with every number; by default the network's.
        image_size: an integer, or `(height, width)`, that pictures are resized to; None: they stay as they come.
        value_range: `(low, high)`: what the network expects in place of 0 and 255.
        interpolation: `"bicubic"` or `"bilinear"`.
        maps: a `keras.Model` from the same images to a list of feature maps, for perceptual distances; or None.
        spec: the name by which `FeatureExtractor.of` makes this very extractor; None if there is none.

    Raises:
        TypeError: `network` or `maps` is no Keras model or layer.
        ValueError: an option has no meaning.

    Example:
        >>> import keras, numpy as np
        >>> from kgen.metrics.feature_extractor import FeatureExtractor
        >>> network = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Conv2D(8, 3)], name="small")
        >>> extractor = FeatureExtractor(network, image_size=32)
        >>> extractor.extract(np.zeros((10, 64, 64, 3), "uint8")).shape
        (10, 8)
    """

    def __init__(
        self,
        network,
        name=None,
        image_size=None,
        value_range=(-1.0, 1.0),
        interpolation="bicubic",
        maps=None,
        spec=None,
    ):
        for label, model in (("network", network), ("maps", maps)):
            if not isinstance(model, keras.layers.Layer) and (model is not None or label == "network"):
                raise TypeError(
                    f"FeatureExtractor: {label} must be a Keras model or layer; got {type(model).__name__}."
                )
        takes = getattr(network, "input_shape", None)
        if takes is not None and (not isinstance(takes, tuple) or len(takes) != 4):
            raise ValueError(
                f"FeatureExtractor: network must take images (batch, height, width, channels) alone; it takes {takes}."
            )
        if isinstance(image_size, int) and not isinstance(image_size, bool):
            image_size = (image_size, image_size)
        if image_size is not None and not _is_pair(image_size, int, lambda h, w: min(h, w) > 0):
            raise ValueError(
                "FeatureExtractor: image_size must be a positive integer, (height, width), or None to take pictures as "
                f"they come; got {image_size!r}."
            )
        if not _is_pair(value_range, (int, float), lambda low, high: low < high):
            raise ValueError(f"FeatureExtractor: value_range must be (low, high), low < high; got {value_range!r}.")
        if interpolation not in KERNELS:
            raise ValueError(f"FeatureExtractor: interpolation must be one of {list(KERNELS)}; got {interpolation!r}.")
        self.network = network
        self.name = name or network.name
        self.image_size = None if image_size is None else tuple(image_size)
        self.value_range = tuple(float(v) for v in value_range)
        self.interpolation = interpolation
        self.maps = maps
        self.spec = spec
        self._compiled = {}  # by the shape of pictures: one for several would not know their size

    def __repr__(self):
        return f"<FeatureExtractor {self.name}>"

    @classmethod
    def of(cls, value):
        """The feature extractor that `value` stands for.

        Args:
            value: one of the names `"efficientnet_lite0"`, `"efficientnet_lite0_probabilities"`, `"inception_v3"`,
                `"inception_v3_probabilities"` and `"pixels"` (the pixels themselves, from 0 to 1, as one row), each
                built once; a `keras.Model` or layer that expects images in [-1, 1]; a `kgen.models.DualEncoder`, for
                its image tower; a `FeatureExtractor`; or None.

        Returns:
            A `FeatureExtractor`, or None for None.

        Raises:
            TypeError: `value` is nothing of this.
            ValueError: an unknown name.

        Example:
            >>> FeatureExtractor.of("pixels").dim((8, 8, 3))
            192
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
            raise ValueError(f"FeatureExtractor: unknown name {value!r}; known are {', '.join([*_NAMED, 'pixels'])}.")
        function, output = _NAMED[value]
        return getattr(importlib.import_module(f"kgen.metrics.{function}"), function)(output)

    # === What it computes ===
    def __call__(self, pixels):
        """Features, `(batch, dim)` float32, of pixels `(batch, height, width, channels)` from 0 to 255.

        Works in a compiled function where height and width are known, and gradients flow through it. A picture with
        NaN has features of NaN.
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

    def feature_maps(self, pixels):
        """A list of maps `(batch, h, w, c)`, float32, of pixels `(batch, height, width, channels)` from 0 to 255."""
        if self.maps is None:
            raise ValueError(f"FeatureExtractor: {self.name} has no feature maps; give it a model of them by maps=.")
        return self._run(self.maps, pixels)

    def extract(self, images, batch_size=64, verbose="auto"):
        """Features of many pictures, in batches.

        Args:
            images: array `(N, height, width, channels)`: uint8, or float from 0 to 255.
            batch_size: pictures computed at once.
            verbose: 0: silent; 1: progress bar; "auto": a bar on long work.

        Returns:
            numpy array `(N, dim)`, float32.

        Raises:
            ValueError: pictures of another rank or number of channels, none at all, or a `batch_size` below 1.
        """
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
            raise ValueError(f"FeatureExtractor.extract: batch_size must be at least 1; got {batch_size!r}.")
        self._check(images)
        shape = tuple(images.shape[1:])
        if shape not in self._compiled:
            self.dim(shape)  # builds the network if nobody did
            compiled = backend.compiled(lambda inputs: self(inputs["pixels"]), lambda: self.network.variables)
            self._compiled[shape] = compiled
        count = len(images)
        shown = verbose == 1 or (verbose == "auto" and count > 8 * batch_size)
        progress = keras.utils.Progbar(count, unit_name="image") if shown else None
        features = []
        for start in range(0, count, batch_size):
            features.append(self._compiled[shape]({"pixels": np.asarray(images[start : start + batch_size])}))
            if progress:
                progress.update(min(start + batch_size, count))
        return np.concatenate(features)

    def dim(self, image_shape):
        """Length of the features of pictures `(height, width, channels)`, found without computing any."""
        self._check(keras.KerasTensor((1, *image_shape)))
        if not self.network.built:
            # Variables must not be born inside a compiled function.
            self(np.zeros((1, *image_shape), "uint8"))
        shape = (None, *(self.image_size or image_shape[:2]), self._channels() or image_shape[-1])
        try:
            shape = self.network.compute_output_shape(shape)
        except NotImplementedError:
            shape = self.network.compute_output_spec(keras.KerasTensor(shape)).shape
        if shape[-1] is None:
            raise ValueError(f"FeatureExtractor: {self.name} needs pictures of known size; got {tuple(image_shape)}.")
        return int(shape[-1])

    # === What it is ===
    @property
    def key(self):
        """A dict for JSON that differs between extractors whose numbers are not comparable. Reads all weights."""
        digest = hashlib.sha256()
        for variable in self.network.variables:
            value = ops.convert_to_numpy(variable.value)
            digest.update(f"{value.shape} {value.dtype}".encode())
            digest.update(np.ascontiguousarray(value))
        return {
            "name": self.name,
            "image_size": None if self.image_size is None else list(self.image_size),
            "interpolation": self.interpolation,
            "value_range": list(self.value_range),
            "weights": digest.hexdigest(),
        }

    # === Pictures in ===
    def _run(self, network, pixels):
        """The outputs, float32, of a network for pixels: checked, resized, in its range and number of channels."""
        pixels = ops.cast(ops.convert_to_tensor(pixels), "float32")
        self._check(pixels)
        images = pixels
        if self.image_size is not None:
            if None in pixels.shape[1:3]:
                raise ValueError(
                    f"FeatureExtractor: {self.name} resizes pictures, and must know their height and width; got shape "
                    f"{tuple(pixels.shape)}. Set the shape of the dataset's elements."
                )
            images = ops.clip(resize(images, self.image_size, self.interpolation), 0.0, 255.0)
        low, high = self.value_range
        images = images * ((high - low) / 255.0) + low
        if images.shape[-1] == 1 and self._channels() == 3:
            images = ops.repeat(images, 3, axis=-1)
        outputs = network(images, training=False)
        outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
        # TensorFlow's relu6 makes 0 of NaN: a broken picture would pass for a sound one.
        finite = ops.isfinite(ops.sum(pixels, axis=(1, 2, 3)))
        return [
            ops.where(ops.reshape(finite, [-1] + [1] * (len(y.shape) - 1)), ops.cast(y, "float32"), float("nan"))
            for y in outputs
        ]

    def _check(self, pixels):
        shape, channels = getattr(pixels, "shape", None), self._channels()
        if shape is None or len(shape) != 4:
            got = type(pixels).__name__ if shape is None else f"shape {tuple(shape)}"
            raise ValueError(f"FeatureExtractor: pictures must be (batch, height, width, channels); got {got}.")
        if 0 in shape:
            raise ValueError(f"FeatureExtractor: pictures must not be empty; got shape {tuple(shape)}.")
        if channels not in (None, shape[-1]) and (channels, shape[-1]) != (3, 1):
            takes = "3 channels, or 1 to repeat" if channels == 3 else f"{channels} channels"
            raise ValueError(f"FeatureExtractor: {self.name} takes pictures of {takes}; got shape {tuple(shape)}.")

    def _channels(self):
        """The number of channels that the network takes; None if it does not say."""
        return getattr(self.network, "input_shape", (None,))[-1]


def _is_pair(value, types, holds):
    return (
        isinstance(value, (tuple, list))
        and len(value) == 2
        and all(isinstance(v, types) and not isinstance(v, bool) for v in value)
        and holds(*value)
    )


@functools.cache
def _pixels():
    return FeatureExtractor(keras.layers.Flatten(dtype="float32"), "pixels", value_range=(0.0, 1.0), spec="pixels")
