import keras
import numpy as np
import pytest
from keras import ops

from kgen.losses import R1, Penalty
from kgen.training import backend


@pytest.mark.backends
def test_cost_is_half_the_weight_times_the_squared_norm():
    gradient = np.random.default_rng(0).normal(size=(3, 4, 4, 2)).astype("float32")
    cost = ops.convert_to_numpy(R1(10.0).cost(ops.convert_to_tensor(gradient)))
    np.testing.assert_allclose(cost, 5.0 * np.square(np.float64(gradient)).sum(axis=(1, 2, 3)), rtol=1e-5)


@pytest.mark.backends
def test_against_finite_differences_of_a_discriminator():
    numbers = np.random.default_rng(0)
    first, second = numbers.normal(size=(12, 5)), numbers.normal(size=5)
    real = numbers.normal(size=(2, 2, 2, 3))

    def logits(x):
        return np.tanh(x.reshape(len(x), -1) @ first) @ second

    def logits_of_tensor(x):
        hidden = ops.tanh(ops.matmul(ops.reshape(x, (-1, 12)), first.astype("float32")))
        return ops.matmul(hidden, second.astype("float32")[:, None])[:, 0]

    step = 1e-5
    expected = np.zeros(2)
    for pixel in np.ndindex(2, 2, 3):
        nudge = np.zeros(real.shape)
        nudge[(slice(None), *pixel)] = step
        expected += ((logits(real + nudge) - logits(real - nudge)) / (2 * step)) ** 2

    penalty = R1(3.0)
    images = ops.convert_to_tensor(real.astype("float32"))
    points = penalty.points(images, ops.zeros_like(images), seed=None)
    cost = penalty.cost(backend.input_gradient(logits_of_tensor, points))
    np.testing.assert_allclose(ops.convert_to_numpy(ops.stop_gradient(cost)), 1.5 * expected, rtol=1e-4)


@pytest.mark.backends
def test_r1_looks_at_real_images_alone():
    real, fake = ops.ones((1, 2, 2, 1)), ops.zeros((1, 2, 2, 1))
    assert R1().points(real, fake, seed=None) is real


@pytest.mark.backends
def test_half_precision_is_computed_in_float32():
    cost = R1().cost(ops.full((1, 10, 10, 1), 300.0, dtype="float16"))
    np.testing.assert_allclose(ops.convert_to_numpy(cost), [0.5 * 100 * 300.0**2])


def test_config_round_trip():
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(R1(0.25)))
    assert type(again) is R1 and again.weight == 0.25


def test_negative_weight():
    with pytest.raises(ValueError, match="R1: weight must not be negative; got -1"):
        R1(-1)


def test_a_subclass_must_say_where_and_how_much():
    class Nowhere(Penalty):
        pass

    with pytest.raises(NotImplementedError, match=r"Nowhere must define points\(\)"):
        Nowhere().points(None, None, None)
    with pytest.raises(NotImplementedError, match=r"Nowhere must define cost\(\)"):
        Nowhere().cost(None)
