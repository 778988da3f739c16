import keras
import numpy as np
import pytest
from keras import ops
from scipy import stats

from kgen.losses import Gaussian, Laplace, LearnedGaussian, OptimalGaussian, PixelGaussian
from tests.losses.slopes import slope

SHAPE = (3, 2, 4, 3)
ALL = [Gaussian(0.3), LearnedGaussian(0.3), OptimalGaussian(), PixelGaussian(), Laplace(0.2)]
names = pytest.mark.parametrize("loss", ALL, ids=lambda loss: type(loss).__name__)


def draw(channels=1):
    """Images, and outputs that are not far from them."""
    numbers = np.random.default_rng(0)
    images = numbers.uniform(-1.0, 1.0, SHAPE).astype("float32")
    outputs = numbers.normal(0.0, 1.0, (*SHAPE[:-1], channels * SHAPE[-1])).astype("float32")
    return images, outputs


def value(loss, images, outputs):
    return ops.convert_to_numpy(loss.loss(ops.convert_to_tensor(images), ops.convert_to_tensor(outputs)))


def nats(log_density):
    return -log_density.sum(axis=(1, 2, 3))


# === Against scipy ===
@pytest.mark.backends
def test_gaussian_is_the_whole_log_density():
    images, outputs = draw()
    expected = nats(stats.norm.logpdf(np.float64(images), np.float64(outputs), 0.3))
    values = value(Gaussian(0.3), images, outputs)
    assert values.shape == (3,)
    np.testing.assert_allclose(values, expected, rtol=1e-6)


@pytest.mark.backends
def test_learned_gaussian_is_the_whole_log_density_of_the_deviation_that_it_has():
    images, outputs = draw()
    loss = LearnedGaussian(0.3)
    for sigma in (0.3, 0.7):
        loss.log_sigma.assign(np.log(sigma))
        expected = nats(stats.norm.logpdf(np.float64(images), np.float64(outputs), sigma))
        np.testing.assert_allclose(value(loss, images, outputs), expected, rtol=1e-5)
        np.testing.assert_allclose(ops.convert_to_numpy(loss.deviation()), sigma, rtol=1e-6)


@pytest.mark.backends
def test_laplace_is_the_whole_log_density():
    images, outputs = draw()
    expected = nats(stats.laplace.logpdf(np.float64(images), np.float64(outputs), 0.2))
    np.testing.assert_allclose(value(Laplace(0.2), images, outputs), expected, rtol=1e-6)


@pytest.mark.backends
def test_pixel_gaussian_is_the_whole_log_density():
    images, outputs = draw(channels=2)
    mean, log_variance = np.float64(outputs[..., :3]), np.float64(outputs[..., 3:])
    floor = 2 * np.log(0.05)
    deviation = np.exp(0.5 * (floor + np.logaddexp(0.0, log_variance - floor)))
    expected = nats(stats.norm.logpdf(np.float64(images), mean, deviation))
    np.testing.assert_allclose(value(PixelGaussian(0.05), images, outputs), expected, rtol=1e-5)


@pytest.mark.backends
def test_optimal_gaussian_is_the_least_of_all_gaussians():
    images, outputs = draw()
    x, decoded = np.float64(images), np.float64(outputs)
    values = value(OptimalGaussian(), images, outputs)
    for i, deviation in enumerate(np.sqrt(np.square(x - decoded).mean(axis=(1, 2, 3)))):
        best, *others = [-stats.norm.logpdf(x[i], decoded[i], deviation * f).sum() for f in (1.0, 0.9, 1.1)]
        np.testing.assert_allclose(values[i], best, rtol=1e-5)
        assert best < min(others)


@pytest.mark.backends
def test_optimal_gaussian_below_its_floor_is_a_gaussian():
    images = draw()[0]
    outputs = images + np.float32(0.01) * np.sign(images)
    np.testing.assert_allclose(
        value(OptimalGaussian(0.1), images, outputs), value(Gaussian(0.1), images, outputs), rtol=1e-4
    )


# === Slopes ===
@pytest.mark.backends
def test_the_slope_of_the_optimal_gaussian_weighs_the_error_by_its_own_size():
    images, outputs = draw()
    _, gradient = slope(lambda x: OptimalGaussian().loss(images, x), outputs)
    error = np.float64(outputs) - images
    expected = error / np.square(error).mean(axis=(1, 2, 3), keepdims=True)
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.backends
@names
@pytest.mark.parametrize("extreme", [-1e4, 0.0, 1e4])
def test_values_and_slopes_are_finite_at_extremes(loss, extreme):
    images = np.zeros((2, 2, 2, 1), "float32")  # equal to the outputs, where those are 0
    for spread in (-1e4, 0.0, 1e4)[: 3 if loss.channels == 2 else 1]:
        outputs = np.full((2, 2, 2, loss.channels), extreme, "float32")
        outputs[..., 1:] = spread
        values, gradient = slope(lambda x: loss.loss(images, x), outputs)
        assert np.isfinite(values).all() and np.isfinite(gradient).all()


@pytest.mark.backends
@names
def test_the_slope_is_that_of_differences(loss):
    images, outputs = draw(loss.channels)
    direction = np.random.default_rng(1).normal(size=outputs.shape).astype("float32")
    _, gradient = slope(lambda x: loss.loss(images, x), outputs)
    step = 1e-2
    up, down = (np.float64(value(loss, images, outputs + sign * step * direction)) for sign in (1, -1))
    along = (np.float64(gradient) * direction).sum(axis=(1, 2, 3))
    np.testing.assert_allclose((up - down) / (2 * step), along, rtol=0.03, atol=0.5)


# === Images ===
@pytest.mark.backends
@names
def test_the_image_is_the_outputs_within_the_range(loss):
    outputs = np.float32([-2.0, -0.5, 0.5, 2.0])
    # Of two channels the second is the spread.
    outputs = np.stack([outputs, np.full(4, 9.0, "float32")][: loss.channels], axis=-1)
    image = ops.convert_to_numpy(loss.mean(ops.convert_to_tensor(outputs)))
    np.testing.assert_array_equal(image, np.float32([[-1.0], [-0.5], [0.5], [1.0]]))


# === All ===
@pytest.mark.backends
@names
def test_half_precision_is_computed_in_float32(loss):
    shape = (1, 64, 64, 3 * loss.channels)
    values = loss.loss(ops.ones((1, 64, 64, 3), "float16"), ops.full(shape, -10.0, dtype="float16"))
    assert "float32" in str(values.dtype)
    assert np.isfinite(ops.convert_to_numpy(values)).all()  # the sum is more than float16 holds


@pytest.mark.parametrize(
    "loss, config",
    [
        (Gaussian(0.25), {"sigma": 0.25}),
        (LearnedGaussian(0.25, name="spread"), {"sigma": 0.25, "name": "spread", "trainable": True}),
        (OptimalGaussian(0.1), {"min_sigma": 0.1}),
        (PixelGaussian(0.2), {"min_sigma": 0.2}),
        (Laplace(0.5), {"scale": 0.5}),
    ],
    ids=lambda part: type(part).__name__,
)
def test_config_round_trip(loss, config):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    again_config = again.get_config()
    assert type(again) is type(loss) and {name: again_config[name] for name in config} == config


@pytest.mark.parametrize(
    "of_class, name",
    [
        (Gaussian, "sigma"),
        (LearnedGaussian, "sigma"),
        (OptimalGaussian, "min_sigma"),
        (PixelGaussian, "min_sigma"),
        (Laplace, "scale"),
    ],
)
@pytest.mark.parametrize("wrong", [0, -0.5, float("nan"), float("inf")])
def test_deviations_are_positive(of_class, name, wrong):
    with pytest.raises(ValueError, match=f"{of_class.__name__}: {name} must be positive; got {wrong}"):
        of_class(wrong)


# === How far pixels are from the image ===
@pytest.mark.parametrize(
    "likelihood, expected",
    [
        (Gaussian(0.3), 0.09),
        (LearnedGaussian(0.3), 0.09),
        (OptimalGaussian(0.02), 0.0004),
        (Laplace(0.2), stats.laplace(scale=0.2).var()),
        (PixelGaussian(0.01), np.exp(-2.0)),
    ],
)
def test_variance(likelihood, expected):
    outputs = ops.convert_to_tensor(np.full((2, 3, 3, likelihood.channels), -2.0, "float32"))
    variance = ops.convert_to_numpy(likelihood.variance(outputs))
    assert variance.shape == (2, 3, 3, 1)
    np.testing.assert_allclose(variance, expected, rtol=1e-2)
