import numpy as np
import pytest
from keras import ops

from kgen.layers import GaussianNoise, PoissonNoise

pytestmark = pytest.mark.backends
GREY = np.full((2, 100, 100, 1), 0.5, "float32")


def test_gaussian_noise_has_the_deviation_that_is_asked_for():
    noise = ops.convert_to_numpy(GaussianNoise(20, seed=0)(GREY)) - GREY
    np.testing.assert_allclose(noise.std(axis=(1, 2, 3)), 20 / 255, rtol=0.03)
    np.testing.assert_allclose(noise.mean(axis=(1, 2, 3)), 0, atol=0.003)
    # Neighbours know nothing of each other.
    assert abs(np.mean(noise[:, 1:] * noise[:, :-1])) < 0.03 * np.mean(noise**2)


def test_deviations_are_spread_over_their_range():
    many = np.full((400, 8, 8, 1), 0.5, "float32")
    deviations = 255 * (ops.convert_to_numpy(GaussianNoise((10, 30), seed=0)(many)) - 0.5).std(axis=(1, 2, 3))
    assert 7 < deviations.min() < 12 and 28 < deviations.max() < 38
    np.testing.assert_allclose(deviations.mean(), 20, rtol=0.05)


def test_poisson_noise_grows_with_the_root_of_brightness():
    noise = PoissonNoise(100, seed=0)
    for level in (0.1, 0.5):
        degraded = ops.convert_to_numpy(noise(np.full_like(GREY, level)))
        np.testing.assert_allclose(degraded.std(), np.sqrt(level / 100), rtol=0.04)
        np.testing.assert_allclose(degraded.mean(), level, rtol=0.01)
    np.testing.assert_array_equal(ops.convert_to_numpy(noise(np.zeros_like(GREY))), 0)


@pytest.mark.parametrize("layer", [GaussianNoise(30, seed=0), PoissonNoise(50, seed=0)])
def test_grey_images_get_grey_noise(layer):
    images = np.repeat(GREY, 3, axis=-1)
    images[1, 3, 5, 0] = 0.6
    noise = ops.convert_to_numpy(layer(images)) - images
    assert np.ptp(noise[0], axis=-1).max() == 0 and noise[0].std() > 0.05
    # One pixel with a colour makes the other image one with colours.
    assert np.corrcoef(noise[1, ..., 0].ravel(), noise[1, ..., 1].ravel())[0, 1] < 0.05
