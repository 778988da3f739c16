import re

import keras
import numpy as np
import pytest

from kgen.metrics import FeatureExtractor
from kgen.networks import style_encoder
from tests.models import tiny_style


def array(tensor):
    return keras.ops.convert_to_numpy(tensor)


@pytest.mark.backends
def test_named_layers_of_images_of_any_size():
    network = tiny_style.encoder()
    encoder = style_encoder(network, ["fine", "coarse"], value_range=(0.0, 255.0))
    x = np.random.default_rng(0).uniform(0, 255, (2, 16, 16, 3)).astype("float32")
    maps = encoder(x / 127.5 - 1.0)
    for name, each in zip(("fine", "coarse"), maps):
        expected = array(keras.Model(network.inputs[0], network.get_layer(name).output)(x))
        np.testing.assert_allclose(array(each), expected, rtol=1e-4, atol=1e-3)
    assert [each.shape for each in encoder(np.zeros((1, 24, 10, 3)))] == [(1, 24, 10, 4), (1, 12, 5, 6)]
    assert not encoder.trainable_variables and len(encoder.weights) == 4


def test_efficientnet_lite0():
    extractor = FeatureExtractor.of("efficientnet_lite0")
    encoder = style_encoder("efficientnet_lite0")
    pixels = np.random.default_rng(0).integers(0, 256, (1, 224, 224, 3)).astype("float32")
    maps = encoder(pixels / 127.5 - 1.0)
    assert [each.shape[1:] for each in maps] == [(112, 112, 32), (112, 112, 96), (56, 56, 144), (28, 28, 240)]
    # The last one is what the original network sees there.
    low, high = extractor.value_range
    original = keras.Model(extractor.network.inputs[0], extractor.network.get_layer("relu_10").output)
    expected = array(original(pixels * ((high - low) / 255.0) + low))
    np.testing.assert_allclose(array(maps[-1]), expected, atol=1e-3)
    assert encoder.count_params() < 70_000


def test_vgg19_without_its_weights_says_what_to_do(monkeypatch):
    def no_network(**options):
        raise Exception("URL fetch failure")

    monkeypatch.setattr(keras.applications, "VGG19", no_network)
    with pytest.raises(OSError, match="StyleTransfer: the weights of VGG19 could not be loaded .URL fetch failure"):
        style_encoder("vgg19", owner="StyleTransfer")


def test_vgg19_gets_what_it_was_trained_on(monkeypatch):
    names = ("block1_conv1", "block2_conv1", "block3_conv1", "block4_conv1")
    layers = [keras.layers.DepthwiseConv2D(1, depthwise_initializer="ones", name=name) for name in names]
    monkeypatch.setattr(
        keras.applications, "VGG19", lambda **options: keras.Sequential([keras.Input((None, None, 3)), *layers])
    )
    pixels = np.random.default_rng(0).integers(0, 256, (1, 4, 4, 3)).astype("float32")
    expected = keras.applications.vgg19.preprocess_input(pixels.copy())
    np.testing.assert_allclose(array(style_encoder("vgg19")(pixels / 127.5 - 1.0)[0]), expected, atol=1e-3)


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        (("vgg20",), ValueError, "encoder must be 'vgg19', 'efficientnet_lite0' or a keras.Model; got 'vgg20'"),
        ((3,), TypeError, "encoder must be a name or a keras.Model; got int"),
        ((keras.Sequential([keras.layers.Conv2D(3, 3)]),), ValueError, "so that its graph of layers is known"),
        ((tiny_style.encoder(), ["fine", "gone"]), ValueError, "; got gone"),
        ((keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Flatten()]),), ValueError, "got (None, 48)"),
    ],
)
def test_what_is_wrong_says_so(arguments, error, message):
    with pytest.raises(error, match=re.escape(message)):
        style_encoder(*arguments)
