import numpy as np
import pytest
from keras import ops

from kgen.layers import FillMissing
from tests.checks.layers import check_layer

pytestmark = pytest.mark.backends


def masked_slope(fraction=0.5):
    """A slope of brightness, some pixels of it grey and said to be missing."""
    clean = np.broadcast_to(np.linspace(0, 1, 24, dtype="float32")[:, None, None], (2, 24, 20, 3))
    missing = (np.random.default_rng(0).uniform(size=(2, 24, 20, 1)) < fraction).astype("float32")
    return clean, np.concatenate([clean * (1 - missing) + 0.5 * missing, missing], axis=-1)


def test_layer():
    check_layer(FillMissing, {}, {"images": masked_slope()[1]}, (2, 24, 20, 3))


def test_missing_pixels_are_near_their_neighbours_and_known_ones_stay():
    clean, inputs = masked_slope()
    filled, missing = ops.convert_to_numpy(FillMissing()(inputs)), inputs[..., -1] > 0
    np.testing.assert_array_equal(filled[~missing], clean[~missing])
    assert np.abs(filled - clean).max() < 0.1 and np.abs(inputs[..., :-1] - clean).max() > 0.4
    # Far from what is known the widest window has a say, and what is hidden none; where nothing is known, no window.
    inputs[:, 2:22, 2:18, :-1] = 9
    inputs[:, 2:22, 2:18, -1] = 1
    assert np.abs(ops.convert_to_numpy(FillMissing()(inputs)) - clean).max() < 0.7
    inputs[..., -1] = 1
    np.testing.assert_array_equal(ops.convert_to_numpy(FillMissing()(inputs)), inputs[..., :-1])
