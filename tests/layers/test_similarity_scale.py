import keras
import numpy as np
import pytest

from kgen.layers import SimilarityScale
from tests.checks.layers import check_layer

pytestmark = pytest.mark.backends


@pytest.mark.parametrize("bias", [None, -10.0])
def test_layer(bias):
    check_layer(SimilarityScale, {"initial": 5.0, "largest": 20.0, "initial_bias": bias}, {"inputs": (3, 4)}, (3, 4))


def test_begins_where_it_is_told_to():
    cosines = np.array([[0.5, -0.25]], "float32")
    for bias in (None, -3.0):
        logits = SimilarityScale(10.0, initial_bias=bias)(cosines)
        np.testing.assert_allclose(keras.ops.convert_to_numpy(logits), 10.0 * cosines + (bias or 0.0), rtol=1e-5)


def test_stays_within_bounds_however_hard_it_is_pulled():
    layer = SimilarityScale(9.0, largest=10.0)
    layer.build((None, None))
    optimizer = keras.optimizers.SGD(1.0)
    optimizer.build(layer.trainable_variables)
    for gradient, scale in ((-50.0, 10.0), (100.0, 1.0)):
        optimizer.apply([keras.ops.convert_to_tensor(np.float32(gradient))])
        np.testing.assert_allclose(keras.ops.convert_to_numpy(layer(np.ones((1, 1), "float32"))), [[scale]], rtol=1e-5)


@pytest.mark.parametrize("initial", [0.5, 101.0])
def test_refuses_a_start_out_of_bounds(initial):
    with pytest.raises(ValueError, match=f"initial must be from 1 to largest=100.0; got {initial}"):
        SimilarityScale(initial)
