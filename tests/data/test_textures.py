import numpy as np
import pytest

from kgen.data import textures


def test_each_is_its_own_and_none_is_plain():
    images = textures(24, image_size=32, seed=3)
    assert images.shape == (24, 32, 32, 3) and images.dtype == "uint8"
    assert images.std(axis=(1, 2)).max(axis=1).min() > 10
    assert len({image.tobytes() for image in images}) == 24
    # Alone as among others; another seed draws others.
    np.testing.assert_array_equal(textures(5, image_size=32, seed=3), images[:5])
    assert not np.array_equal(textures(1, image_size=32, seed=4), images[:1])


def test_the_smallest():
    assert textures(40, image_size=16).shape == (40, 16, 16, 3)


@pytest.mark.parametrize("arguments", [{"count": 0}, {"count": 1, "image_size": 8}, {"count": 1, "seed": -1}])
def test_what_is_out_of_range(arguments):
    with pytest.raises(ValueError, match=f"textures: {list(arguments)[-1]} must be an integer of at least"):
        textures(**arguments)
