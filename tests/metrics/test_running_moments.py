import keras
import numpy as np
import pytest

from kgen.metrics.running_moments import RunningMoments, merged, scattered


def running(dim):
    return RunningMoments(keras.metrics.Metric(name="owner"), "x", dim)


@pytest.mark.backends
def test_no_digits_are_lost_far_from_zero():
    random = np.random.default_rng(0)
    features = 1e6 + random.normal(size=(1000, 4))
    moments = running(4)
    for start in range(0, 1000, 7):
        moments.update(features[start : start + 7])
    count, mean, covariance = moments.read()
    assert count == 1000
    np.testing.assert_allclose(mean, features.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(covariance, np.cov(features, rowvar=False), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("sizes", [(3, 5), (0, 5), (5, 0), (0, 0), (1, 1)])
def test_merging_is_adding_rows(sizes):
    random = np.random.default_rng(0)
    first, second = (random.normal(size=(n, 3)) for n in sizes)
    together = merged(scattered(first, np), scattered(second, np), np)
    for ours, expected in zip(together, scattered(np.concatenate([first, second]), np)):
        np.testing.assert_allclose(ours, expected, atol=1e-12)


def test_one_row_has_no_covariance():
    moments = running(2)
    moments.update(np.ones((1, 2), "float32"))
    count, mean, covariance = moments.read()
    assert count == 1 and mean.tolist() == [1.0, 1.0] and np.isnan(covariance).all()
