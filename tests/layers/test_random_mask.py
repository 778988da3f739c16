import numpy as np
import pytest
from keras import ops

from kgen.layers import RandomMask

pytestmark = pytest.mark.backends
IMAGES = np.random.default_rng(0).uniform(0.6, 1.0, size=(4, 60, 80, 3)).astype("float32")


def masked(*arguments, images=IMAGES):
    found = ops.convert_to_numpy(RandomMask(*arguments, seed=0)(images))
    return found[..., :-1], found[..., -1]


@pytest.mark.parametrize("size", [1, 4])
def test_so_much_is_missing_and_said_to_be(size):
    images, mask = masked(0.3, size)
    assert set(np.unique(mask)) == {0, 1}
    np.testing.assert_allclose(mask.mean(), 0.3, atol=0.03)
    np.testing.assert_array_equal(images[mask == 1], 0.5)
    np.testing.assert_array_equal(images[mask == 0], IMAGES[mask == 0])


def test_fractions_are_drawn_for_each_image():
    fractions = masked((0.1, 0.9), 1, images=np.ones((60, 16, 16, 1), "float32"))[1].mean(axis=(1, 2))
    assert fractions.min() < 0.25 and fractions.max() > 0.75
    assert masked(1.0)[1].min() == 1 and masked(0.0)[1].max() == 0


def test_what_is_missing_are_squares_from_a_corner_that_is_drawn():
    _, mask = masked(0.5, 4)
    corners = set()
    for one in mask:
        rows = np.flatnonzero(np.any(np.diff(one, axis=0), axis=1)) + 1
        columns = np.flatnonzero(np.any(np.diff(one, axis=1), axis=0)) + 1
        assert len(set(rows % 4)) == len(set(columns % 4)) == 1
        corners.add((rows[0] % 4, columns[0] % 4))
    assert len(corners) > 1


def test_sizes_are_drawn_for_each_image():
    _, mask = masked(0.5, (1, 6), images=np.ones((30, 36, 36, 1), "float32"))
    # The shortest distance between two edges in a row.
    sizes = {int(np.diff(np.flatnonzero(np.any(np.diff(one, axis=1), axis=0))).min()) for one in mask}
    assert sizes == {1, 2, 3, 4, 5, 6}


def test_a_size_in_part_pixels():
    with pytest.raises(ValueError, match="RandomMask: size must be whole pixels; got 2.9"):
        RandomMask(size=2.9)
