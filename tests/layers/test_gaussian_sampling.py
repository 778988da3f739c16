import keras
import numpy as np
import pytest
from keras import ops

from kgen.layers import GaussianSampling
from kgen.training import backend
from tests.checks.layers import check_layer


@pytest.mark.backends
def test_layer():
    inputs = {"mean": (3, 4), "log_variance": (3, 4)}
    check_layer(GaussianSampling, {"seed": 1}, inputs, (3, 4), stochastic=True)
    check_layer(GaussianSampling, {}, inputs, (3, 4), call_kwargs={"sample": False})


@pytest.mark.backends
def test_draws_have_the_given_mean_and_variance():
    mean = np.broadcast_to(np.float32([2.0, -1.0]), (20000, 2))
    log_variance = np.broadcast_to(np.log(np.float32([4.0, 0.25])), (20000, 2))
    draws = keras.ops.convert_to_numpy(GaussianSampling(seed=0)(mean, log_variance))
    np.testing.assert_allclose(draws.mean(axis=0), [2.0, -1.0], atol=0.06)
    np.testing.assert_allclose(draws.std(axis=0), [2.0, 0.5], rtol=0.03)


@pytest.mark.backends
def test_seed_repeats_and_calls_differ():
    zeros = np.zeros((2, 8), "float32")
    one, other = GaussianSampling(seed=3), GaussianSampling(seed=3)
    first = keras.ops.convert_to_numpy(one(zeros, zeros))
    np.testing.assert_array_equal(first, keras.ops.convert_to_numpy(other(zeros, zeros)))
    assert not np.any(first == keras.ops.convert_to_numpy(one(zeros, zeros)))


@pytest.mark.backends
def test_draws_from_the_generator_it_is_given():
    generator = keras.random.SeedGenerator(5)
    layer = GaussianSampling(seed=generator)
    zeros = np.zeros((1, 4), "float32")
    before = keras.ops.convert_to_numpy(generator.state.value).copy()
    draws = keras.ops.convert_to_numpy(layer(zeros, zeros))
    assert np.any(keras.ops.convert_to_numpy(generator.state.value) != before)

    again = GaussianSampling.from_config(layer.get_config())
    assert isinstance(again.seed, keras.random.SeedGenerator) and again.seed is not generator
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(again(zeros, zeros)), draws)


def test_without_sampling_gives_the_mean_and_refuses_strange_seeds():
    mean = np.float32([[1.0, 2.0]])
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(GaussianSampling()(mean, mean, sample=False)), mean)
    with pytest.raises(TypeError, match="GaussianSampling: seed must be None, an int or a SeedGenerator; got 'seven'"):
        GaussianSampling(seed="seven")


@pytest.mark.backends
def test_gradients_pass_through_the_draw():
    mean = np.array([[0.3, -1.0, 2.0]], "float32")
    log_variance = np.array([[0.0, 1.0, -2.0]], "float32")

    def drawn(mean, log_variance):
        return ops.sum(GaussianSampling(seed=1)(mean, log_variance), axis=-1)

    mean, log_variance = ops.convert_to_tensor(mean), ops.convert_to_tensor(log_variance)
    moved = ops.convert_to_numpy(GaussianSampling(seed=1)(mean, log_variance) - mean)
    slopes = [
        backend.input_gradient(lambda x: drawn(x, log_variance), mean),
        backend.input_gradient(lambda x: drawn(mean, x), log_variance),
    ]
    slopes = [ops.convert_to_numpy(ops.stop_gradient(slope)) for slope in slopes]
    np.testing.assert_allclose(slopes[0], np.ones((1, 3)), rtol=1e-5)
    np.testing.assert_allclose(slopes[1], 0.5 * moved, rtol=1e-4)
