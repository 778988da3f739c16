import keras
import numpy as np
import pytest
from keras import layers, ops

from kgen.losses import PerceptualLoss
from kgen.metrics import FeatureExtractor
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
    with pytest.raises(ValueError, match="layers must be names of .*'parts'.*; got .'conv'."):
        PerceptualLoss(network(), ["conv"])
    with pytest.raises(ValueError, match="an extractor has feature maps of its own"):
        PerceptualLoss(FeatureExtractor(network()))
