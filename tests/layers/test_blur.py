import numpy as np
import pytest
from keras import ops

from kgen.layers import Blur

IMAGES = np.random.default_rng(0).uniform(size=(2, 20, 24, 3)).astype("float32")


@pytest.mark.backends
def test_equals_the_gaussian_filter_of_scipy():
    ndimage = pytest.importorskip("scipy.ndimage")
    wanted = ndimage.gaussian_filter(IMAGES.astype("float64"), (0, 1.5, 1.5, 0), truncate=8)
    found = ops.convert_to_numpy(Blur(1.5)(IMAGES))
    # At the border SciPy mirrors the image.
    np.testing.assert_allclose(found[:, 7:-7, 7:-7], wanted[:, 7:-7, 7:-7], atol=1e-4)


@pytest.mark.backends
def test_what_is_even_stays_and_no_blur_changes_nothing():
    even = np.full((1, 5, 7, 1), 0.6, "float32")
    np.testing.assert_allclose(ops.convert_to_numpy(Blur(3)(even)), even, atol=1e-5)
    np.testing.assert_allclose(ops.convert_to_numpy(Blur(0)(IMAGES)), IMAGES, atol=1e-6)
