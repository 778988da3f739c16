import numpy as np
import pytest
from keras import ops

from kgen.layers.borders import in_whole_multiples, with_reflected_border

IMAGES = np.random.default_rng(0).uniform(size=(2, 5, 8, 3)).astype("float32")


@pytest.mark.backends
def test_the_border_is_repeated_up_to_whole_multiples():
    found = ops.convert_to_numpy(in_whole_multiples(ops.convert_to_tensor(IMAGES), 4))
    np.testing.assert_array_equal(found, np.pad(IMAGES, [(0, 0), (0, 3), (0, 0), (0, 0)], mode="edge"))


@pytest.mark.backends
def test_a_border_mirrors_what_is_inside():
    found = ops.convert_to_numpy(with_reflected_border(ops.convert_to_tensor(IMAGES), 4))
    np.testing.assert_array_equal(found, np.pad(IMAGES, [(0, 0), (4, 4), (4, 4), (0, 0)], mode="symmetric"))
