import numpy as np
import pytest
from keras import ops

from kgen.layers import ColorCast, LowLight

pytestmark = pytest.mark.backends
IMAGES = np.random.default_rng(0).uniform(0.1, 0.6, size=(50, 4, 4, 3)).astype("float32")


def test_low_light():
    found = ops.convert_to_numpy(LowLight(0.25, 2)(IMAGES))
    np.testing.assert_allclose(found, 0.25 * IMAGES**2, rtol=1e-4, atol=1e-6)
    gains = ops.convert_to_numpy(LowLight((0.1, 0.5), seed=0)(IMAGES)) / IMAGES
    np.testing.assert_allclose(gains, np.broadcast_to(gains[:, :1, :1, :1], gains.shape), rtol=1e-4)
    assert 0.1 <= gains.min() < 0.15 and 0.45 < gains.max() <= 0.5001


def test_color_cast_is_a_gain_of_each_channel():
    gains = ops.convert_to_numpy(ColorCast(0.4, seed=0)(IMAGES)) / IMAGES
    np.testing.assert_allclose(gains, np.broadcast_to(gains[:, :1, :1], gains.shape), rtol=1e-4)
    gains = gains[:, 0, 0]
    assert 0.6 <= gains.min() < 0.65 and 1.35 < gains.max() <= 1.4001
    assert np.abs(gains[:, 0] - gains[:, 1]).max() > 0.3
