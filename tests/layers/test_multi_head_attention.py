import keras
import numpy as np
import pytest

from kgen.layers import multi_head_attention


def reference(query, key, value, num_heads, mask):
    """Attention of every head and row by itself, in numpy."""
    out = np.zeros_like(query)
    width = query.shape[-1] // num_heads
    for row in range(len(query)):
        for head in range(num_heads):
            part = slice(head * width, (head + 1) * width)
            real = np.flatnonzero(mask[row])
            if len(real):
                scores = query[row, :, part] @ key[row, real, part].T / np.sqrt(width)
                weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
                out[row, :, part] = weights @ value[row, real, part]
    return out


@pytest.mark.backends
@pytest.mark.parametrize("mask_dtype", ["bool", "int32", "float32"])
@pytest.mark.parametrize("twice_differentiable", [False, True])
def test_equals_the_formula_under_a_mask(mask_dtype, twice_differentiable):
    rng = np.random.default_rng(0)
    query = rng.normal(size=(3, 6, 8)).astype("float32")
    key, value = rng.normal(size=(2, 3, 5, 8)).astype("float32")
    mask = np.array([[1, 1, 1, 1, 1], [1, 0, 1, 0, 0], [0, 0, 0, 0, 0]]).astype(mask_dtype)
    out = multi_head_attention(query, key, value, 2, mask=mask, twice_differentiable=twice_differentiable)
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(out), reference(query, key, value, 2, mask), rtol=1e-4, atol=1e-5
    )
    assert np.all(keras.ops.convert_to_numpy(out)[2] == 0)


@pytest.mark.backends
@pytest.mark.parametrize("twice_differentiable", [False, True])
def test_without_a_mask_everything_is_seen(twice_differentiable):
    query, key, value = np.random.default_rng(1).normal(size=(3, 2, 4, 8)).astype("float32")
    out = multi_head_attention(query, key, value, num_heads=4, twice_differentiable=twice_differentiable)
    out = keras.ops.convert_to_numpy(out)
    np.testing.assert_allclose(out, reference(query, key, value, 4, np.ones((2, 4))), rtol=1e-4, atol=1e-5)
