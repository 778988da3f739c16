import keras
import numpy as np
import pytest
from keras import layers, ops

from kgen.networks import MultiscaleEncoder, feature_network
from tests.models import tiny


def random_images():
    return np.random.default_rng(0).uniform(-1, 1, (3, *tiny.SHAPE)).astype("float32")


@pytest.mark.backends
def test_before_the_last_layer_with_weights():
    network = keras.Sequential(
        [keras.Input(tiny.SHAPE), layers.Flatten(), layers.Dense(5, "relu"), layers.Dense(1), layers.Reshape(())]
    )
    features = feature_network(network)
    assert features.output_shape == (None, 5)
    h = ops.convert_to_numpy(features(random_images()))
    kernel, bias = network.layers[2].get_weights()
    np.testing.assert_allclose(ops.convert_to_numpy(network(random_images())), (h @ kernel + bias)[:, 0], atol=1e-5)


@pytest.mark.backends
def test_the_layer_called_features():
    network = tiny.classifying_discriminator()
    features = feature_network(network)
    x = random_images()
    expected = ops.convert_to_numpy(network.get_layer("features")(x.reshape(3, -1)))
    np.testing.assert_allclose(ops.convert_to_numpy(features(x)), expected, atol=1e-6)
    # Weights are shared, not copied.
    assert {id(v) for v in features.variables} < {id(v) for v in network.variables}
    network.get_layer("features").kernel.assign(np.zeros((192, 32)))
    assert np.all(ops.convert_to_numpy(features(x)) == 0.0)


def test_of_a_network_of_ours_with_a_condition():
    features = feature_network(MultiscaleEncoder((32, 32, 3), 1, pooled_dim=4, feature_dim=24))
    assert features.output_shape == (None, 24)


def test_a_probe_learns_on_frozen_features():
    images, labels = tiny.bands()
    features = feature_network(tiny.encoder(1))
    features.trainable = False
    before = features.get_weights()
    probe = keras.Sequential([features, layers.Flatten(), layers.Dense(tiny.CLASSES)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    probe.compile(keras.optimizers.Adam(0.02), loss, metrics=["accuracy"])
    history = probe.fit(images / 127.5 - 1.0, labels, epochs=15, verbose=0).history
    assert history["accuracy"][-1] > 0.95
    for old, new in zip(before, features.get_weights()):
        np.testing.assert_array_equal(old, new)


def test_what_has_no_graph_or_no_weights():
    class Own(keras.Model):
        pass

    with pytest.raises(ValueError, match="feature_network: the discriminator must be a functional .*; got Own"):
        feature_network(Own())
    with pytest.raises(ValueError, match="feature_network: no layer of 'empty' has weights"):
        feature_network(keras.Sequential([keras.Input(tiny.SHAPE), layers.Flatten()], name="empty"))
