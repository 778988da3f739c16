import numpy as np
import pytest
from keras import ops

from kgen.layers import Sharpen
from tests.checks.layers import check_layer

IMAGES = np.random.default_rng(0).uniform(0.3, 0.7, size=(2, 12, 12, 3)).astype("float32")


@pytest.mark.backends
def test_layer():
    check_layer(Sharpen, {"amount": 0.4, "radius": 1.5}, {"images": IMAGES}, IMAGES.shape)


@pytest.mark.backends
def test_equals_the_gaussian_filter_of_scipy():
    ndimage = pytest.importorskip("scipy.ndimage")
    blurred = ndimage.gaussian_filter(IMAGES.astype("float64"), (0, 1, 1, 0), truncate=8)
    wanted = np.clip(IMAGES + 0.5 * (IMAGES - blurred), 0, 1)
    found = ops.convert_to_numpy(Sharpen(0.5, 1.0)(IMAGES))
    # At the border SciPy mirrors the image.
    np.testing.assert_allclose(found[:, 4:-4, 4:-4], wanted[:, 4:-4, 4:-4], atol=1e-4)


def test_what_is_even_stays_and_nothing_leaves_the_range():
    even = np.full((1, 5, 7, 1), 0.6, "float32")
    np.testing.assert_allclose(ops.convert_to_numpy(Sharpen(5.0)(even)), even, atol=1e-5)
    edge = np.zeros((1, 6, 6, 1), "float32")
    edge[:, :, 3:] = 1
    np.testing.assert_allclose(ops.convert_to_numpy(Sharpen(1.0)(edge)), edge, atol=1e-6)


@pytest.mark.parametrize(("arguments", "said"), [((-1,), "amount .* -1"), ((1, 0), "radius must be positive; got 0")])
def test_arguments(arguments, said):
    with pytest.raises(ValueError, match=f"Sharpen: {said}"):
        Sharpen(*arguments)
