import keras
import numpy as np
import pytest

from kgen.layers import PositionTable2D
from tests.checks.layers import check_layer


@pytest.mark.backends
def test_layer():
    check_layer(PositionTable2D, {}, {"inputs": (3, 2, 5, 4)}, (3, 2, 5, 4))


@pytest.mark.backends
def test_adds_one_vector_a_position():
    layer = PositionTable2D(initializer=keras.initializers.RandomNormal(stddev=1.0, seed=0))
    y = keras.ops.convert_to_numpy(layer(np.ones((2, 3, 4, 5), "float32")))
    np.testing.assert_array_equal(y[0], y[1])
    np.testing.assert_allclose(y[0] - 1, keras.ops.convert_to_numpy(layer.table), rtol=1e-5, atol=1e-6)
    assert len(np.unique(y[0].reshape(12, 5), axis=0)) == 12


def test_refuses_unknown_sides():
    with pytest.raises(ValueError, match="PositionTable2D: height, width and channels must be known"):
        PositionTable2D()(keras.Input((None, None, 4)))
