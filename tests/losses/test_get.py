import keras
import pytest

from kgen import losses


@pytest.mark.parametrize(
    "kind, name, of_class",
    [
        ("adversarial loss", "non_saturating", losses.NonSaturating),
        ("reconstruction loss", "logistic", losses.Logistic),
        ("reconstruction loss", "bernoulli", losses.Logistic),
        ("reconstruction loss", "gaussian", losses.Gaussian),
        ("reconstruction loss", "optimal_gaussian", losses.OptimalGaussian),
        ("reconstruction loss", "learned_gaussian", losses.LearnedGaussian),
        ("reconstruction loss", "pixel_gaussian", losses.PixelGaussian),
        ("reconstruction loss", "laplace", losses.Laplace),
        ("reconstruction loss", "discretized_logistic", losses.DiscretizedLogistic),
        ("penalty", "gradient_penalty", losses.GradientPenalty),
        ("mixing", "mixup", losses.Mixup),
        ("pixel loss", "charbonnier", losses.Charbonnier),
    ],
)
def test_by_name(kind, name, of_class):
    assert type(losses.get(kind, name)) is of_class


@pytest.mark.parametrize(
    "kind, loss", [("adversarial loss", losses.NonSaturating()), ("reconstruction loss", losses.Gaussian(0.1))]
)
def test_a_loss_is_itself(kind, loss):
    assert losses.get(kind, loss) is loss


def test_anything_with_the_methods_is_a_loss():
    class Hinge:
        def generator(self, real_logits, fake_logits):
            return -fake_logits

        def discriminator(self, real_logits, fake_logits):
            return fake_logits - real_logits

    hinge = Hinge()
    assert losses.get("adversarial loss", hinge) is hinge


def test_an_unknown_name_names_those_that_are_known():
    with pytest.raises(
        ValueError, match=r"unknown reconstruction loss 'l2'; choose from \['bernoulli', .*, 'pixel_gaussian'\]"
    ):
        losses.get("reconstruction loss", "l2")


@pytest.mark.parametrize("wrong", [None, 3, losses.Gaussian(), losses.NonSaturating])
def test_what_is_no_loss(wrong):
    with pytest.raises(
        ValueError, match=r"adversarial loss must be one of \['hinge', .*\] or an object with generator, discriminator"
    ):
        losses.get("adversarial loss", wrong)


# === On disk ===
@pytest.mark.backends
@pytest.mark.parametrize(
    "loss",
    [losses.NonSaturating(), losses.R1(3.0), losses.Logistic(), losses.Gaussian(0.25), losses.Mixup(0.3)],
    ids=lambda x: str(type(x)),
)
def test_a_loss_comes_back_from_its_config(loss):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert type(again) is type(loss) and vars(again) == vars(loss)


def test_a_loss_of_ones_own_travels_by_its_constructors_arguments():
    @keras.saving.register_keras_serializable()
    class Huber(losses.PixelLoss):
        def __init__(self, edge=0.1):
            self.edge = edge

    @keras.saving.register_keras_serializable()
    class AtNoise(losses.R1):
        pass

    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object([Huber(0.2), AtNoise(3.0, 4)]))
    assert [vars(loss) for loss in again] == [{"edge": 0.2}, {"weight": 3.0, "every": 4}]
