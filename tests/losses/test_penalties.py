import keras
import numpy as np
import pytest
from keras import ops

from kgen.losses import R1, R2, Dragan, GradientPenalty, Penalty
from kgen.training import backend


@pytest.mark.backends
def test_cost_is_half_the_weight_times_the_squared_norm():
    gradient = np.random.default_rng(0).normal(size=(3, 4, 4, 2)).astype("float32")
    cost = ops.convert_to_numpy(R1(10.0).cost(ops.convert_to_tensor(gradient)))
    np.testing.assert_allclose(cost, 5.0 * np.square(np.float64(gradient)).sum(axis=(1, 2, 3)), rtol=1e-5)


@pytest.mark.backends
@pytest.mark.parametrize("kind", [R1, R2, GradientPenalty, Dragan])
def test_against_finite_differences_of_a_discriminator(kind):
    numbers = np.random.default_rng(0)
    first, second = numbers.normal(size=(12, 5)), numbers.normal(size=5)
    real, fake = numbers.normal(size=(2, 2, 2, 2, 3))

    def logits(x):
        return np.tanh(x.reshape(len(x), -1) @ first) @ second

    def logits_of_tensor(x):
        hidden = ops.tanh(ops.matmul(ops.reshape(x, (-1, 12)), first.astype("float32")))
        return ops.matmul(hidden, second.astype("float32")[:, None])[:, 0]

    penalty = kind(3.0)
    images = [ops.convert_to_tensor(x.astype("float32")) for x in (real, fake)]
    points = penalty.points(*images, seed=keras.random.SeedGenerator(0))
    cost = penalty.cost(backend.input_gradient(logits_of_tensor, points))

    step, at = 1e-5, ops.convert_to_numpy(points).astype("float64")
    squared = np.zeros(2)
    for pixel in np.ndindex(2, 2, 3):
        nudge = np.zeros(real.shape)
        nudge[(slice(None), *pixel)] = step
        squared += ((logits(at + nudge) - logits(at - nudge)) / (2 * step)) ** 2
    expected = 1.5 * squared if isinstance(penalty, R1) else 3.0 * (np.sqrt(squared) - 1.0) ** 2
    np.testing.assert_allclose(ops.convert_to_numpy(ops.stop_gradient(cost)), expected, rtol=1e-4)


@pytest.mark.backends
def test_where_each_penalty_looks():
    numbers = np.random.default_rng(0)
    real, fake = (ops.convert_to_tensor(numbers.normal(size=(300, 4, 4, 1)).astype("float32")) for _ in range(2))
    assert R1().points(real, fake, seed=None) is real and R2().points(real, fake, seed=None) is fake
    x, y = ops.convert_to_numpy(real), ops.convert_to_numpy(fake)

    between = ops.convert_to_numpy(GradientPenalty().points(real, fake, seed=keras.random.SeedGenerator(0)))
    shares = (between - y) / (x - y)
    # One share a sample, uniform over all lines from a generated image to a real one.
    np.testing.assert_allclose(shares.min(axis=(1, 2, 3)), shares.max(axis=(1, 2, 3)), atol=0.02)
    assert abs(np.median(shares, axis=(1, 2, 3)).mean() - 0.5) < 0.06 and shares.min() > -0.01 and shares.max() < 1.01

    near = ops.convert_to_numpy(Dragan().points(real, fake, seed=keras.random.SeedGenerator(0))) - x
    assert near.min() >= 0.0 and 0.4 < near.max() < 0.5 * x.std() + 1e-6
    assert abs(near.mean() - 0.25 * 0.5 * x.std()) < 0.02


@pytest.mark.backends
def test_a_flat_discriminator_has_a_penalty_with_a_gradient():
    cost = GradientPenalty(2.0).cost(ops.zeros((3, 2, 2, 1)))
    np.testing.assert_allclose(ops.convert_to_numpy(cost), 2.0, rtol=1e-5)


@pytest.mark.backends
def test_half_precision_is_computed_in_float32():
    cost = R1().cost(ops.full((1, 10, 10, 1), 300.0, dtype="float16"))
    np.testing.assert_allclose(ops.convert_to_numpy(cost), [0.5 * 100 * 300.0**2])


@pytest.mark.parametrize("kind", [R1, R2, GradientPenalty, Dragan])
def test_config_round_trip(kind):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(kind(0.25, every=4)))
    assert type(again) is kind and again.weight == 0.25 and again.every == 4


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="R1: weight must be a number of at least 0; got -1"):
        R1(-1)
    for every in (0, 2.0, True):
        with pytest.raises(ValueError, match="Dragan: every must be an integer of at least 1"):
            Dragan(every=every)


def test_a_subclass_must_say_where_and_how_much():
    class Nowhere(Penalty):
        pass

    with pytest.raises(NotImplementedError, match=r"Nowhere must define points\(\)"):
        Nowhere(1.0).points(None, None, None)
    with pytest.raises(NotImplementedError, match=r"Nowhere must define cost\(\)"):
        Nowhere(1.0).cost(None)
