import keras
import numpy as np
import pytest
from keras import layers, ops

from kgen.losses import PerceptualLoss, feature_matching
from kgen.metrics import FeatureExtractor
from kgen.training import backend
from tests.losses.slopes import slope

pytestmark = pytest.mark.backends
CLEAN, OTHER = np.random.default_rng(0).uniform(size=(2, 3, 8, 8, 3)).astype("float32")


def network():
    images = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, activation="relu", name="edges")(images)
    return keras.Model(images, layers.Conv2D(5, 3, name="parts")(x))


def test_is_the_mean_square_of_differences_of_features():
    model = network()
    maps = keras.Model(model.input, [model.get_layer("edges").output, model.output])
    features = [[ops.convert_to_numpy(f) for f in maps(2 * x - 1)] for x in (CLEAN, OTHER)]
    expected = sum(np.mean((a - b) ** 2, axis=(1, 2, 3)) for a, b in zip(*features))
    loss = PerceptualLoss(model, ["edges", "parts"])
    np.testing.assert_allclose(ops.convert_to_numpy(loss.loss(CLEAN, OTHER)), expected, rtol=1e-4)
    np.testing.assert_array_equal(ops.convert_to_numpy(loss.loss(CLEAN, CLEAN)), 0)
    last = np.mean((features[0][1] - features[1][1]) ** 2, axis=(1, 2, 3))
    np.testing.assert_allclose(ops.convert_to_numpy(PerceptualLoss(model).loss(CLEAN, OTHER)), last, rtol=1e-4)


def test_an_extractor_of_pixels_and_gradients():
    model = network()
    extractor = FeatureExtractor(model, maps=keras.Model(model.input, [model.output]))
    value, gradient = slope(lambda x: PerceptualLoss(extractor).loss(CLEAN, x), OTHER)
    np.testing.assert_allclose(value, ops.convert_to_numpy(PerceptualLoss(model).loss(CLEAN, OTHER)), rtol=1e-3)
    assert np.abs(gradient).max() > 0


def test_the_range_that_a_network_expects():
    model = network()
    wide = PerceptualLoss(model, value_range=(0, 255))
    expected = np.mean((ops.convert_to_numpy(model(255 * CLEAN)) - ops.convert_to_numpy(model(255 * OTHER))) ** 2)
    np.testing.assert_allclose(np.mean(ops.convert_to_numpy(wide.loss(CLEAN, OTHER))), expected, rtol=1e-4)


def test_what_is_wrong():
    with pytest.raises(TypeError, match="PerceptualLoss: network must be a built keras.Model .* got 'vgg'"):
        PerceptualLoss("vgg")
    with pytest.raises(ValueError, match="layers must be names from .*'parts'.*; got .'conv'."):
        PerceptualLoss(network(), ["conv"])
    with pytest.raises(ValueError, match="a FeatureExtractor must have feature maps, and layers"):
        PerceptualLoss(FeatureExtractor(network()))


# === Feature matching ===
def features(seed):
    return np.random.default_rng(seed).normal(size=(5, 2, 3)).astype("float32")


def test_feature_matching_by_hand():
    real, fake = features(0), features(1) + 1.0
    expected = np.square(np.float64(real).mean(axis=0) - np.float64(fake).mean(axis=0)).sum()
    values = ops.convert_to_numpy(feature_matching(real, fake))
    np.testing.assert_allclose(values, np.full(5, expected), rtol=1e-5)
    # Only means count.
    np.testing.assert_allclose(ops.convert_to_numpy(feature_matching(real, real[::-1])), np.zeros(5), atol=1e-10)


def test_slope_of_feature_matching_by_hand():
    real, fake = features(0), ops.convert_to_tensor(features(1))
    # The sum of five equal values: 5 times the slope of one.
    slope = backend.input_gradient(lambda x: feature_matching(real, x), fake)
    difference = real.mean(axis=0) - features(1).mean(axis=0)
    expected = np.broadcast_to(-2 * difference, (5, 2, 3))
    np.testing.assert_allclose(ops.convert_to_numpy(ops.stop_gradient(slope)), expected, rtol=1e-4, atol=1e-5)
