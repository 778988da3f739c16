import numpy as np
import pytest
from keras import ops
from PIL import Image, ImageEnhance

from kgen.layers import Saturation
from tests.checks.layers import check_layer

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 6, 8, 3)).astype("uint8")


@pytest.mark.backends
def test_layer():
    check_layer(Saturation, {"factor": 1.4}, {"images": IMAGES / np.float32(255)}, IMAGES.shape)


@pytest.mark.backends
@pytest.mark.parametrize("factor", [0.0, 0.5, 1.0, 1.8])
def test_equals_pillow(factor):
    wanted = np.asarray(ImageEnhance.Color(Image.fromarray(IMAGES[0])).enhance(factor))
    found = ops.convert_to_numpy(Saturation(factor)(IMAGES / np.float32(255)))[0]
    # Pillow rounds the grey and the result.
    np.testing.assert_allclose(found * 255, wanted, atol=2.0)


def test_grey_images_stay_and_a_negative_factor_is_refused():
    grey = np.full((1, 2, 2, 1), 0.3, "float32")
    np.testing.assert_array_equal(ops.convert_to_numpy(Saturation(2.0)(grey)), grey)
    with pytest.raises(ValueError, match="Saturation: factor must be a number of at least 0; got -1"):
        Saturation(-1)
