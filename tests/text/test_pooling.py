import numpy as np
import pytest
from keras import ops

from kgen.text.pooling import POOLINGS, pooled_tokens

# A caption of two tokens and one of three; zero after the last.
TOKENS = np.array([[[1, -1], [3, -5], [0, 0]], [[2, 4], [0, -2], [4, 1]]], "float32")
REAL = np.array([[[1], [1], [0]], [[1], [1], [1]]], "float32")
EXPECTED = {
    "mean": [[2, -3], [2, 1]],
    "cls": [[1, -1], [2, 4]],
    "max": [[3, -1], [4, 4]],
    "last": [[3, -5], [4, 1]],
}


@pytest.mark.backends
@pytest.mark.parametrize("pooling", EXPECTED)
def test_only_real_tokens_count(pooling):
    assert {*EXPECTED, "backbone"} == set(POOLINGS)
    found = ops.convert_to_numpy(pooled_tokens(pooling, ops.convert_to_tensor(TOKENS), ops.convert_to_tensor(REAL)))
    np.testing.assert_allclose(found, EXPECTED[pooling], rtol=1e-6)
