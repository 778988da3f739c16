import warnings

import keras
import numpy as np
import pytest

from kgen.layers import CrossAttention2D
from tests.checks.layers import check_layer

MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 0, 0, 0, 0]], "int32")


def image_and_tokens():
    rng = np.random.default_rng(0)
    return rng.normal(size=(3, 4, 4, 8)).astype("float32"), rng.normal(size=(3, 5, 6)).astype("float32")


@pytest.mark.backends
@pytest.mark.parametrize("masked", [True, False])
def test_layer(masked):
    inputs = {"x": (3, 4, 6, 8), "tokens": (3, 5, 12)}
    if masked:
        inputs["mask"] = MASK
    check_layer(CrossAttention2D, {"num_heads": 2, "gate_initializer": "ones"}, inputs, (3, 4, 6, 8))


@pytest.mark.backends
def test_is_the_identity_until_its_gate_opens():
    x, tokens = image_and_tokens()
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(CrossAttention2D()(x, tokens)), x)


@pytest.mark.backends
def test_reads_real_tokens_only():
    x, tokens = image_and_tokens()
    layer = CrossAttention2D(gate_initializer="ones")
    y = keras.ops.convert_to_numpy(layer(x, tokens, mask=MASK))
    np.testing.assert_array_equal(y[2], x[2])  # nothing to read

    padding_changed = np.where(MASK[:, :, None] == 1, tokens, 100.0).astype("float32")
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(layer(x, padding_changed, mask=MASK)), y)

    first_changed = tokens.copy()
    first_changed[:, 0] *= -1
    change = np.abs(keras.ops.convert_to_numpy(layer(x, first_changed, mask=MASK)) - y).max(axis=-1)
    assert np.all(change[:2] > 1e-6) and np.all(change[2] == 0)


@pytest.mark.backends
def test_a_mask_is_no_reason_to_warn():
    x, tokens = image_and_tokens()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y = CrossAttention2D()(x, tokens, mask=MASK)
    assert getattr(y, "_keras_mask", None) is None


def test_refuses_heads_that_do_not_divide_the_channels():
    with pytest.raises(ValueError, match="CrossAttention2D: 10 channels cannot be split into num_heads=4"):
        CrossAttention2D(num_heads=4)(np.zeros((1, 2, 2, 10), "float32"), np.zeros((1, 3, 4), "float32"))
