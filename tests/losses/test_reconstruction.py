import keras
import numpy as np
import pytest
from keras import ops

from kgen.losses import Gaussian, Logistic, Reconstruction
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

    # The loss is lowest where every sign is right. The misprint is lowest for white, whatever the picture is.
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
    picture = ops.convert_to_numpy(Logistic().mean(ops.convert_to_tensor(logits)))
    with np.errstate(over="ignore"):
        expected = 2.0 / (1.0 + np.exp(-np.float64(logits))) - 1.0
    np.testing.assert_allclose(picture, expected, atol=1e-6)
    # Which is the picture that the loss draws the logits to.
    _, gradient = slope(lambda x: Logistic().loss(picture, x), logits)
    np.testing.assert_allclose(gradient, np.zeros_like(gradient), atol=1e-6)


# === Gaussian ===
@pytest.mark.backends
def test_gaussian_is_its_equation():
    images, decoded = black_and_white(), outputs()
    expected = np.square(np.float64(images) - decoded).sum(axis=(1, 2, 3)) / (2 * 0.3**2)
    np.testing.assert_allclose(value(Gaussian(0.3), images, decoded), expected, rtol=1e-6)


def test_gaussian_is_a_log_likelihood_up_to_a_constant():
    def log_density(x, mean, sigma):
        return -0.5 * ((x - mean) / sigma) ** 2 - np.log(sigma * np.sqrt(2 * np.pi))

    images, decoded = np.float64(black_and_white()), np.float64(outputs())
    exact = -log_density(images, decoded, 0.7).sum(axis=(1, 2, 3))
    difference = exact - value(Gaussian(0.7), images, decoded)
    np.testing.assert_allclose(difference, difference[0], rtol=1e-5)


@pytest.mark.backends
def test_gaussian_stands_for_its_outputs_within_the_range():
    picture = Gaussian().mean(ops.convert_to_tensor(np.array([[-2.0, -0.5, 0.5, 2.0]], "float32")))
    np.testing.assert_array_equal(ops.convert_to_numpy(picture), [[-1.0, -0.5, 0.5, 1.0]])


@pytest.mark.parametrize("sigma", [0, -0.5, float("nan")])
def test_sigma_is_positive(sigma):
    with pytest.raises(ValueError, match="Gaussian: sigma must be positive; got"):
        Gaussian(sigma)


# === Both ===
@pytest.mark.backends
@pytest.mark.parametrize("loss", [Logistic(), Gaussian()])
def test_half_precision_is_computed_in_float32(loss):
    values = loss.loss(ops.ones((1, 64, 64, 3), "float16"), ops.full((1, 64, 64, 3), -30.0, dtype="float16"))
    assert "float32" in str(values.dtype)
    assert np.isfinite(ops.convert_to_numpy(values)).all()  # the sum is more than float16 holds


@pytest.mark.parametrize("loss, config", [(Logistic(), {}), (Gaussian(0.25), {"sigma": 0.25})])
def test_config_round_trip(loss, config):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert type(again) is type(loss) and again.get_config() == config


def test_a_subclass_must_define_its_loss():
    class Nothing(Reconstruction):
        pass

    with pytest.raises(NotImplementedError, match=r"Nothing must define loss\(\)"):
        Nothing().loss(None, None)
