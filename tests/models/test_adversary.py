import keras
import numpy as np
import pytest
from keras import ops

from kgen.layers import DiffAugment
from kgen.losses import R1, Mixup, NonSaturating
from kgen.models.adversary import Adversary, condition_names, feed, parted
from kgen.training import SeedGenerator, backend
from tests.models import tiny


def softplus(x):
    return np.logaddexp(0.0, np.float64(x))


@pytest.fixture(scope="module")
def plain():
    keras.utils.set_random_seed(0)
    return tiny.encoder(1)


@pytest.fixture(scope="module")
def conditional():
    keras.utils.set_random_seed(0)
    return tiny.encoder(1, tiny.CLASSES)


def images(seed, count=4):
    numbers = np.random.default_rng(seed).uniform(-1, 1, (count, *tiny.SHAPE))
    return ops.convert_to_tensor(numbers.astype("float32"))


def one_hot(*labels):
    return {"pooled": ops.convert_to_tensor(np.eye(tiny.CLASSES, dtype="float32")[list(labels)])}


def numpy(tensor):
    return ops.convert_to_numpy(ops.stop_gradient(tensor))


# === Conditions ===
@pytest.mark.backends
def test_a_network_is_fed_what_it_takes(plain, conditional):
    x, condition = images(0), {**one_hot(0, 1, 2, 0), "tokens": ops.zeros((4, 2, 5))}
    np.testing.assert_array_equal(numpy(feed(plain, "images", x, condition, False)), numpy(plain(x)))
    together = numpy(conditional({"images": x, "pooled": condition["pooled"]}))
    np.testing.assert_array_equal(numpy(feed(conditional, "images", x, condition, False)), together)
    assert condition_names(plain, condition) == set() and condition_names(conditional, condition) == {"pooled"}


def test_a_network_that_wants_more_than_there_is(conditional):
    with pytest.raises(ValueError, match=r"nothing is known of \['pooled'\]. They may be 'images' and .*: \['mask'\]"):
        feed(conditional, "images", images(0), {"mask": ops.ones((4, 2))}, False)


def test_parted():
    batch = {"images": 1, "pooled": 2, "mask": 3}
    assert parted(batch) == (1, {"pooled": 2, "mask": 3})


# === Losses ===
@pytest.mark.backends
def test_losses_of_the_two_players(plain):
    adversary = Adversary(plain, NonSaturating(), [])
    real, fake = images(0), images(1)
    real_logits, fake_logits = numpy(plain(real))[:, 0], numpy(plain(fake))[:, 0]
    assert adversary.terms == ()
    np.testing.assert_allclose(
        numpy(adversary.discriminator_loss(real, fake, {}, True, None)),
        softplus(-real_logits) + softplus(fake_logits),
        rtol=1e-5,
    )
    np.testing.assert_allclose(numpy(adversary.generator_loss(real, fake, {}, True)), softplus(-fake_logits), rtol=1e-5)


@pytest.mark.backends
def test_penalties_add_up_while_training_only(plain):
    adversary = Adversary(plain, NonSaturating(), [R1(2.0), R1(6.0)])
    real, fake = images(0), images(1)
    gradient = numpy(backend.input_gradient(lambda x: plain(x)[:, 0], real))
    terms = adversary.discriminator_loss(real, fake, {}, True, None)
    assert set(terms) == set(adversary.terms) == {"discrimination", "penalty"}
    np.testing.assert_allclose(numpy(terms["penalty"]), 4.0 * np.square(gradient).sum(axis=(1, 2, 3)), rtol=1e-4)
    assert np.all(numpy(adversary.discriminator_loss(real, fake, {}, False, None)["penalty"]) == 0.0)


@pytest.mark.backends
def test_a_lazy_penalty_is_due_now_and_then_and_costs_as_much_more(plain):
    real, fake = images(0), images(1)
    at_once = Adversary(plain, NonSaturating(), [R1(2.0)]).discriminator_loss(real, fake, {}, True, None)
    lazy = Adversary(plain, NonSaturating(), [R1(2.0, every=3), R1(2.0)])
    for step in range(5):
        terms = lazy.discriminator_loss(real, fake, {}, True, None, step=ops.convert_to_tensor(float(step)))
        times = 1.0 + (3.0 if step % 3 == 0 else 0.0)
        np.testing.assert_allclose(numpy(terms["penalty"]), times * numpy(at_once["penalty"]), rtol=1e-4)


@pytest.mark.backends
def test_mixed_pictures_are_judged_by_their_share(plain):
    class Halves(Mixup):
        def mixed(self, real, fake, seed):
            share = ops.convert_to_tensor(np.array([0.0, 0.25, 0.5, 1.0], "float32"))
            each = ops.reshape(share, (4, 1, 1, 1))
            return each * real + (1.0 - each) * fake, share

    real, fake, share = images(0), images(1), np.array([0.0, 0.25, 0.5, 1.0])
    each = ops.convert_to_tensor(share.reshape(4, 1, 1, 1).astype("float32"))
    logits = numpy(plain(each * real + (1 - each) * fake))[:, 0]
    adversary = Adversary(plain, NonSaturating(), [], Halves())
    values = numpy(adversary.discriminator_loss(real, fake, {}, True, None))
    np.testing.assert_allclose(values, share * softplus(-logits) + (1 - share) * softplus(logits), rtol=1e-5)
    # Evaluation shows the loss of pictures as they are.
    evaluated = numpy(adversary.discriminator_loss(real, fake, {}, False, None))
    expected = softplus(-numpy(plain(real))[:, 0]) + softplus(numpy(plain(fake))[:, 0])
    np.testing.assert_allclose(evaluated, expected, rtol=1e-5)


@pytest.mark.backends
def test_a_real_picture_beside_the_condition_of_another_counts_as_fake(conditional):
    adversary = Adversary(conditional, NonSaturating(), [])
    real, fake, condition = images(0), images(1), one_hot(0, 1, 2, 2)

    def logits(x, labels):
        return numpy(conditional({"images": x, **one_hot(*labels)}))[:, 0]

    own, neighbours = (0, 1, 2, 2), (2, 0, 1, 2)
    right = softplus(-logits(real, own))
    generated, mismatched = right + softplus(logits(fake, own)), right + softplus(logits(real, neighbours))
    # The last picture's neighbour has the same label: no mismatch.
    expected = np.where([True, True, True, False], (generated + mismatched) / 2, generated)
    values = numpy(adversary.discriminator_loss(real, fake, condition, True, None))
    np.testing.assert_allclose(values, expected, rtol=1e-5)
    assert not np.isclose(generated, expected)[:3].any()


@pytest.mark.backends
def test_the_discriminator_does_not_teach_the_generator(plain):
    adversary = Adversary(plain, NonSaturating(), [])
    real = images(0)
    slopes = [
        np.abs(numpy(backend.input_gradient(loss, images(1)))).max()
        for loss in (
            # torch wants to see its input used.
            lambda fake: adversary.discriminator_loss(real, fake, {}, True, None) + 0.0 * fake[:, 0, 0, 0],
            lambda fake: adversary.generator_loss(real, fake, {}, True),
        )
    ]
    assert slopes[0] == 0.0 and slopes[1] > 0.0


def test_logits_are_float32_under_mixed_precision():
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        adversary = Adversary(tiny.encoder(1), NonSaturating(), [])
    finally:
        keras.config.set_dtype_policy(policy)
    logits = adversary.logits(images(0), {}, False)
    assert keras.backend.standardize_dtype(logits.dtype) == "float32" and tuple(logits.shape) == (4,)


# === From arguments ===
@pytest.mark.parametrize(
    "penalties, weights",
    [("auto", [1.0]), ([], []), (R1(3.0), [3.0]), ([R1(3.0), R1(4.0)], [3.0, 4.0]), ((R1(2.0),), [2.0])],
)
def test_penalties(plain, penalties, weights):
    adversary = Adversary.from_arguments(plain, "auto", penalties)
    assert type(adversary.loss) is NonSaturating
    assert [penalty.weight for penalty in adversary.penalties] == weights


@pytest.mark.parametrize("wrong", ["r1", 10.0, None, [R1(), "r1"], [R1]])
def test_what_is_no_penalty(plain, wrong):
    with pytest.raises(TypeError, match=r"compile: penalties are kgen.losses.Penalty objects, such as R1\(10.0\); got"):
        Adversary.from_arguments(plain, "auto", wrong)


def test_an_unknown_loss(plain):
    with pytest.raises(ValueError, match="no adversarial loss is called 'hinges'"):
        Adversary.from_arguments(plain, "hinges", [])


@pytest.mark.backends
def test_what_the_discriminator_sees_is_augmented_in_training(plain):
    augmentation = DiffAugment(("color",))
    adversary = Adversary(plain, NonSaturating(), [], augmentation=augmentation)
    real, fake = images(0), images(1)
    # The same numbers, drawn in the same order: first for the real pictures, then for the generated ones.
    seeds = SeedGenerator(3), SeedGenerator(3)
    seen = [augmentation.apply(x, augmentation.parameters(4, 8, 8, seeds[0])) for x in (real, fake)]
    assert np.abs(numpy(seen[0]) - numpy(real)).max() > 0.05
    real_logits, fake_logits = (numpy(plain(x))[:, 0] for x in seen)
    values = numpy(adversary.discriminator_loss(real, fake, {}, True, seeds[1]))
    np.testing.assert_allclose(values, softplus(-real_logits) + softplus(fake_logits), rtol=1e-4)
    evaluated = numpy(adversary.generator_loss(real, fake, {}, False))
    np.testing.assert_allclose(evaluated, softplus(-numpy(plain(fake))[:, 0]), rtol=1e-5)


def test_what_is_no_augmentation(plain):
    with pytest.raises(TypeError, match="augmentation must be a kgen.layers.DiffAugment or None; got 'color'"):
        Adversary.from_arguments(plain, "hinge", [], augmentation="color")


def test_what_cannot_be_mixed(plain):
    with pytest.raises(ValueError, match="partly real.*Relativistic is none"):
        Adversary.from_arguments(plain, "relativistic", [], Mixup())
    with pytest.raises(TypeError, match="mixing must be a kgen.losses.Mixup or None; got 0.2"):
        Adversary.from_arguments(plain, "hinge", [], 0.2)


def test_config_round_trip(plain):
    config = Adversary(plain, NonSaturating(), [R1(3.0)], Mixup(0.4), DiffAugment("cutout")).get_config()
    again = Adversary.from_arguments(plain, **keras.saving.deserialize_keras_object(config))
    assert again.mixing.alpha == 0.4 and tuple(again.augmentation.policy) == ("cutout",)
    assert type(again.loss) is NonSaturating and [penalty.weight for penalty in again.penalties] == [3.0]
