import keras
import numpy as np
import pytest

from kgen.layers import PixelShuffle
from tests.checks.layers import check_layer


@pytest.mark.backends
def test_layer():
    check_layer(PixelShuffle, {"factor": 2}, {"inputs": (3, 2, 5, 12)}, (3, 4, 10, 3))


@pytest.mark.backends
@pytest.mark.parametrize("factor", [1, 2, 3])
def test_moves_channels_where_the_formula_says(factor):
    channels = 2
    x = np.random.default_rng(0).normal(size=(2, 3, 4, factor**2 * channels)).astype("float32")
    y = keras.ops.convert_to_numpy(PixelShuffle(factor)(x))
    for row, column in np.ndindex(y.shape[1:3]):
        start = (factor * (row % factor) + column % factor) * channels
        np.testing.assert_array_equal(
            y[:, row, column], x[:, row // factor, column // factor, start : start + channels]
        )


@pytest.mark.backends
def test_unknown_sides_stay_unknown():
    assert PixelShuffle(2)(keras.Input((None, None, 8))).shape == (None, None, None, 2)


def test_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="PixelShuffle: 6 channels cannot be spread over 2x2 pixels"):
        PixelShuffle(2)(np.zeros((1, 2, 2, 6), "float32"))
    for factor in (0, 1.5, True):
        with pytest.raises(ValueError, match=f"factor must be an integer of at least 1; got {factor}"):
            PixelShuffle(factor)
