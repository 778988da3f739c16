import numpy as np
import pytest
from keras import ops

from kgen import losses
from tests.losses.slopes import slope

pytestmark = pytest.mark.backends
CLEAN = np.zeros((2, 2, 2, 1), "float32")
# Differences of the first image: 1 at one of four pixels; of the second: 0.5 everywhere.
OTHER = np.zeros_like(CLEAN)
OTHER[0, 0, 0], OTHER[1] = 1.0, 0.5


@pytest.mark.parametrize("name, expected", [("l1", [0.25, 0.5]), ("l2", [0.25, 0.25]), ("charbonnier", [0.2507, 0.5])])
def test_by_hand(name, expected):
    values, gradient = slope(lambda x: losses.get("pixel loss", name).loss(CLEAN, x), OTHER)
    np.testing.assert_allclose(values, expected, atol=2e-4)
    assert gradient[0, 0, 0, 0] > 0 and np.all(gradient[1] > 0) and np.all(np.isfinite(gradient))


def test_charbonnier_is_smooth_at_0():
    loss = losses.Charbonnier(0.1)
    values, gradient = slope(lambda x: loss.loss(CLEAN, x), CLEAN)
    np.testing.assert_allclose(values, 0.1, rtol=1e-5)
    np.testing.assert_allclose(gradient, 0, atol=1e-7)
    assert losses.Charbonnier.from_config(loss.get_config()).epsilon == 0.1
    with pytest.raises(ValueError, match="Charbonnier: epsilon must be positive; got 0"):
        losses.Charbonnier(0)


def test_one_of_ones_own():
    class Cubic(losses.PixelLoss):
        def of_difference(self, difference):
            return ops.abs(difference) ** 3

    np.testing.assert_allclose(ops.convert_to_numpy(Cubic().loss(CLEAN, OTHER)), [0.25, 0.125])
    with pytest.raises(NotImplementedError, match="PixelLoss must define of_difference"):
        losses.PixelLoss().loss(CLEAN, OTHER)
