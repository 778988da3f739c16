from types import SimpleNamespace

import numpy as np
import pytest
from keras import ops
from scipy import stats

from kgen.inference.denoising import _log_cumulative, _Noisy
from kgen.losses import Logistic
from tests.models import tiny
from tests.models.linear import SHAPE, LinearGaussian

NOISE = 0.15


@pytest.fixture(scope="module")
def linear():
    return LinearGaussian()


def with_noise(images, deviation):
    """Of a deviation in units of [-1, 1]."""
    return (images + deviation * np.random.default_rng(2).normal(size=images.shape)).astype("float32")


@pytest.mark.backends
def test_the_posterior_mean_is_exact_where_it_is_known(linear):
    noisy = with_noise(linear.pictures(12), 2 * NOISE)
    found = linear.model.denoise(noisy, NOISE, value_range=(-1, 1), steps=100, samples=4, verbose=0)
    assert found.dtype == np.uint8
    known = linear.without_noise(noisy, 2 * NOISE)
    np.testing.assert_allclose(found / 127.5 - 1.0, known, atol=0.02)
    # And nearer to the pictures than what came in.
    errors = [np.mean((images - linear.pictures(12)) ** 2) for images in (found / 127.5 - 1.0, noisy)]
    assert errors[0] < 0.5 * errors[1]


def test_the_range_is_that_of_the_pictures_without_noise(linear):
    noisy = with_noise(linear.pictures(4), 2 * NOISE)
    options = {"steps": 20, "samples": 2, "verbose": 0}
    found = linear.model.denoise(noisy, NOISE, value_range=(-1, 1), **options).astype(int)
    for _ in range(2):
        other = linear.model.denoise((noisy + 1) / 2, NOISE, value_range=[0, 1], **options)
        assert np.abs(other - found).max() <= 3
        np.testing.assert_array_equal(linear.model.denoise(noisy, NOISE, value_range=(-1, 1), **options), found)


def test_a_picture_is_denoised_by_itself(linear):
    noisy = with_noise(linear.pictures(5), 2 * NOISE).clip(-1, 1)
    options = {"steps": 30, "samples": 2, "verbose": 0}
    together = linear.model.denoise(noisy, NOISE, **options).astype(int)
    assert np.abs(linear.model.denoise(noisy, NOISE, batch_size=2, **options) - together).max() <= 1
    assert np.abs(linear.model.denoise(noisy[3:4], NOISE, **options) - together[3:4]).max() <= 1
    # The deviation is no part of what was compiled.
    assert np.abs(linear.model.denoise(noisy, 1.0, **options) - together).max() > 5


def test_under_labels_and_a_learned_prior():
    linear = LinearGaussian(num_classes=3)
    labels = np.array([0, 1, 2, 1])
    images = linear.pictures(4, labels)
    noisy = with_noise(images, 0.6)
    known = np.concatenate([linear.without_noise(noisy[i : i + 1], 0.6, label) for i, label in enumerate(labels)])
    options = {"value_range": (-1, 1), "steps": 100, "samples": 4, "verbose": 0}
    found = linear.model.denoise(noisy, 0.3, labels, **options) / 127.5 - 1.0
    np.testing.assert_allclose(found, known, atol=0.04)
    # A prior that knows of one point alone leaves nothing to the noise but the pixels' own deviation.
    latents = np.tile([[1.5, -1.0]], (90, 1)) @ linear.weights
    point = (latents + linear.means[np.arange(90) % 3]).reshape(-1, *SHAPE).astype("float32").clip(-1, 1)
    linear.model.fit_prior(point, np.arange(90) % 3, components=1)
    found = linear.model.denoise(noisy, 3.0, labels, **options) / 127.5 - 1.0
    np.testing.assert_allclose(found, point[[0, 1, 2, 1]], atol=0.35)


# === Pixels that were cut ===
def at(noisy, mean, own, noise, cut=True):
    """`_Noisy` of one pixel, of a decoder that gives its mean and its variance."""

    class Model:
        reconstruction = Logistic()
        average = SimpleNamespace(network=lambda latents, training: latents)

    model = Model()
    model.reconstruction.mean = lambda outputs: outputs
    model.reconstruction.variance = lambda outputs: ops.full_like(outputs, own)
    inputs = {"images": np.full((1, 1, 1, 1), noisy), "noise": np.full(1, noise), "cut": np.full(1, float(cut))}
    inputs = {key: ops.convert_to_tensor(value.astype("float32")) for key, value in inputs.items()}
    return _Noisy(model, ops.full((1, 1, 1, 1), mean, "float32"), {}, inputs)


@pytest.mark.parametrize("mean", [-1.5, -0.7, 0.3])
@pytest.mark.parametrize("end", [-1.0, 1.0])
def test_a_cut_pixel_says_only_on_which_side_it_was(mean, end):
    own, noise = 0.3**2, 0.5
    x = np.linspace(mean - 5, mean + 5, 20001)
    beyond = stats.norm.cdf(-end * (end - x) / noise) if end > 0 else stats.norm.cdf((end - x) / noise)
    density = stats.norm.pdf(x, mean, 0.3) * beyond
    pixel = at(end, mean, own, noise)
    np.testing.assert_allclose(float(pixel.log_likelihood()[0]), np.log(density.sum() * (x[1] - x[0])), rtol=1e-3)
    np.testing.assert_allclose(float(pixel.mean_image()[0, 0, 0, 0]), (x * density).sum() / density.sum(), atol=1e-3)


def test_a_pixel_that_was_not_cut():
    for pixel in (at(0.4, 0.1, 0.04, 0.5), at(0.4, 0.1, 0.04, 0.5, cut=False), at(1.0, 0.1, 0.04, 0.5, cut=False)):
        noisy, spread = float(pixel.noisy[0, 0, 0, 0]), np.sqrt(0.04 + 0.25)
        np.testing.assert_allclose(float(pixel.log_likelihood()[0]), stats.norm.logpdf(noisy, 0.1, spread), rtol=1e-5)
        expected = 0.1 + 0.04 / 0.29 * (noisy - 0.1)
        np.testing.assert_allclose(float(pixel.mean_image()[0, 0, 0, 0]), expected, rtol=1e-5)


def test_far_tails():
    x = np.array([-50.0, -12.0, -4.01, -3.99, 0.0, 6.0], "float32")
    found = ops.convert_to_numpy(_log_cumulative(ops.convert_to_tensor(x)))
    np.testing.assert_allclose(found, stats.norm.logcdf(x), rtol=2e-3, atol=1e-6)


# === At the door ===
def test_progress(linear, capsys):
    linear.model.denoise(linear.pictures(3), 0.1, steps=2, samples=4, batch_size=2, verbose=1)
    assert "8/8" in capsys.readouterr().out


@pytest.mark.parametrize(
    "changed, error, message",
    [
        ({"images": "picture.png"}, TypeError, "VAE.denoise: images must be an array"),
        ({"images": np.full((1, *SHAPE), 7.0)}, ValueError, "VAE.denoise: images must be uint8, or float in"),
        (
            {"images": np.zeros((1, 4, 4, 1), "uint8")},
            ValueError,
            r"VAE.denoise: images must have shape \(N, 2, 3, 1\)",
        ),
        ({"noise_std": 0.0}, ValueError, "VAE.denoise: noise_std must be a positive number, where white is 1; got 0"),
        ({"noise_std": "0.3"}, ValueError, "VAE.denoise: noise_std must be a positive number"),
        ({"batch_size": 0}, ValueError, "VAE.denoise: batch_size must be an integer of at least 1; got 0"),
        ({"steps": 0}, ValueError, "VAE.denoise: steps must be an integer of at least 1; got 0"),
        ({"samples": 3}, ValueError, "VAE.denoise: samples must be an even number of at least 2; got 3"),
        ({"seed": None}, ValueError, "VAE.denoise: seed must be an integer from .*; got None"),
        ({"labels": [0, 1]}, ValueError, "VAE.denoise: models with num_classes need labels, and others take none"),
        ({"value_range": (0, 255)}, ValueError, r"value_range must be None, \(0, 1\) or \(-1, 1\); got \(0, 255\)"),
        ({"images": np.zeros((1, *SHAPE), "uint8"), "value_range": (0, 1)}, TypeError, "for float images; got uint8"),
        ({"images": np.full((1, *SHAPE), np.nan), "value_range": (0, 1)}, ValueError, "images must be finite"),
    ],
)
def test_what_cannot_be_denoised(linear, changed, error, message):
    given = {"images": linear.pictures(2), "noise_std": 0.3, "verbose": 0, **changed}
    with pytest.raises(error, match=message):
        linear.model.denoise(**given)


def test_a_likelihood_without_a_variance():
    class Odd(Logistic):
        def variance(self, outputs):
            return super(Logistic, self).variance(outputs)

    with pytest.raises(NotImplementedError, match="Odd must define variance"):
        tiny.vae(reconstruction=Odd()).denoise(tiny.pictures(1), 0.1, steps=1, samples=2, verbose=0)
