import numpy as np
import pytest
from keras import ops
from PIL import Image

from kgen.layers import Downscale

IMAGE = np.random.default_rng(0).uniform(0.3, 0.7, size=(16, 24)).astype("float32")


@pytest.mark.backends
def test_equals_pillow():
    wanted = np.asarray(Image.fromarray(IMAGE).resize((6, 4), Image.Resampling.BICUBIC))
    found = ops.convert_to_numpy(Downscale(4)(IMAGE[None, ..., None]))[0, ..., 0]
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_sides_that_it_does_not_divide():
    with pytest.raises(ValueError, match="Downscale: factor=3 must divide height and width; got 16 x 24"):
        Downscale(3)(IMAGE[None, ..., None])
    assert Downscale(3).shrinks == 3
