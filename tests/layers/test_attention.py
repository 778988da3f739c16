import warnings

import keras
import numpy as np
import pytest

from kgen.layers import CrossAttention2D, PositionTable2D, SelfAttention2D, TransformerBlock2D, multi_head_attention
from tests.checks.gradients import gradient_penalty_gradients
from tests.checks.layers import check_layer


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


@pytest.mark.backends
def test_layer_of_position_table():
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


@pytest.mark.backends
@pytest.mark.parametrize("for_discriminators", [False, True])
def test_layer_of_self_attention(for_discriminators):
    options = dict(spectral_normalization=for_discriminators, twice_differentiable=for_discriminators)
    check_layer(
        SelfAttention2D,
        {"num_heads": 2, "gate_initializer": "ones", **options},
        {"x": (3, 4, 6, 8)},
        (3, 4, 6, 8),
    )


@pytest.mark.backends
def test_is_the_identity_until_its_gate_opens_of_self_attention():
    x = np.random.default_rng(0).normal(size=(2, 4, 4, 8)).astype("float32")
    layer = SelfAttention2D()
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(layer(x)), x)
    layer.gate.assign(0.5)
    assert np.abs(keras.ops.convert_to_numpy(layer(x)) - x).max() > 0.01


@pytest.mark.backends
def test_every_position_sees_every_other_and_none_has_a_place():
    x = np.random.default_rng(0).normal(size=(1, 3, 4, 8)).astype("float32")
    layer = SelfAttention2D(gate_initializer="ones")
    y = keras.ops.convert_to_numpy(layer(x))

    moved = x.copy()
    moved[0, 0, 0] = -moved[0, 0, 0]
    change = np.abs(keras.ops.convert_to_numpy(layer(moved)) - y).max(axis=-1)
    assert np.all(change > 1e-6)

    order = np.random.default_rng(1).permutation(12)
    shuffled = x.reshape(1, 12, 8)[:, order].reshape(1, 3, 4, 8)
    y_shuffled = keras.ops.convert_to_numpy(layer(shuffled)).reshape(1, 12, 8)
    np.testing.assert_allclose(y_shuffled, y.reshape(1, 12, 8)[:, order], rtol=1e-4, atol=1e-5)


@pytest.mark.backends
def test_stands_a_gradient_penalty_on_request():
    layer = SelfAttention2D(gate_initializer="ones", twice_differentiable=True)
    model = keras.Sequential([keras.Input((3, 4, 8)), layer])
    gradients = gradient_penalty_gradients(model, np.random.default_rng(0).normal(size=(2, 3, 4, 8)).astype("float32"))
    for weight in (layer.query_key_value.kernel, layer.output_projection.kernel, layer.gate):
        assert np.all(np.isfinite(gradients[weight.path])) and np.abs(gradients[weight.path]).max() > 1e-4


def test_refuses_heads_that_do_not_divide_the_channels_of_self_attention():
    with pytest.raises(ValueError, match="SelfAttention2D: 10 channels cannot be split into num_heads=4"):
        SelfAttention2D(num_heads=4)(np.zeros((1, 2, 2, 10), "float32"))
    with pytest.raises(ValueError, match="SelfAttention2D: num_heads must be an integer of at least 1; got 0"):
        SelfAttention2D(num_heads=0)


MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 0, 0, 0, 0]], "int32")


def image_and_tokens():
    rng = np.random.default_rng(0)
    return rng.normal(size=(3, 4, 4, 8)).astype("float32"), rng.normal(size=(3, 5, 6)).astype("float32")


@pytest.mark.backends
@pytest.mark.parametrize("masked", [True, False])
def test_layer_of_cross_attention(masked):
    inputs = {"x": (3, 4, 6, 8), "tokens": (3, 5, 12)}
    if masked:
        inputs["mask"] = MASK
    check_layer(CrossAttention2D, {"num_heads": 2, "gate_initializer": "ones"}, inputs, (3, 4, 6, 8))


@pytest.mark.backends
def test_is_the_identity_until_its_gate_opens_of_cross_attention():
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


def test_refuses_heads_that_do_not_divide_the_channels_of_cross_attention():
    with pytest.raises(ValueError, match="CrossAttention2D: 10 channels cannot be split into num_heads=4"):
        CrossAttention2D(num_heads=4)(np.zeros((1, 2, 2, 10), "float32"), np.zeros((1, 3, 4), "float32"))


MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 0, 0, 0, 0]], "int32")


@pytest.mark.backends
@pytest.mark.parametrize("with_text", [True, False])
def test_layer_of_transformer_block(with_text):
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
    with pytest.raises(ValueError, match="was built without tokens, but this call passes some"):
        block(x, tokens=tokens)
    block = TransformerBlock2D()
    block(x, tokens=tokens)
    with pytest.raises(ValueError, match="was built with tokens, but this call passes none"):
        block(x)
