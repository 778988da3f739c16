import warnings

import keras
import numpy as np
import pytest
from keras import layers, ops

from kgen.networks.interface import (
    check_discriminator,
    check_network,
    condition_names,
    ending,
    feed,
    inputs_of,
    named_input,
    outputs_of,
    pooled_dim,
    split_batch,
    warn_of_ending,
)
from tests.networks import dense


@pytest.fixture(scope="module")
def plain():
    return dense.encoder(1)


@pytest.fixture(scope="module")
def conditional():
    return dense.encoder(1, dense.CLASSES)


def unbuilt():
    return keras.Sequential([layers.Dense(4)], name="lazy")


@pytest.mark.backends
def test_a_network_is_fed_what_it_takes(plain, conditional):
    x = ops.convert_to_tensor(dense.images())
    condition = {"pooled": ops.one_hot([0, 1, 2, 0], dense.CLASSES), "tokens": ops.zeros((4, 2, 5))}
    np.testing.assert_array_equal(
        ops.convert_to_numpy(feed(plain, "images", x, condition, False)), ops.convert_to_numpy(plain(x))
    )
    together = ops.convert_to_numpy(conditional({"images": x, "pooled": condition["pooled"]}))
    np.testing.assert_array_equal(ops.convert_to_numpy(feed(conditional, "images", x, condition, False)), together)
    assert condition_names(plain, condition) == set() and condition_names(conditional, condition) == {"pooled"}


def test_a_network_that_wants_more_than_there_is(conditional):
    given = r"inputs \['images', 'pooled'\], but nothing is given for \['pooled'\]."
    with pytest.raises(ValueError, match=given + r" Its inputs may be 'images' .*: \['mask'\]"):
        feed(conditional, "images", dense.images(), {"mask": ops.ones((4, 2))}, False)


def test_a_network_that_does_not_know_its_inputs_gets_all_of_the_condition():
    class Sum(keras.Model):
        def call(self, inputs):
            return inputs["images"] + inputs["pooled"]

    assert inputs_of(unbuilt()) is None and condition_names(unbuilt(), {"pooled": 1}) == {"pooled"}
    assert float(feed(Sum(), "images", ops.ones(()), {"pooled": ops.ones(())}, False)) == 2.0


def test_a_batch_is_split_into_images_and_condition():
    batch = {"images": 1, "pooled": 2, "mask": 3}
    assert split_batch(batch) == (1, {"pooled": 2, "mask": 3})


def test_inputs_and_outputs_by_name(plain, conditional):
    assert set(outputs_of(plain)) == {"logits"}
    assert {name: x.shape[1] for name, x in outputs_of(dense.classifying_discriminator()).items()} == {
        "logits": 1,
        "labels": dense.CLASSES,
    }
    sequential = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    assert inputs_of(sequential).shape == (None, 4) and outputs_of(sequential)["logits"].shape == (None, 2)
    assert named_input("GAN", plain, "images") is plain.input
    assert named_input("GAN", conditional, "images") is conditional.input["images"]
    assert pooled_dim(plain) is None and pooled_dim(conditional) == dense.CLASSES


@pytest.mark.parametrize(
    "network, error, message",
    [
        (layers.Dense(3), TypeError, "VAE: generator must be a keras.Model; got Dense"),
        ("generator", TypeError, "VAE: generator must be a keras.Model; got str"),
        (None, TypeError, "VAE: generator must be a keras.Model; got NoneType"),
        (unbuilt(), ValueError, "VAE: the generator 'lazy' has no known input shape. Start it with keras.Input"),
    ],
)
def test_what_is_not_a_built_network(network, error, message):
    with pytest.raises(error, match=message):
        check_network("VAE", "generator", network)


def test_several_inputs_need_names():
    inputs = [keras.Input((4,)), keras.Input((3,))]
    network = keras.Model(inputs, layers.Dense(2)(layers.Concatenate()(inputs)))
    with pytest.raises(ValueError, match=r"VAE: several inputs .* a dict with 'latents' in it.* has a list of 2"):
        named_input("VAE", network, "latents")
    with pytest.raises(ValueError, match=r"must be a dict with 'latents' in it, .* has \['noise', 'pooled'\]"):
        named_input("VAE", dense.network("noise", (4,), dense.SHAPE, 3), "latents")


def check(discriminator, num_classes=None):
    check_discriminator("GAN", discriminator, dense.SHAPE, num_classes)


def test_discriminators_that_fit(plain, conditional):
    check(plain), check(conditional, dense.CLASSES)
    check(dense.classifying_discriminator(), dense.CLASSES)
    check(dense.network("images", dense.SHAPE, ()))


@pytest.mark.parametrize(
    "discriminator, error, message",
    [
        (None, TypeError, "GAN: discriminator must be a keras.Model; got NoneType"),
        (unbuilt(), ValueError, "GAN: the discriminator 'lazy' has no known input shape"),
        (
            dense.encoder(3),
            ValueError,
            r"must give one logit per image, shape \(batch, 1\), or per patch, .*; got \(None, 3\)",
        ),
        (
            dense.encoder(1, shape=(4, 4, 3)),
            ValueError,
            r"GAN: the discriminator takes images of shape \(4, 4, 3\), but the generated images have \(8, 8, 3\)",
        ),
        (dense.network("x", dense.SHAPE, (1,), 3), ValueError, r"'images' in it, .* \['pooled', 'x'\]"),
    ],
)
def test_discriminators_that_do_not_fit(discriminator, error, message):
    with pytest.raises(error, match=message):
        check(discriminator)


@pytest.mark.parametrize(
    "num_classes, told, message",
    [
        (None, False, r"'labels' of shape \(None, 3\), so num_classes must be their length; got None"),
        (4, False, "num_classes must be their length; got 4"),
        (3, True, "a discriminator that classifies must not be told the class"),
    ],
)
def test_classifiers_that_do_not_fit(num_classes, told, message):
    discriminator = dense.classifying_discriminator()
    if told:
        inputs = {"images": keras.Input(dense.SHAPE, name="images"), "pooled": keras.Input((3,), name="pooled")}
        discriminator = keras.Model(inputs, discriminator(inputs["images"]))
    with pytest.raises(ValueError, match=f"GAN: .*{message}"):
        check(discriminator, num_classes)


# === What a network ends with ===
def ended(*ends, name="network"):
    return keras.Sequential([keras.Input((4,)), layers.Dense(12), *ends], name=name)


@pytest.mark.parametrize(
    "network, expected",
    [
        (lambda: ended(layers.Dense(12, "sigmoid", name="last")), ("last", "sigmoid")),
        (lambda: ended(layers.Activation("tanh", name="last")), ("last", "tanh")),
        (lambda: ended(layers.Activation("hard_sigmoid", name="last"), layers.Flatten()), ("last", "hard_sigmoid")),
        (lambda: ended(layers.Dense(12, "sigmoid"), layers.Dense(12, name="last")), ("last", "linear")),
        (lambda: ended(layers.Dense(12, "sigmoid"), layers.Rescaling(2.0, -1.0, name="last")), ("last", "rescaling")),
        (
            lambda: ended(layers.Softmax(name="last"), layers.Reshape((2, 2, 3)), layers.UpSampling2D()),
            ("last", "softmax"),
        ),
        (lambda: ended(layers.ReLU(name="last"), layers.Activation("linear", dtype="float32")), ("last", "relu")),
    ],
)
def test_what_a_network_ends_with(network, expected):
    network = network()
    assert ending(outputs_of(network)["logits"]) == expected
    # Within another network.
    inputs = keras.Input((4,))
    assert ending(keras.Model(inputs, layers.Identity()(network(inputs))).output) == expected


def test_a_sigmoid_among_operations_and_what_is_not_known():
    inputs = keras.Input((4,))
    assert ending(ops.reshape(ops.sigmoid(inputs), (-1, 2, 2)))[1] == "sigmoid"
    assert ending(inputs)[1] == "inputlayer" and ending(None) == ("", "")

    class Own(keras.Model):
        def call(self, inputs):
            return ops.sigmoid(inputs)

    assert ending(keras.Model(inputs, Own()(inputs)).output) == ("", "")


@pytest.mark.parametrize(
    "activation, of_logits, of_pixels",
    [("sigmoid", True, True), ("softmax", True, True), ("relu", False, True), ("tanh", False, False)],
)
def test_a_warning_of_an_ending(activation, of_logits, of_pixels):
    network = ended(layers.Dense(3, activation, name="end"), name="net")
    for logits, warned, why in (
        (True, of_logits, "computed from logits"),
        (False, of_pixels, "nothing darker than med"),
    ):
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            warn_of_ending("GAN", "generator", network, logits)
        assert len(seen) == warned
        for each in seen:
            assert f"GAN: the generator 'net' ends with {activation} in the layer 'end'" in str(each.message)
            assert why in str(each.message)
