import keras
import numpy as np
import pytest

from kgen.layers import AdaptiveInstanceNorm, channel_statistics
from tests.checks.layers import check_layer

pytestmark = pytest.mark.backends


def features(*shape, seed=0):
    return (3.0 + 5.0 * np.random.default_rng(seed).normal(size=shape)).astype("float32")


def test_layer():
    check_layer(AdaptiveInstanceNorm, {}, {"x": (3, 4, 6, 5), "statistics": (3, 10)}, (3, 4, 6, 5))


def test_statistics_are_means_and_deviations_over_positions():
    x = features(2, 4, 6, 3)
    expected = np.concatenate([x.mean(axis=(1, 2)), x.std(axis=(1, 2))], axis=1)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(channel_statistics(x)), expected, rtol=1e-5)


def test_content_gets_the_statistics_of_the_style_and_keeps_its_form():
    content, style = features(2, 8, 6, 3), 0.1 * features(2, 5, 7, 3, seed=1)
    statistics = channel_statistics(style)
    y = AdaptiveInstanceNorm()(content, statistics)
    np.testing.assert_allclose(*map(keras.ops.convert_to_numpy, (channel_statistics(y), statistics)), atol=1e-4)
    flat = [keras.ops.convert_to_numpy(each)[1, :, :, 2].ravel() for each in (content, y)]
    assert np.corrcoef(*flat)[0, 1] > 0.9999


def test_its_own_statistics_change_nothing():
    x = features(2, 8, 6, 3)
    y = AdaptiveInstanceNorm()(x, channel_statistics(x))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(y), x, rtol=1e-5, atol=1e-5)


def test_statistics_of_another_number_of_channels():
    with pytest.raises(ValueError, match="3 channels need 6 statistics, .* got 3"):
        AdaptiveInstanceNorm()(features(1, 4, 4, 3), features(1, 3))


def test_a_part_of_an_image_with_the_statistics_of_the_whole():
    content, statistics = features(2, 6, 8, 5), channel_statistics(features(2, 3, 3, 5))
    whole = AdaptiveInstanceNorm()(content, statistics)
    part = AdaptiveInstanceNorm()(content[:, 1:4, 2:], statistics, channel_statistics(content))
    np.testing.assert_allclose(*map(keras.ops.convert_to_numpy, (part, whole[:, 1:4, 2:])), atol=1e-5)
