"""How far two pictures are apart in the eyes of a network."""

from __future__ import annotations

import keras
from keras import ops


class PerceptualLoss:
    """sum_l mean (f_l(x) - f_l(y))^2 over feature maps f_l of a network.

    [Johnson et al. 2016, "Perceptual losses for real-time style transfer and super-resolution", equation 2.] A plain
    object: a model that uses it neither trains nor saves the network.

    Args:
        network: a functional `keras.Model` of pictures, such as one of `keras.applications`; or a
            `kgen.metrics.FeatureExtractor` with feature maps.
        layers: names of the network's layers; None for its outputs. An extractor has its own.
        value_range: `(low, high)`: what the network expects in place of 0 and 1. An extractor knows.

    Raises:
        TypeError: if the network is nothing of this.
        ValueError: for layers that it does not have, or none.

    Example:

    ```python
    network = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(8, 3, name="edges")])
    kgen.losses.PerceptualLoss(network, ["edges"]).loss(clean, restored)      # (batch,), of pictures in [0, 1]
    ```
    """

    def __init__(self, network, layers=None, value_range=(-1.0, 1.0)):
        if hasattr(network, "feature_maps"):
            if layers is not None or network.maps is None:
                raise ValueError(
                    f"PerceptualLoss: an extractor has feature maps of its own, and no layers to name; got {network!r} "
                    f"and layers={layers!r}."
                )
        elif not isinstance(network, keras.Model) or not network.built:
            raise TypeError(
                "PerceptualLoss: network must be a built keras.Model of pictures, or a kgen.metrics.FeatureExtractor; "
                f"got {network!r}."
            )
        elif layers is not None:
            known = [layer.name for layer in network.layers]
            if not layers or set(layers) - set(known):
                raise ValueError(f"PerceptualLoss: layers must be names of {known}; got {layers!r}.")
            network = keras.Model(network.inputs, [network.get_layer(name).output for name in layers])
        self.network = network
        self.value_range = tuple(float(value) for value in value_range)

    def loss(self, real, generated):
        """`(batch,)` of two tensors `(batch, height, width, channels)` in [0, 1]."""
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
