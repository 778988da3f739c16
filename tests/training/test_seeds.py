import keras
import numpy as np
import pytest

from kgen.training import SeedGenerator, image_noise
from kgen.training.seeds import adopt_seeds, threefry

pytestmark = pytest.mark.backends


def _noise(seeds, indices, length):
    return keras.ops.convert_to_numpy(image_noise(seeds, indices, length))


# === Generators of others ===
def test_generators_of_keras_own_layers_are_adopted():
    keras.utils.set_random_seed(0)
    network = keras.Sequential([keras.Input((64,)), keras.layers.Dropout(0.5)])
    (dropout,) = network.layers
    state = keras.ops.convert_to_numpy(dropout.seed_generator.state)
    adopt_seeds(network._flatten_layers())
    assert type(dropout.seed_generator) is SeedGenerator
    np.testing.assert_array_equal(state, keras.ops.convert_to_numpy(dropout.seed_generator.state))
    assert [v.name for v in network.non_trainable_variables] == ["seed_generator_state"]

    def masks(count):
        return [keras.ops.convert_to_numpy(network(np.ones((1, 64)), training=True)) for _ in range(count)]

    first = masks(3)
    # What is drawn follows from the state alone.
    dropout.seed_generator.state.assign(state)
    np.testing.assert_array_equal(first, masks(3))
    assert not np.array_equal(first[0], first[1])


# === Threefry ===
# The vectors that Random123 publishes for threefry2x32 with 20 rounds: key, counter, result.
@pytest.mark.parametrize(
    "key, counter, expected",
    [
        ((0x00000000, 0x00000000), (0x00000000, 0x00000000), (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
        ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
    ],
)
def test_known_answers(key, counter, expected):
    words = [keras.ops.convert_to_tensor(np.array([word], "uint32").view("int32")) for word in (*key, *counter)]
    result = [int(keras.ops.convert_to_numpy(word).view("uint32")[0]) for word in threefry(*words)]
    assert result == list(expected)


# === Noise by image ===
def test_the_same_on_every_backend_and_for_ever():
    expected = [
        [-1.8781556, 0.08170391, -0.91364855, -0.15872498, 0.07864009],
        [0.6084083, 0.02376837, 0.5174739, 1.4044296, 0.02998093],
    ]
    noise = _noise([0, 7], [1, 2], 5)
    assert noise.dtype == "float32"
    np.testing.assert_allclose(noise, expected, atol=1e-5)


def test_a_row_does_not_depend_on_the_others():
    many = _noise([3, 9, 3, -4], [0, 0, 1, 5], 33)
    for row, (seed, index) in enumerate([(3, 0), (9, 0), (3, 1), (-4, 5)]):
        np.testing.assert_array_equal(_noise([seed], [index], 33)[0], many[row])


def test_normal_and_independent():
    rows = 50
    noise = _noise(np.arange(rows), np.zeros(rows), 2001)
    assert noise.shape == (rows, 2001)
    # Five standard errors of 100,000 normal numbers.
    assert abs(noise.mean()) < 0.016
    assert abs(noise.var() - 1.0) < 0.023
    assert abs((noise**4).mean() - 3.0) < 0.16
    seeds = np.corrcoef(noise)
    assert np.max(np.abs(seeds - np.eye(rows))) < 0.13
    indices = np.corrcoef(_noise([5] * rows, np.arange(rows), 2001))
    assert np.max(np.abs(indices - np.eye(rows))) < 0.13
    halves = noise[:, :1000].ravel(), noise[:, 1001:].ravel()
    assert abs(np.corrcoef(*halves)[0, 1]) < 0.023


def test_any_seed():
    seeds = [0, 1, -1, 2**31 - 1, -(2**31), 12345678]
    noise = _noise(seeds, [0] * len(seeds), 64)
    assert np.all(np.isfinite(noise))
    assert len(np.unique(noise[:, 0])) == len(seeds)


@pytest.mark.parametrize("length", [1, 2, 7])
def test_odd_and_even_lengths(length):
    assert _noise([1, 2], [0, 0], length).shape == (2, length)


# === State ===
def test_draws_as_keras_does_on_one_device():
    ours, keras_own = SeedGenerator(5), keras.random.SeedGenerator(5)
    draws = []
    for _ in range(2):
        draws.append(keras.ops.convert_to_numpy(keras.random.normal((8,), seed=ours)))
        expected = keras.ops.convert_to_numpy(keras.random.normal((8,), seed=keras_own))
        np.testing.assert_array_equal(draws[-1], expected)
    assert np.all(draws[0] != draws[1])
