import numpy as np
import pytest
from keras import ops

from kgen.losses import active_units, gaussian_kl, maximum_mean_discrepancy
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


# === Maximum mean discrepancy ===
def latents(seed, count=6, shift=0.0):
    return (np.random.default_rng(seed).normal(size=(count, 3)) + shift).astype("float32")


def kernel(x, y):
    scales = [2 * 3 * s for s in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)]
    return sum(c / (c + np.square(np.float64(x) - np.float64(y)).sum()) for c in scales)


def between(x, y, same=False):
    return np.mean([kernel(a, b) for i, a in enumerate(x) for j, b in enumerate(y) if not (same and i == j)])


def by_pairs(x, y):
    return between(x, x, same=True) + between(y, y, same=True) - 2.0 * between(x, y)


@pytest.mark.backends
@pytest.mark.parametrize("prior_count", [6, 9])
def test_discrepancy_pair_by_pair(prior_count):
    x, y = latents(0, shift=0.5), latents(1, prior_count)
    values = ops.convert_to_numpy(maximum_mean_discrepancy(ops.convert_to_tensor(x), ops.convert_to_tensor(y)))
    np.testing.assert_allclose(values, np.full(6, by_pairs(x, y)), rtol=1e-4)


def test_slope_of_the_discrepancy_is_that_of_differences():
    x, y, direction = latents(0, shift=0.5), latents(1), np.float64(latents(2))
    # The sum of six equal values: 6 times the slope of one.
    _, gradient = slope(lambda x: maximum_mean_discrepancy(x, y), x)
    along = 6 * (by_pairs(x + 1e-4 * direction, y) - by_pairs(x - 1e-4 * direction, y)) / 2e-4
    np.testing.assert_allclose((gradient * direction).sum(), along, rtol=1e-3)
    # Two latents in one place do not make it NaN.
    _, gradient = slope(lambda x: maximum_mean_discrepancy(x, y), np.zeros((4, 3), "float32"))
    assert np.isfinite(gradient).all()


def test_the_discrepancy_is_that_of_distributions():
    def of(shift, scale):
        draws = [
            maximum_mean_discrepancy(scale * latents(seed, 64) + shift, latents(100 + seed, 64))[0]
            for seed in range(20)
        ]
        return np.mean([float(draw) for draw in draws])

    # Without bias: as often below 0 as above it where the distributions are one.
    assert abs(of(0.0, 1.0)) < 0.02
    assert of(1.0, 1.0) > 0.3 and of(0.0, 0.3) > 0.3


@pytest.mark.backends
def test_a_batch_of_one_says_nothing():
    assert ops.convert_to_numpy(maximum_mean_discrepancy(latents(0, 1), latents(1, 1))).tolist() == [0.0]


# === Active units ===
@pytest.mark.backends
def test_active_units_are_those_whose_mean_varies():
    mean = np.random.default_rng(0).normal(size=(50, 4)) * [1.0, 0.2, 0.05, 0.0] + [0.0, 0.0, 3.0, 3.0]
    assert (mean.var(axis=0) > 0.01).tolist() == [True, True, False, False]
    np.testing.assert_array_equal(ops.convert_to_numpy(active_units(mean.astype("float32"))), np.full(50, 2.0))
    np.testing.assert_array_equal(ops.convert_to_numpy(active_units(mean.astype("float32"), 0.1)), np.full(50, 1.0))
    assert ops.convert_to_numpy(active_units(mean[:1].astype("float32"))).tolist() == [0.0]
