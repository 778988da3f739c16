import keras
import numpy as np
import pytest
from keras import ops

from kgen.losses import AdversarialLoss, NonSaturating
from tests.losses.slopes import slope

REAL = np.array([-3.0, -0.5, 0.0, 2.0], "float32")
FAKE = np.array([1.5, 0.0, -4.0, 0.25], "float32")


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-np.float64(x)))


@pytest.mark.backends
def test_non_saturating_is_its_equation():
    loss = NonSaturating()
    generator = ops.convert_to_numpy(loss.generator(REAL, FAKE))
    discriminator = ops.convert_to_numpy(loss.discriminator(REAL, FAKE))
    assert generator.shape == discriminator.shape == (4,)
    np.testing.assert_allclose(generator, -np.log(sigmoid(FAKE)), rtol=1e-6)
    np.testing.assert_allclose(discriminator, -np.log(sigmoid(REAL)) - np.log(1 - sigmoid(FAKE)), rtol=1e-6)


@pytest.mark.backends
def test_an_even_game_costs_the_discriminator_log_four():
    zero = ops.zeros((1,))
    np.testing.assert_allclose(
        ops.convert_to_numpy(NonSaturating().discriminator(zero, zero)), [np.log(4.0)], rtol=1e-6
    )


@pytest.mark.backends
@pytest.mark.parametrize("sure", [1e4, -1e4])
def test_a_sure_player_neither_overflows_nor_loses_the_gradient(sure):
    logits = np.array([sure], "float32")
    for values, gradients, expected in (
        slope(lambda x: NonSaturating().generator(x, x), logits) + (max(-sure, 0.0),),
        slope(lambda x: NonSaturating().discriminator(ops.zeros_like(x), x), logits) + (np.log(2.0) + max(sure, 0.0),),
        slope(lambda x: NonSaturating().discriminator(x, ops.zeros_like(x)), logits) + (np.log(2.0) + max(-sure, 0.0),),
    ):
        np.testing.assert_allclose(values, [expected], rtol=1e-6)
        assert np.isfinite(gradients).all()
    # The generator's gradient is strongest where the discriminator is surest: what "non-saturating" says.
    _, gradient = slope(lambda x: NonSaturating().generator(x, x), logits)
    np.testing.assert_allclose(gradient, [-1.0 if sure < 0 else 0.0], atol=1e-6)


def test_config_round_trip():
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(NonSaturating()))
    assert type(again) is NonSaturating and again.get_config() == {}


@pytest.mark.parametrize("method", ["generator", "discriminator"])
def test_a_subclass_must_define_both_players(method):
    class Half(AdversarialLoss):
        pass

    with pytest.raises(NotImplementedError, match=rf"Half must define {method}\(\)"):
        getattr(Half(), method)(REAL, FAKE)
