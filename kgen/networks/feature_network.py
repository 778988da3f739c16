"""The features of a discriminator, for other uses."""

from __future__ import annotations

from typing import Any

import keras

from kgen.networks.interface import inputs_of
from kgen.types import Tensor


def feature_network(discriminator: keras.Model, space: Any = None) -> keras.Model:
    """The part of a discriminator before its logits: a network from images to features, with the same weights.

    The features are the output of the layer named "features" or, without such a layer, the input of the last layer that
    has weights. Weights are shared, so the features change while the discriminator trains.

    Args:
        discriminator: a functional `keras.Model`, or a built `keras.Sequential`.
        space: the `kgen.spaces.LatentSpace` that it sees images in; None: pixels.

    Returns:
        A `keras.Model` from the discriminator's inputs, with images in place of latents, to features `(batch, ...)`.

    Raises:
        ValueError: if the model's layers are not known as a graph, or none of them has weights.

    Example: a classifier trained on few labelled images, with features learned from many unlabelled ones.

    ```python
    features = kgen.networks.feature_network(gan.discriminator)
    features.trainable = False
    probe = keras.Sequential([features, keras.layers.Flatten(), keras.layers.Dense(10)])
    probe.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    probe.fit(images / 127.5 - 1.0, labels)
    ```
    """
    features = feature_tensor(discriminator)
    inputs, name = inputs_of(discriminator), f"{discriminator.name}_features"
    if space is None or not space.stores:
        return keras.Model(inputs, features, name=name)
    network = keras.Model(inputs, features, name=f"{name}_of_latents")
    if not isinstance(inputs, dict):
        images = keras.Input(space.image_shape("feature_network", inputs.shape[1:]), name="images")
        return keras.Model(images, network(space(images)), name=name)
    given = {key: keras.Input(tensor.shape[1:], name=key) for key, tensor in inputs.items() if key != "images"}
    given["images"] = keras.Input(space.image_shape("feature_network", inputs["images"].shape[1:]), name="images")
    return keras.Model(given, network({**given, "images": space(given["images"])}), name=name)


def feature_tensor(discriminator: keras.Model) -> Tensor:
    """The symbolic features in a discriminator's graph; see `feature_network`."""
    if not isinstance(discriminator, (keras.Sequential, keras.Function)) or not discriminator.built:
        raise ValueError(
            "feature_network: the discriminator must be a functional keras.Model or a built keras.Sequential, so "
            f"that its graph of layers is known; got {type(discriminator).__name__} {discriminator.name!r}."
        )
    for layer in discriminator.layers:
        if layer.name == "features":
            return layer.output
    for layer in reversed(discriminator.layers):
        if layer.weights:
            return layer.input
    raise ValueError(f"feature_network: no layer of {discriminator.name!r} has weights.")
