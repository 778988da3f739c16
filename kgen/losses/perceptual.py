"""How far apart images are in the features of a network: one by one, or on average over a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kgen.types import Tensor


class PerceptualLoss:
    """sum_l mean (f_l(x) - f_l(y))^2 over feature maps f_l of a network.

    [Johnson et al. 2016, "Perceptual losses for real-time style transfer and super-resolution", equation 2.] It is
    a plain object, so a model that uses it neither trains nor saves the network.

    Args:
        network: a functional `keras.Model` of images, such as one of `keras.applications`; or a
            `kgen.metrics.FeatureExtractor` with feature maps.
        layers: names of the network's layers; None for its outputs. An extractor takes none: it has its own maps.
        value_range: `(low, high)`, the values that the network expects for 0 and 1. An extractor ignores it.

    Raises:
        TypeError: if `network` is something else.
        ValueError: if `layers` is empty or names unknown layers; if the extractor has no maps.

    Example:

    ```python
    network = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(8, 3, name="edges")])
    kgen.losses.PerceptualLoss(network, ["edges"]).loss(clean, restored)      # (batch,), of images in [0, 1]
    ```
    """

    def __init__(
        self,
        network: keras.Model | Any,
        layers: Sequence[str] | None = None,
        value_range: tuple[float, float] = (-1.0, 1.0),
    ):
        if hasattr(network, "feature_maps"):
            if layers is not None or network.maps is None:
                raise ValueError(
                    "PerceptualLoss: a FeatureExtractor must have feature maps, and layers must be left out; got "
                    f"{network!r} and layers={layers!r}."
                )
        elif not isinstance(network, keras.Model) or not network.built:
            raise TypeError(
                "PerceptualLoss: network must be a built keras.Model of images, or a kgen.metrics.FeatureExtractor; "
                f"got {network!r}."
            )
        elif layers is not None:
            known = [layer.name for layer in network.layers]
            if not layers or set(layers) - set(known):
                raise ValueError(f"PerceptualLoss: layers must be names from {known}; got {layers!r}.")
            network = keras.Model(network.inputs, [network.get_layer(name).output for name in layers])
        self.network = network
        self.value_range = tuple(float(value) for value in value_range)

    def loss(self, real: Tensor, generated: Tensor) -> Tensor:
        """The loss `(batch,)` of two tensors `(batch, height, width, channels)` in [0, 1]."""
        distance = 0.0
        for x, y in zip(self._features(real), self._features(generated)):
            axes = tuple(range(1, len(x.shape)))
            distance += ops.mean(ops.square(ops.cast(x, "float32") - ops.cast(y, "float32")), axis=axes)
        return distance

    def _features(self, images):
        images = ops.cast(images, "float32")
        if hasattr(self.network, "feature_maps"):
            return self.network.feature_maps(255.0 * images)
        low, high = self.value_range
        features = self.network(low + (high - low) * images, training=False)
        return features if isinstance(features, (list, tuple)) else [features]


def feature_matching(real_features: Tensor, fake_features: Tensor) -> Tensor:
    """||mean f(x) - mean f(G(z))||^2, means over the batch [Salimans et al. 2016, "Improved techniques for training
    GANs", section 3.1].

    Args:
        real_features, fake_features: `(batch, ...)`, features f of real and of generated images.

    Returns:
        Tensor `(batch,)`: the same number for each sample, because it describes the whole batch.

    Example:

    ```python
    kgen.losses.feature_matching(keras.ops.ones((4, 3)), keras.ops.zeros((4, 3)))     # [3, 3, 3, 3]
    ```
    """
    real_features, fake_features = ops.cast(real_features, "float32"), ops.cast(fake_features, "float32")
    difference = ops.mean(real_features, axis=0) - ops.mean(fake_features, axis=0)
    return ops.sum(ops.square(difference)) * ops.ones((ops.shape(fake_features)[0],), "float32")
