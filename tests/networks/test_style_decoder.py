import keras
import numpy as np
import pytest

from kgen.networks import style_decoder

pytestmark = pytest.mark.backends


@pytest.mark.parametrize("factor", [1, 4])
def test_an_image_so_many_times_as_large(factor):
    decoder = style_decoder(5, factor, filters=2, output_channels=1)
    y = decoder(np.ones((2, 3, 4, 5), "float32"))
    assert y.shape == (2, 3 * factor, 4 * factor, 1) and keras.backend.standardize_dtype(y.dtype) == "float32"


def test_widths():
    decoder = style_decoder(5, 4, filters=2, max_filters=6)
    widths = [layer.filters for layer in decoder.layers if isinstance(layer, keras.layers.Conv2D)]
    assert widths == [6, 6, 4, 4, 2, 2, 3]


def test_each_map_joins_at_its_grid():
    decoder = style_decoder([5, 4, 6], [1, 2, 2], filters=2)
    maps = [
        np.random.default_rng(0).normal(size=size).astype("float32") for size in ((1, 8, 6, 5), *2 * [(1, 4, 3, 4)])
    ]
    maps[2] = np.concatenate([maps[2], maps[2][..., :2]], axis=-1)
    y = decoder(maps)
    assert y.shape == (1, 8, 6, 3)
    for number in range(3):
        without = [np.zeros_like(each) if i == number else each for i, each in enumerate(maps)]
        assert np.abs(keras.ops.convert_to_numpy(decoder(without) - y)).max() > 1e-4, number


def test_maps_that_are_not_one_of_each():
    for channels, factors in (([5, 4], [2]), ([5, 4], [4, 2]), ([], [])):
        with pytest.raises(ValueError, match="must be two lists of the same length, fine to coarse; got"):
            style_decoder(channels, factors)


def test_a_factor_that_is_no_power_of_two():
    with pytest.raises(ValueError, match="factor must be a power of two, such as 8; got 6"):
        style_decoder(5, 6)
