"""What a discriminator knows of pictures, for other uses."""

from __future__ import annotations

import keras


def feature_network(discriminator):
    """The part of a discriminator before its verdict: a network from pictures to features, with the same weights.

    The features are what the layer named "features" gives; where there is none, what goes into the last layer that has
    weights. As weights are shared, the features change as the discriminator trains.

    Args:
        discriminator: a functional `keras.Model`, or a built `keras.Sequential`.

    Returns:
        A `keras.Model` that takes what the discriminator takes and gives features `(batch, ...)`.

    Raises:
        ValueError: if the model's layers are not known as a graph, or none of them has weights.

    Example: a classifier of few labelled pictures, on features learnt from many without labels.

    ```python
    features = kgen.networks.feature_network(gan.discriminator)
    features.trainable = False
    probe = keras.Sequential([features, keras.layers.Flatten(), keras.layers.Dense(10)])
    probe.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    probe.fit(images / 127.5 - 1.0, labels)
    ```
    """
    features = feature_tensor(discriminator)
    inputs = discriminator.inputs[0] if isinstance(discriminator, keras.Sequential) else discriminator.input
    return keras.Model(inputs, features, name=f"{discriminator.name}_features")


def feature_tensor(discriminator):
    """The symbolic features within a discriminator's graph; see `feature_network`."""
    if not isinstance(discriminator, (keras.Sequential, keras.Function)) or not discriminator.built:
        raise ValueError(
            "feature_network: the discriminator must be a functional keras.Model or a built keras.Sequential, whose "
            f"layers are known as a graph; got {type(discriminator).__name__} {discriminator.name!r}."
        )
    for layer in discriminator.layers:
        if layer.name == "features":
            return layer.output
    for layer in reversed(discriminator.layers):
        if layer.weights:
            return layer.input
    raise ValueError(f"feature_network: no layer of {discriminator.name!r} has weights.")
