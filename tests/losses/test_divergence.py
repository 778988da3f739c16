import numpy as np
import pytest
from keras import ops

from kgen.losses import gaussian_kl
from tests.losses.slopes import slope

MEAN = np.array([[0.0, 0.0], [1.0, -2.0], [0.5, 0.1]], "float32")
LOG_VARIANCE = np.array([[0.0, 0.0], [0.0, 1.0], [-2.0, 0.7]], "float32")


def kl(mean, log_variance, free_nats=0.0):
    return ops.convert_to_numpy(
        gaussian_kl(ops.convert_to_tensor(mean), ops.convert_to_tensor(log_variance), free_nats)
    )


def per_latent():
    mean, log_variance = np.float64(MEAN), np.float64(LOG_VARIANCE)
    return 0.5 * (mean**2 + np.exp(log_variance) - log_variance - 1.0)


@pytest.mark.backends
def test_closed_form():
    values = kl(MEAN, LOG_VARIANCE)
    assert values.shape == (3,)
    np.testing.assert_allclose(values, per_latent().sum(axis=1), rtol=1e-6, atol=1e-7)
    assert values[0] == 0.0


def test_it_is_the_integral_of_q_log_q_over_p():
    mean, log_variance = -1.3, 0.4
    deviation = np.exp(0.5 * log_variance)
    z = np.linspace(mean - 12 * deviation, mean + 12 * deviation, 200_001)
    log_q = -0.5 * ((z - mean) / deviation) ** 2 - np.log(deviation * np.sqrt(2 * np.pi))
    log_p = -0.5 * z**2 - 0.5 * np.log(2 * np.pi)
    integral = np.sum(np.exp(log_q) * (log_q - log_p)) * (z[1] - z[0])
    np.testing.assert_allclose(kl([[mean]], [[log_variance]]), [integral], rtol=1e-5)


@pytest.mark.backends
def test_free_nats_are_the_least_that_a_latent_costs():
    np.testing.assert_allclose(
        kl(MEAN, LOG_VARIANCE, free_nats=0.6), np.maximum(per_latent(), 0.6).sum(axis=1), rtol=1e-6
    )
    # Below them nothing pulls a latent towards the prior; above them the pull is that of the divergence.
    _, gradient = slope(lambda mean: gaussian_kl(mean, LOG_VARIANCE, free_nats=0.6), MEAN)
    np.testing.assert_allclose(gradient, np.where(per_latent() > 0.6, MEAN, 0.0), rtol=1e-6)


@pytest.mark.backends
def test_half_precision_is_computed_in_float32():
    values = gaussian_kl(ops.cast(MEAN * 300, "float16"), ops.cast(LOG_VARIANCE, "float16"))
    assert "float32" in str(values.dtype)
    assert np.isfinite(ops.convert_to_numpy(values)).all()  # 300^2 is more than float16 holds


def test_negative_free_nats():
    with pytest.raises(ValueError, match="gaussian_kl: free_nats must not be negative; got -1"):
        kl(MEAN, LOG_VARIANCE, free_nats=-1)
