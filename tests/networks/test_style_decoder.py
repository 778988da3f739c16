import keras
import numpy as np
import pytest

from kgen.networks import style_decoder

pytestmark = pytest.mark.backends


@pytest.mark.parametrize("factor", [1, 4])
def test_a_picture_so_many_times_as_large(factor):
    decoder = style_decoder(5, factor, filters=2, output_channels=1)
    y = decoder(np.ones((2, 3, 4, 5), "float32"))
    assert y.shape == (2, 3 * factor, 4 * factor, 1) and keras.backend.standardize_dtype(y.dtype) == "float32"


def test_widths():
    decoder = style_decoder(5, 4, filters=2, max_filters=6)
    widths = [layer.filters for layer in decoder.layers if isinstance(layer, keras.layers.Conv2D)]
    assert widths == [6, 6, 4, 4, 2, 2, 3]


def test_a_factor_that_is_no_power_of_two():
    with pytest.raises(ValueError, match="factor must be a power of two, such as 8; got 6"):
        style_decoder(5, 6)
