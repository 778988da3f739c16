import keras
import numpy as np
import pytest
from keras import ops

from kgen.portable import largest


@pytest.mark.backends
@pytest.mark.parametrize("shape", [(7,), (5, 4), (2, 3, 9)])
def test_where_the_largest_number_is(shape):
    numbers = np.random.default_rng(0).normal(size=shape).astype("float32")
    found = largest(ops.convert_to_tensor(numbers))
    assert keras.backend.standardize_dtype(found.dtype) == "int32"
    np.testing.assert_array_equal(ops.convert_to_numpy(found), numbers.argmax(axis=-1))


@pytest.mark.backends
def test_of_equal_ones_it_is_the_first():
    numbers = ops.convert_to_tensor([[-1.0, 2.0, 2.0], [0.0, 0.0, 0.0], [-3.0, -3.0, -4.0]])
    np.testing.assert_array_equal(ops.convert_to_numpy(largest(numbers)), [1, 0, 0])
