import keras
import numpy as np
import pytest

from kgen.layers import SelfAttention2D
from tests.checks.gradients import gradient_penalty_gradients
from tests.checks.layers import check_layer


@pytest.mark.backends
@pytest.mark.parametrize("for_discriminators", [False, True])
def test_layer(for_discriminators):
    options = dict(spectral_normalization=for_discriminators, twice_differentiable=for_discriminators)
    check_layer(
        SelfAttention2D,
        {"num_heads": 2, "gate_initializer": "ones", **options},
        {"x": (3, 4, 6, 8)},
        (3, 4, 6, 8),
    )


@pytest.mark.backends
def test_is_the_identity_until_its_gate_opens():
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


def test_refuses_heads_that_do_not_divide_the_channels():
    with pytest.raises(ValueError, match="SelfAttention2D: 10 channels cannot be split into num_heads=4"):
        SelfAttention2D(num_heads=4)(np.zeros((1, 2, 2, 10), "float32"))
