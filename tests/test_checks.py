import inspect

import keras
import numpy as np
import pytest

import kgen
from kgen import checks, networks
from kgen.layers import Blur, GaussianNoise, GroupedConvolution2D, MinibatchStandardDeviation, RandomMask, Upscale
from kgen.models import GAN, ImageClassifier, ImageRestorer
from kgen.serializable import python_numbers


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3)])
def test_integers_of_python_and_numpy_are_taken(value):
    result = checks.integer("GAN", "latent_dim", value)
    assert result == 3 and type(result) is int


@pytest.mark.parametrize("value", [True, np.True_, 3.0, "3", None, 0, [3]])
def test_what_is_no_positive_integer_is_refused(value):
    with pytest.raises(ValueError, match="^GAN: latent_dim must be an integer of at least 1; got"):
        checks.integer("GAN", "latent_dim", value)


def test_bounds_are_named():
    assert checks.integer("f", "n", -5, least=None) == -5
    with pytest.raises(ValueError, match="from 2 to 4; got 5"):
        checks.integer("f", "n", 5, least=2, most=4)
    with pytest.raises(ValueError, match="an integer of at most 4; got 5"):
        checks.integer("f", "n", 5, least=None, most=4)


def test_seeds_fit_32_bits():
    assert checks.seed("f", None) is None and checks.seed("f", np.int32(-7)) == -7
    for value in (2**31, -(2**31), 1.0, "0"):
        with pytest.raises(ValueError, match="f: seed must be an integer"):
            checks.seed("f", value)
    with pytest.raises(ValueError, match="seed"):
        checks.seed("f", None, optional=False)


def test_numbers():
    assert checks.number("f", "share", 0.5, least=0.0, below=1.0) == 0.5
    for value in (1.0, -0.1, float("nan"), True, "0.5"):
        with pytest.raises(ValueError, match=r"f: share must be in \[0, 1\); got"):
            checks.number("f", "share", value, least=0.0, below=1.0)
    with pytest.raises(ValueError, match="a number of at least 0; got inf"):
        checks.number("f", "weight", float("inf"), least=0.0)


def test_arrays_of_numbers():
    assert checks.floats("f", "latents", [[1, 2]], (None, 2)).dtype == "float32"
    for value in ([1.0, 2.0], [[1.0]], np.zeros((0, 2))):
        with pytest.raises(ValueError, match=r"f: latents must have shape \(N, 2\); got"):
            checks.floats("f", "latents", value, (None, 2))
    with pytest.raises(ValueError, match="f: latents must be finite"):
        checks.floats("f", "latents", [[1.0, np.nan]], (None, 2))


# === NumPy's numbers ===
def test_numbers_of_numpy_become_pythons():
    @python_numbers
    def given(size, *others, shape=(), name="x"):
        return size, others, shape, name

    size, others, shape, name = given(np.uint8(200), np.float32(0.5), [np.int64(3)], shape=(np.int32(2), "a"))
    assert (size, others, shape, name) == (200, (0.5, [3]), (2, "a"), "x")
    assert [type(each) for each in (size, others[0], others[1][0], shape[0])] == [int, float, int, int]
    assert list(inspect.signature(given).parameters) == ["size", "others", "shape", "name"]
    array = np.ones(3)
    assert given(array)[0] is array and given(np.True_)[0] is True


MADE = {
    "GAN": lambda i: GAN.from_image_shape((i(8), i(8), i(1)), i(4), i(3), architecture="perceptron", seed=i(1)),
    "dcgan": lambda i: networks.dcgan_generator((i(16), i(16), i(1)), i(4), filters=[i(8), i(8), i(8)]),
    "classifier": lambda i: ImageClassifier(networks.residual_encoder((i(8), i(8), i(1)), i(8)), num_classes=i(3)),
    "restorer": lambda i: ImageRestorer(
        [kgen.layers.Downscale(i(2))], i(2), network=networks.restoration_network(i(3), i(2), filters=i(8), blocks=i(1))
    ),
    "decoder": lambda i: networks.MultiscaleDecoder((i(8), i(8), i(3)), i(4), start=i(4), filters=(i(8), i(8))),
    "encoder": lambda i: networks.MultiscaleEncoder((i(8), i(8), i(3)), i(4), filters=i(8), end=i(4)),
    "perceptron": lambda i: networks.perceptron_generator((i(8), i(8), i(1)), i(4), units=[i(8)]),
    "style_decoder": lambda i: networks.style_decoder(i(8), i(2), filters=i(8)),
    "convolution": lambda i: GroupedConvolution2D(i(8), i(3), i(2)),
    "upscale": lambda i: Upscale(i(2)),
    "deviation": lambda i: MinibatchStandardDeviation(i(4)),
    "mask": lambda i: RandomMask((0.1, 0.6), (i(1), i(8))),
    "noise": lambda i: GaussianNoise(i(20), seed=i(3)),
    "blur": lambda i: Blur((i(0), i(1))),
    "r1": lambda i: kgen.losses.R1(i(10), every=i(8)),
}


def _without_names(config):
    if isinstance(config, dict):
        return {k: _without_names(v) for k, v in config.items() if "name" not in k and k != "keras_history"}
    return [_without_names(each) for each in config] if isinstance(config, (list, tuple)) else config


@pytest.mark.parametrize("name", MADE)
def test_constructors_take_integers_of_numpy(name):
    configs = []
    for kind in (int, np.uint8):
        keras.utils.clear_session()
        keras.utils.set_random_seed(0)
        configs.append(_without_names(keras.saving.serialize_keras_object(MADE[name](kind))))
    assert configs[0] == configs[1]


@pytest.mark.parametrize("value", [True, np.True_])
def test_a_truth_value_is_no_number_of_anything(value):
    with pytest.raises(ValueError, match="latent_dim must be an integer of at least 1; got True"):
        GAN.from_image_shape((8, 8, 1), latent_dim=value)
    with pytest.raises(ValueError, match="num_classes must be an integer of at least 2; got True"):
        ImageClassifier.from_image_shape((8, 8, 1), num_classes=value)
