import keras
import numpy as np
import pytest

from kgen.layers import LatentInjection2D
from tests.checks.layers import check_layer


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


@pytest.mark.backends
def test_layer():
    check_layer(LatentInjection2D, {}, {"h": (3, 4, 6, 8), "eps": (3, 4, 6, 2)}, (3, 4, 6, 8))


@pytest.mark.backends
def test_adds_draws_from_the_prior_that_the_features_tell():
    layer, h, eps = LatentInjection2D(), noise(4, 2, 3, 8), noise(4, 2, 3, 2, seed=1)
    layer(h, eps)
    mean, log_sigma = (keras.ops.convert_to_numpy(part) for part in layer.prior(h))
    assert np.all(mean == 0) and np.all(log_sigma == 0)  # standard normal, to begin with
    layer.moments.kernel.assign(3.0 * noise(8, 4, seed=2))
    mean, log_sigma = (keras.ops.convert_to_numpy(part) for part in layer.prior(h))
    assert np.std(mean) > 1.0 and np.std(log_sigma) > 1.0 and np.max(np.abs(log_sigma)) <= 2.0
    z = mean + np.exp(log_sigma) * eps
    expected = h + z @ keras.ops.convert_to_numpy(layer.projection.kernel)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(layer(h, eps)), expected, rtol=1e-4, atol=1e-4)
