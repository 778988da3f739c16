import keras
import numpy as np
import pytest
from keras import ops

from kgen.losses import (
    AdversarialLoss,
    Hinge,
    LeastSquares,
    Minimax,
    NonSaturating,
    Relativistic,
    SeparableLoss,
    Wasserstein,
    pair_accuracy,
)
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
    for loss in (NonSaturating(), Relativistic(), *(kind(label_smoothing=0.1) for kind in SEPARABLE)):
        again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
        assert type(again) is type(loss) and again.get_config() == loss.get_config()
    assert again.label_smoothing == 0.1


# Each computed here in float64 from its equation: the generator's loss, and the discriminator's two costs.
EQUATIONS = {
    NonSaturating: (lambda f: -np.log(sigmoid(f)), lambda r: -np.log(sigmoid(r)), lambda f: -np.log(1 - sigmoid(f))),
    Minimax: (lambda f: np.log(1 - sigmoid(f)), lambda r: -np.log(sigmoid(r)), lambda f: -np.log(1 - sigmoid(f))),
    LeastSquares: (lambda f: (f - 1) ** 2 / 2, lambda r: (r - 1) ** 2 / 2, lambda f: f**2 / 2),
    Hinge: (lambda f: -f, lambda r: np.maximum(0, 1 - r), lambda f: np.maximum(0, 1 + f)),
    Wasserstein: (lambda f: -f, lambda r: -r, lambda f: f),
}
SEPARABLE = list(EQUATIONS)


@pytest.mark.backends
@pytest.mark.parametrize("kind", SEPARABLE)
def test_separable_losses_are_their_equations(kind):
    generator, if_real, if_fake = EQUATIONS[kind]
    real, fake = np.float64(REAL), np.float64(FAKE)
    loss = kind()
    np.testing.assert_allclose(ops.convert_to_numpy(loss.generator(REAL, FAKE)), generator(fake), rtol=1e-5, atol=1e-6)
    judged = ops.convert_to_numpy(loss.discriminator(REAL, FAKE))
    np.testing.assert_allclose(judged, if_real(real) + if_fake(fake), rtol=1e-5, atol=1e-6)
    smoothed = ops.convert_to_numpy(kind(label_smoothing=0.2).discriminator(REAL, FAKE))
    expected = 0.8 * if_real(real) + 0.2 * if_fake(real) + if_fake(fake)
    np.testing.assert_allclose(smoothed, expected, rtol=1e-5, atol=1e-6)
    share = np.array([0.0, 0.25, 0.5, 1.0], "float32")
    mixed = ops.convert_to_numpy(loss.partly_real(ops.convert_to_tensor(REAL), ops.convert_to_tensor(share)))
    np.testing.assert_allclose(mixed, share * if_real(real) + (1 - share) * if_fake(real), rtol=1e-5, atol=1e-6)


@pytest.mark.backends
def test_relativistic_is_its_equation():
    difference = np.float64(REAL) - np.float64(FAKE)
    loss = Relativistic()
    generator, discriminator = (ops.convert_to_numpy(f(REAL, FAKE)) for f in (loss.generator, loss.discriminator))
    np.testing.assert_allclose(generator, np.log1p(np.exp(difference)), rtol=1e-5)
    np.testing.assert_allclose(discriminator, np.log1p(np.exp(-difference)), rtol=1e-5)


@pytest.mark.parametrize("value", [-0.1, 0.5, 1.0])
def test_label_smoothing_is_checked(value):
    with pytest.raises(ValueError, match=r"Hinge: label_smoothing must be in \[0, 0.5\)"):
        Hinge(label_smoothing=value)


@pytest.mark.parametrize("method", ["generator", "discriminator"])
def test_a_subclass_must_define_both_players(method):
    class Half(AdversarialLoss):
        pass

    with pytest.raises(NotImplementedError, match=rf"Half must define {method}\(\)"):
        getattr(Half(), method)(REAL, FAKE)


@pytest.mark.parametrize("method", ["if_real", "if_fake"])
def test_a_separable_loss_must_define_both_costs(method):
    class Half(SeparableLoss):
        pass

    with pytest.raises(NotImplementedError, match=rf"Half must define {method}\(\)"):
        getattr(Half(), method)(REAL)


# === Pair accuracy ===
def accuracy(*arguments):
    return ops.convert_to_numpy(pair_accuracy(*(np.float32(x) for x in arguments)))


@pytest.mark.backends
def test_counts_pairs_in_order():
    np.testing.assert_array_equal(accuracy([2.0, -3.0, 1.0, 5.0], [1.0, -2.0, 1.0, -5.0]), [1.0, 0.0, 0.5, 1.0])


@pytest.mark.backends
def test_does_not_depend_on_the_scale_of_logits():
    first, second = np.random.default_rng(0).normal(size=(2, 50))
    np.testing.assert_array_equal(accuracy(100 * first - 7, 100 * second - 7), accuracy(first, second))


@pytest.mark.backends
def test_mixed_images_count_by_their_difference():
    share, logits = np.array([0.9, 0.1, 0.4, 0.4]), np.array([3.0, 1.0, 2.0, 5.0])
    differences = share - np.roll(share, 1)  # 0.5, -0.8, 0.3, 0
    # Of the pairs (0, 3), (1, 0), (2, 1), (3, 2) the first is in the wrong order, the next two in the right one.
    expected = (0.8 + 0.3) / (0.5 + 0.8 + 0.3)
    np.testing.assert_allclose(accuracy(logits, np.roll(logits, 1), differences).mean(), expected, rtol=1e-6)
    for sign, perfect in ((1.0, 1.0), (-1.0, 0.0)):
        np.testing.assert_allclose(
            accuracy(sign * share, np.roll(sign * share, 1), differences).mean(), perfect, atol=1e-6
        )


@pytest.mark.backends
def test_a_single_mixed_image_is_no_pair():
    np.testing.assert_array_equal(accuracy([2.0], [2.0], [0.0]), [0.5])
