import keras
import numpy as np
import pytest
from keras import ops
from scipy import stats

from kgen.losses import DiscretizedLogistic, Logistic, Reconstruction
from tests.losses.slopes import slope

SHAPE = (3, 2, 4, 3)


def numbers():
    return np.random.default_rng(0)


def black_and_white():
    return numbers().choice([-1.0, 1.0], size=SHAPE).astype("float32")


def outputs():
    return numbers().normal(0.0, 3.0, SHAPE).astype("float32")


def value(loss, images, logits):
    return ops.convert_to_numpy(loss.loss(ops.convert_to_tensor(images), ops.convert_to_tensor(logits)))


# === Logistic ===
@pytest.mark.backends
def test_logistic_is_its_equation_for_black_and_white():
    images, logits = black_and_white(), outputs()
    expected = np.log1p(np.exp(-np.float64(images) * logits)).sum(axis=(1, 2, 3))
    values = value(Logistic(), images, logits)
    assert values.shape == (3,)
    np.testing.assert_allclose(values, expected, rtol=1e-6)


@pytest.mark.backends
def test_logistic_of_grey_is_the_mean_of_its_readings():
    images, logits = numbers().uniform(-1.0, 1.0, SHAPE).astype("float32"), outputs()
    x, l = np.float64(images), np.float64(logits)  # noqa: E741
    expected = 0.5 * (1 + x) * np.log1p(np.exp(-l)) + 0.5 * (1 - x) * np.log1p(np.exp(l))
    np.testing.assert_allclose(value(Logistic(), images, logits), expected.sum(axis=(1, 2, 3)), rtol=1e-6)


def test_the_misprint_of_the_article_is_another_formula():
    images, right = black_and_white(), 4.0 * black_and_white()

    def misprint(x, logits):
        return np.log1p(np.exp(-np.float64(x) - logits)).sum(axis=(1, 2, 3))

    # The loss is lowest where every sign is right. The misprint is lowest for white, whatever the image is.
    white = np.full(SHAPE, 4.0, "float32")
    assert (value(Logistic(), images, right) < value(Logistic(), images, white)).all()
    assert (misprint(images, white) < misprint(images, right)).all()
    assert not np.isclose(misprint(images, right), value(Logistic(), images, right)).any()


@pytest.mark.backends
@pytest.mark.parametrize("pixel", [-1.0, 0.0, 1.0])
@pytest.mark.parametrize("logit", [-1e4, 1e4])
def test_logistic_does_not_overflow(pixel, logit):
    images = np.full((1, 1, 1, 1), pixel, "float32")
    values, gradient = slope(lambda x: Logistic().loss(images, x), np.full((1, 1, 1, 1), logit, "float32"))
    share_of_wrong = 0.5 * (1.0 - pixel * np.sign(logit))
    np.testing.assert_allclose(values, [1e4 * share_of_wrong], atol=1e-3)
    np.testing.assert_allclose(gradient.ravel(), [np.sign(logit) * share_of_wrong], atol=1e-6)


@pytest.mark.backends
def test_logistic_stands_for_the_expected_pixel():
    logits = np.array([[-1e4, -2.0, 0.0, 2.0, 1e4]], "float32")
    image = ops.convert_to_numpy(Logistic().mean(ops.convert_to_tensor(logits)))
    with np.errstate(over="ignore"):
        expected = 2.0 / (1.0 + np.exp(-np.float64(logits))) - 1.0
    np.testing.assert_allclose(image, expected, atol=1e-6)
    # Which is the image that the loss draws the logits to.
    _, gradient = slope(lambda x: Logistic().loss(image, x), logits)
    np.testing.assert_allclose(gradient, np.zeros_like(gradient), atol=1e-6)


# === Discretized logistic ===
LEVELS = (np.arange(256) / 127.5 - 1.0).astype("float32")


def discretized(levels, location, log_scale, **kwargs):
    """-log P of each of some levels."""
    outputs = np.broadcast_to(np.float32([location, log_scale]), (len(levels), 1, 2))
    return value(DiscretizedLogistic(**kwargs), np.reshape(levels, (-1, 1, 1)), outputs)


@pytest.mark.backends
@pytest.mark.parametrize("location", [-1.3, -1.0, 0.1, 0.99])
@pytest.mark.parametrize("log_scale", [-6.5, -5.0, -3.0, 0.0, 4.0])
def test_the_probabilities_of_256_levels_add_up_to_1(location, log_scale):
    nats = np.float64(discretized(LEVELS, location, log_scale))
    np.testing.assert_allclose(np.exp(-nats).sum(), 1.0, atol=2e-4)
    assert np.isfinite(nats).all()


@pytest.mark.backends
def test_discretized_logistic_is_the_difference_of_distribution_functions():
    location, log_scale = 0.3, -2.0
    floored = -7.0 + np.logaddexp(0.0, log_scale + 7.0)
    edges = np.r_[-np.inf, np.float64(LEVELS[:-1]) + 1 / 255, np.inf]
    expected = np.diff(stats.logistic.cdf(edges, location, np.exp(floored)))
    np.testing.assert_allclose(np.exp(-np.float64(discretized(LEVELS, location, log_scale))), expected, rtol=1e-3)


@pytest.mark.backends
def test_a_wide_logistic_is_a_density_times_a_bin():
    inner = LEVELS[[1, 64, 200, 254]]
    for log_scale in (0.0, 6.0, 30.0):  # from where 1 - exp(-width) has digits to where it has none
        floored = -7.0 + np.logaddexp(0.0, log_scale + 7.0)
        expected = -stats.logistic.logpdf(inner, 0.2, np.exp(floored)) - np.log(2 / 255)
        np.testing.assert_allclose(discretized(inner, 0.2, log_scale), expected, rtol=1e-4)


def test_discretized_logistic_sums_over_pixels_and_channels():
    images = numbers().choice(LEVELS, (2, 2, 2, 3)).astype("float32")
    outputs = numbers().normal(size=(2, 2, 2, 6)).astype("float32")
    each = [
        discretized([images[i, y, x, c]], outputs[i, y, x, c], outputs[i, y, x, 3 + c])[0]
        for i, y, x, c in np.ndindex(images.shape)
    ]
    np.testing.assert_allclose(
        value(DiscretizedLogistic(), images, outputs), np.reshape(each, (2, -1)).sum(axis=1), rtol=1e-5
    )


@pytest.mark.backends
@pytest.mark.parametrize("location", [-1e4, -1.0, 0.0, 1.0, 1e4])
@pytest.mark.parametrize("log_scale", [-1e4, -7.0, 0.0, 80.0, 1e4])
def test_discretized_logistic_does_not_overflow(location, log_scale):
    outputs = np.broadcast_to(np.float32([location, log_scale]), (3, 1, 2)).copy()
    images = np.float32([-1.0, 0.0, 1.0]).reshape(3, 1, 1)
    values, gradient = slope(lambda x: DiscretizedLogistic().loss(images, x), outputs)
    assert np.isfinite(values).all() and np.isfinite(gradient).all() and (values >= 0).all()
    # What is far off is drawn back.
    if abs(location) == 1e4 and log_scale <= 0.0:
        assert (np.sign(gradient[1, 0, 0]) == np.sign(location)).all()


@pytest.mark.backends
def test_pixels_between_two_levels_count_as_the_nearer_one():
    between = LEVELS[[0, 10, 254]] + np.float32(0.4 / 127.5)
    np.testing.assert_array_equal(discretized(between, 0.1, -3.0), discretized(LEVELS[[0, 10, 254]], 0.1, -3.0))


@pytest.mark.parametrize("least", [float("nan"), float("inf")])
def test_least_log_scale(least):
    with pytest.raises(ValueError, match="DiscretizedLogistic: min_log_scale must be a finite number; got"):
        DiscretizedLogistic(least)


@pytest.mark.backends
def test_the_second_half_of_the_channels_is_not_in_the_image():
    outputs = np.float32([-2.0, -0.5, 0.5, 2.0, 7.0, 8.0]).reshape(1, 1, 1, 6)
    image = ops.convert_to_numpy(DiscretizedLogistic().mean(ops.convert_to_tensor(outputs)))
    np.testing.assert_array_equal(image.ravel(), [-1.0, -0.5, 0.5])


# === Both ===
@pytest.mark.backends
@pytest.mark.parametrize("loss", [Logistic(), DiscretizedLogistic()])
def test_half_precision_is_computed_in_float32(loss):
    shape = (1, 64, 64, 3 * loss.channels)
    values = loss.loss(ops.ones((1, 64, 64, 3), "float16"), ops.full(shape, -30.0, dtype="float16"))
    assert "float32" in str(values.dtype)
    assert np.isfinite(ops.convert_to_numpy(values)).all()  # the sum is more than float16 holds


@pytest.mark.parametrize(
    "loss, config", [(Logistic(), {}), (DiscretizedLogistic(-6.0), {"min_log_scale": -6.0})], ids=["logistic", "levels"]
)
def test_config_round_trip(loss, config):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert type(again) is type(loss) and again.get_config() == config


def test_a_subclass_must_define_its_loss():
    class Nothing(Reconstruction):
        pass

    with pytest.raises(NotImplementedError, match=r"Nothing must define loss\(\)"):
        Nothing().loss(None, None)


# === How far pixels are from the image ===
def test_variance_of_black_and_white():
    logits = np.array([[[[-3.0]], [[0.0]], [[0.5]]]], "float32")
    share = 1 / (1 + np.exp(-logits))
    variance = ops.convert_to_numpy(Logistic().variance(ops.convert_to_tensor(logits)))
    np.testing.assert_allclose(variance, 4 * share * (1 - share), rtol=1e-5)


def test_variance_of_grey_levels():
    outputs = np.zeros((1, 1, 3, 2), "float32")
    outputs[..., 1] = [[-3.0, -2.0, 4.0]]
    variance = ops.convert_to_numpy(DiscretizedLogistic().variance(ops.convert_to_tensor(outputs)))[0, 0, :, 0]
    scales = np.exp([-3.0, -2.0])
    np.testing.assert_allclose(variance[:2], [stats.logistic(scale=scale).var() for scale in scales], rtol=0.05)
    np.testing.assert_allclose(variance[2], 1 / 3, rtol=1e-5)


def test_a_likelihood_of_ones_own_needs_a_variance_to_denoise_by():
    with pytest.raises(NotImplementedError, match="Reconstruction must define variance"):
        Reconstruction().variance(ops.zeros((1, 1, 1, 1)))
