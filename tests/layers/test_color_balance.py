import numpy as np
import pytest
from keras import ops

from kgen.layers import ColorBalance
from tests.checks.layers import check_layer

IMAGES = np.random.default_rng(0).uniform(0.1, 0.6, size=(2, 6, 8, 3)).astype("float32")


@pytest.mark.backends
@pytest.mark.parametrize("gains", ["grey_world", (1.0, 0.5, 1.5)])
def test_layer(gains):
    check_layer(ColorBalance, {"gains": gains}, {"images": IMAGES}, IMAGES.shape)


@pytest.mark.backends
def test_grey_world_makes_channels_equal_on_average_but_not_red_grey():
    tinged = IMAGES * np.array([1.0, 0.8, 0.7], "float32")
    means = ops.convert_to_numpy(ColorBalance()(tinged)).mean(axis=(1, 2))
    np.testing.assert_allclose(means, np.broadcast_to(tinged.mean(axis=(1, 2, 3))[:, None], (2, 3)), rtol=1e-4)
    red = np.zeros((1, 2, 2, 3), "float32")
    red[..., 0] = 0.9
    np.testing.assert_allclose(ops.convert_to_numpy(ColorBalance()(red)), red / 2)


def test_gains():
    found = ops.convert_to_numpy(ColorBalance((1.0, 0.5, 3.0))(IMAGES))
    np.testing.assert_allclose(found, np.minimum(IMAGES * [1.0, 0.5, 3.0], 1), rtol=1e-6)
    for gains in ("white", (1.0, -1.0, 1.0), (1.0, np.nan, 1.0), ()):
        with pytest.raises(ValueError, match="ColorBalance: gains must be 'grey_world' or positive numbers; got"):
            ColorBalance(gains)
    with pytest.raises(ValueError, match="got 2 for 3 channels"):
        ColorBalance((1.0, 2.0))(IMAGES)
    with pytest.raises(ValueError, match="got 1 for 3 channels"):
        ColorBalance(1.1)(IMAGES)
