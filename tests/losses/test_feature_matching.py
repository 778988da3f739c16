import numpy as np
import pytest
from keras import ops

from kgen.losses import feature_matching
from kgen.training import backend

pytestmark = pytest.mark.backends


def features(seed):
    return np.random.default_rng(seed).normal(size=(5, 2, 3)).astype("float32")


def test_by_hand():
    real, fake = features(0), features(1) + 1.0
    expected = np.square(np.float64(real).mean(axis=0) - np.float64(fake).mean(axis=0)).sum()
    values = ops.convert_to_numpy(feature_matching(real, fake))
    np.testing.assert_allclose(values, np.full(5, expected), rtol=1e-5)
    # Only means count.
    np.testing.assert_allclose(ops.convert_to_numpy(feature_matching(real, real[::-1])), np.zeros(5), atol=1e-10)


def test_slope_by_hand():
    real, fake = features(0), ops.convert_to_tensor(features(1))
    # The sum of five equal values: 5 times the slope of one.
    slope = backend.input_gradient(lambda x: feature_matching(real, x), fake)
    difference = real.mean(axis=0) - features(1).mean(axis=0)
    expected = np.broadcast_to(-2 * difference, (5, 2, 3))
    np.testing.assert_allclose(ops.convert_to_numpy(ops.stop_gradient(slope)), expected, rtol=1e-4, atol=1e-5)
