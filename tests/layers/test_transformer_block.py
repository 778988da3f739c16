import keras
import numpy as np
import pytest

from kgen.layers import TransformerBlock2D
from tests.checks.layers import check_layer

MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 0, 0, 0, 0]], "int32")


@pytest.mark.backends
@pytest.mark.parametrize("with_text", [True, False])
def test_layer(with_text):
    inputs = {"x": (3, 4, 6, 8)}
    if with_text:
        inputs.update(tokens=(3, 5, 12), mask=MASK, condition=(3, 7))
    check_layer(TransformerBlock2D, {"num_heads": 2, "mlp_ratio": 3}, inputs, (3, 4, 6, 8))


@pytest.mark.backends
def test_tokens_reach_the_image_where_the_mask_lets_them():
    rng = np.random.default_rng(0)
    x, tokens = rng.normal(size=(3, 4, 4, 8)).astype("float32"), rng.normal(size=(3, 5, 6)).astype("float32")
    block = TransformerBlock2D()
    y = keras.ops.convert_to_numpy(block(x, tokens=tokens, mask=MASK))
    change = np.abs(keras.ops.convert_to_numpy(block(x, tokens=-tokens, mask=MASK)) - y).max(axis=(1, 2, 3))
    assert np.all(change[:2] > 1e-4) and change[2] == 0


@pytest.mark.backends
def test_what_was_built_without_tokens_refuses_them():
    x, tokens = np.zeros((1, 2, 2, 8), "float32"), np.zeros((1, 3, 6), "float32")
    block = TransformerBlock2D()
    block(x)
    with pytest.raises(ValueError, match="was built without tokens and now got some"):
        block(x, tokens=tokens)
    block = TransformerBlock2D()
    block(x, tokens=tokens)
    with pytest.raises(ValueError, match="was built with tokens and now got none"):
        block(x)
