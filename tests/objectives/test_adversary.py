import keras
import numpy as np
import pytest
from keras import ops

from kgen.layers import AdaptiveAugment, DiffAugment, MinibatchStandardDeviation, Modulation
from kgen.losses import R1, R2, Dragan, Hinge, LeastSquares, Mixup, NonSaturating, Relativistic, Wasserstein
from kgen.objectives.adversary import Adversary
from kgen.training import SeedGenerator, backend
from tests.models import tiny
from tests.training.test_backend import in_step


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


class Halves(Mixup):
    """With shares that are known."""

    share = np.array([0.0, 0.25, 0.5, 1.0], "float32")

    def mixed(self, real, fake, seed):
        share = ops.convert_to_tensor(self.share)
        each = ops.reshape(share, (4, 1, 1, 1))
        return each * real + (1.0 - each) * fake, share


# === Losses ===
@pytest.mark.backends
def test_losses_of_the_two_players(plain):
    adversary = Adversary(plain, NonSaturating(), [])
    real, fake = images(0), images(1)
    real_logits, fake_logits = numpy(plain(real))[:, 0], numpy(plain(fake))[:, 0]
    assert adversary.terms == ()
    np.testing.assert_allclose(
        numpy(adversary.discriminator_loss(real, fake, {}, True, None)["loss"]),
        softplus(-real_logits) + softplus(fake_logits),
        rtol=1e-5,
    )
    np.testing.assert_allclose(numpy(adversary.generator_loss(real, fake, {}, True)), softplus(-fake_logits), rtol=1e-5)


@pytest.mark.backends
def test_a_discriminator_of_patches_is_judged_by_the_mean_of_them():
    patches = keras.Sequential([keras.Input(tiny.SHAPE), keras.layers.Conv2D(1, 4, 4)])
    adversary = Adversary(patches, Hinge(), [R1(2.0)])
    real, fake = images(0), images(1)
    logits, fake_logits = numpy(patches(real))[..., 0], numpy(patches(fake))[..., 0]
    assert logits.shape == (4, 2, 2)
    parts = adversary.discriminator_loss(real, fake, {}, True, None)
    hinge = np.maximum(0, 1 - logits) + np.maximum(0, 1 + fake_logits)
    np.testing.assert_allclose(numpy(parts["discrimination"]), hinge.mean(axis=(1, 2)), rtol=1e-5)
    np.testing.assert_allclose(numpy(parts["discriminator_accuracy"]), (logits > fake_logits).mean(axis=(1, 2)))
    # The slope of the mean logit: each pixel is in one patch of four.
    slope = np.sum(np.square(numpy(patches.layers[0].kernel) / 4)) * 4
    np.testing.assert_allclose(numpy(parts["penalty"]), np.full(4, slope), rtol=1e-5)
    np.testing.assert_allclose(
        numpy(adversary.generator_loss(real, fake, {}, True)), -fake_logits.mean(axis=(1, 2)), rtol=1e-5
    )
    with pytest.raises(ValueError, match="mixing needs a discriminator with one logit per image"):
        Adversary(patches, Hinge(), [], Mixup(0.2))


@pytest.mark.backends
def test_penalties_add_up_while_training_only(plain):
    adversary = Adversary(plain, NonSaturating(), [R1(2.0), R1(6.0)])
    real, fake = images(0), images(1)
    gradient = numpy(backend.input_gradient(lambda x: plain(x)[:, 0], real))
    terms = adversary.discriminator_loss(real, fake, {}, True, None)
    assert adversary.terms == ("discrimination", "penalty") and adversary.measures == ("discriminator_accuracy",)
    assert set(terms) == {*adversary.terms, *adversary.measures}
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
    real, fake, share = images(0), images(1), Halves.share
    logits = numpy(plain(Halves().mixed(real, fake, None)[0]))[:, 0]
    adversary = Adversary(plain, NonSaturating(), [], Halves())
    values = numpy(adversary.discriminator_loss(real, fake, {}, True, None)["loss"])
    np.testing.assert_allclose(values, share * softplus(-logits) + (1 - share) * softplus(logits), rtol=1e-5)
    # A smoothed label is a share too.
    smooth = Adversary(plain, NonSaturating(label_smoothing=0.2), [], Halves())
    values = numpy(smooth.discriminator_loss(real, fake, {}, True, None)["loss"])
    np.testing.assert_allclose(
        values, 0.8 * share * softplus(-logits) + (1 - 0.8 * share) * softplus(logits), rtol=1e-5
    )
    # Evaluation shows the loss of pictures as they are.
    evaluated = numpy(adversary.discriminator_loss(real, fake, {}, False, None)["loss"])
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
    values = numpy(adversary.discriminator_loss(real, fake, condition, True, None)["loss"])
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
            lambda fake: adversary.discriminator_loss(real, fake, {}, True, None)["loss"] + 0.0 * fake[:, 0, 0, 0],
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


# === What is reported ===
@pytest.mark.backends
@pytest.mark.parametrize("loss", [NonSaturating(), Wasserstein(), Relativistic()])
@pytest.mark.parametrize("training", [True, False])
def test_accuracy_of_the_discriminator(plain, loss, training):
    real, fake = images(0, 12), images(1, 12)
    parts = Adversary(plain, loss, []).discriminator_loss(real, fake, {}, training, None)
    wins = numpy(plain(real))[:, 0] > numpy(plain(fake))[:, 0]
    assert 0 < wins.sum() < 12
    np.testing.assert_array_equal(numpy(parts["discriminator_accuracy"]), wins.astype(float))


@pytest.mark.backends
def test_accuracy_on_mixed_pictures_is_that_of_their_order(plain):
    real, fake, share = images(0), images(1), Halves.share
    logits = numpy(plain(Halves().mixed(real, fake, None)[0]))[:, 0]
    state, augmentation = Recorded(0.0), AdaptiveAugment(target=0.7, images=1000)
    adversary = Adversary(plain, NonSaturating(), [], Halves(), augmentation, adaptive_probability=state)
    parts = adversary.discriminator_loss(real, fake, {}, True, SeedGenerator(0))
    weights = np.abs(share - np.roll(share, 1))
    agree = (logits > np.roll(logits, 1)) == (share > np.roll(share, 1))
    expected = (weights * agree).sum() / weights.sum()
    np.testing.assert_allclose(numpy(parts["discriminator_accuracy"]).mean(), expected, rtol=1e-5)
    # And by their order they tell whether the discriminator is too sure.
    np.testing.assert_allclose(state.signs[0].mean(), 2 * expected - 1, rtol=1e-5)


# === An auxiliary classifier ===
@pytest.fixture(scope="module")
def classifying():
    keras.utils.set_random_seed(0)
    return tiny.classifying_discriminator()


def cross_entropy(logits, labels):
    wide = np.float64(logits)
    return np.log(np.exp(wide).sum(axis=1)) - wide[np.arange(len(labels)), labels]


@pytest.mark.backends
def test_both_players_minimise_the_cross_entropy_of_labels(classifying):
    adversary = Adversary(classifying, NonSaturating(), [R1(1.0)], classification_weight=3.0)
    real, fake, labels = images(0), images(1), [0, 1, 2, 2]
    parts = adversary.discriminator_loss(real, fake, one_hot(*labels), True, None)
    on_real, on_fake = ({name: numpy(x) for name, x in classifying(each).items()} for each in (real, fake))
    assert adversary.terms == ("discrimination", "penalty", "classification")
    assert set(parts) == {*adversary.terms, "discriminator_accuracy", "classification_accuracy"}
    discrimination = softplus(-on_real["logits"]) + softplus(on_fake["logits"])
    np.testing.assert_allclose(numpy(parts["discrimination"]), discrimination[:, 0], rtol=1e-5)
    np.testing.assert_allclose(
        numpy(parts["classification"]), 3.0 * cross_entropy(on_real["labels"], labels), rtol=1e-4
    )
    right = on_real["labels"].argmax(axis=1) == labels
    np.testing.assert_array_equal(numpy(parts["classification_accuracy"]), right.astype(float))
    value = numpy(adversary.generator_loss(real, fake, one_hot(*labels), True))
    expected = softplus(-on_fake["logits"])[:, 0] + 3.0 * cross_entropy(on_fake["labels"], labels)
    np.testing.assert_allclose(value, expected, rtol=1e-4)


@pytest.mark.backends
def test_of_mixed_images_the_real_share_is_classified(classifying):
    adversary = Adversary(classifying, NonSaturating(), [], Halves())
    real, fake, labels = images(0), images(1), [0, 1, 2, 2]
    parts = adversary.discriminator_loss(real, fake, one_hot(*labels), True, None)
    logits = numpy(classifying(Halves().mixed(real, fake, None)[0])["labels"])
    share = numpy(Halves().mixed(real, fake, None)[1])
    assert share.min() < 1.0
    np.testing.assert_allclose(numpy(parts["classification"]), share * cross_entropy(logits, labels), rtol=1e-4)


# === Feature matching ===
@pytest.mark.backends
@pytest.mark.parametrize("loss", [NonSaturating(), Relativistic()])
def test_feature_matching_is_part_of_the_generators_loss(classifying, loss):
    real, fake, condition = images(0), images(1), one_hot(0, 1, 2, 2)
    plain, matching = (Adversary(classifying, loss, [], feature_matching=weight) for weight in (0.0, 2.0))
    h = [numpy(classifying.get_layer("features")(ops.reshape(x, (4, -1)))) for x in (real, fake)]
    distance = np.square(h[0].mean(axis=0, dtype="float64") - h[1].mean(axis=0)).sum()
    values = [numpy(each.generator_loss(real, fake, condition, True)) for each in (plain, matching)]
    np.testing.assert_allclose(values[1] - values[0], np.full(4, 2.0 * distance), rtol=1e-3)
    losses = [each.discriminator_loss(real, fake, condition, True, None) for each in (plain, matching)]
    for name in losses[0]:
        np.testing.assert_allclose(numpy(losses[1][name]), numpy(losses[0][name]), rtol=1e-6)


@pytest.mark.parametrize("loss, passes", [(NonSaturating(), 1), (Wasserstein(), 1), (Relativistic(), 2)])
def test_real_pictures_are_judged_for_the_generator_only_where_they_count(plain, loss, passes):
    adversary, judge, calls = Adversary(plain, loss, []), Adversary.judge, []
    adversary.judge = lambda *arguments: calls.append(arguments) or judge(adversary, *arguments)
    adversary.generator_loss(images(0), images(1), {}, True)
    assert len(calls) == passes


# === Adaptive augmentation ===
class Recorded:
    """In place of `AdaptiveProbability`."""

    def __init__(self, probability):
        self.probability, self.signs = ops.convert_to_tensor(np.float32(probability)), []

    def update(self, signs, target, images):
        self.signs.append(numpy(signs))
        assert (target, images) == (0.7, 1000)


@pytest.mark.backends
@pytest.mark.parametrize("loss", [NonSaturating(), Hinge(), LeastSquares(), Wasserstein(), Relativistic()])
def test_signs_say_what_was_told_for_real(plain, loss):
    state = Recorded(0.0)
    augmentation = AdaptiveAugment(target=0.7, images=1000)
    adversary = Adversary(plain, loss, [], None, augmentation, adaptive_probability=state)
    real, fake = images(0, 12), images(1, 12)
    parts = adversary.discriminator_loss(real, fake, {}, True, SeedGenerator(0))
    # At probability 0 pictures are seen as they are.
    real_logits, fake_logits = (numpy(plain(x))[:, 0] for x in (real, fake))
    boundary = {LeastSquares: 0.5, Wasserstein: fake_logits, Relativistic: fake_logits}.get(type(loss), 0.0)
    np.testing.assert_array_equal(state.signs, [np.sign(real_logits - boundary)])
    np.testing.assert_array_equal(numpy(parts["augmentation_probability"]), np.zeros(12))
    # Evaluation and the generator's step leave the state alone.
    assert "augmentation_probability" in adversary.discriminator_loss(real, fake, {}, False, None)
    adversary.generator_loss(real, fake, {}, True, SeedGenerator(0))
    assert len(state.signs) == 1


@pytest.mark.backends
def test_pictures_are_augmented_with_the_probability_of_the_state(plain):
    augmentation = AdaptiveAugment(("color",), target=0.7, images=1000)
    adversary = Adversary(plain, NonSaturating(), [], None, augmentation, adaptive_probability=Recorded(0.5))
    x, seeds = images(0, 12), (SeedGenerator(3), SeedGenerator(3))
    seen = augmentation.apply(x, augmentation.parameters(12, 8, 8, seeds[0]), 0.5)
    logits = adversary.logits(x, {}, True, seeds[1])
    np.testing.assert_allclose(numpy(logits), numpy(plain(seen))[:, 0], rtol=1e-5, atol=1e-6)


# === From arguments ===
@pytest.mark.parametrize("normalize", [keras.layers.BatchNormalization, lambda: Modulation("batch")])
def test_no_penalty_by_default_on_a_slope_that_is_not_one_pictures_own(normalize):
    inner = keras.Sequential([keras.Input(tiny.SHAPE), normalize()])
    network = keras.Sequential([keras.Input(tiny.SHAPE), inner, keras.layers.Flatten(), keras.layers.Dense(1)])
    assert Adversary(network, "auto", "auto").penalties == ()
    assert len(Adversary(network, "auto", R1()).penalties) == 1


@pytest.mark.parametrize("name", ["classification_weight", "feature_matching"])
def test_weights_are_not_negative(plain, name):
    with pytest.raises(ValueError, match=f"compile: {name} must be a number of at least 0; got -1"):
        Adversary(plain, "auto", "auto", **{name: -1})


@pytest.mark.parametrize(
    "penalties, weights",
    [("auto", [1.0]), ([], []), (R1(3.0), [3.0]), ([R1(3.0), R1(4.0)], [3.0, 4.0]), ((R1(2.0),), [2.0])],
)
def test_penalties(plain, penalties, weights):
    adversary = Adversary(plain, "auto", penalties)
    assert type(adversary.loss) is NonSaturating
    assert [penalty.weight for penalty in adversary.penalties] == weights


@pytest.mark.parametrize("wrong", ["r3", 10.0, None, [R1(), "r3"], [R1]])
def test_what_is_no_penalty(plain, wrong):
    with pytest.raises(ValueError, match=r"penalty .* \['dragan', 'gradient_penalty', 'r1', 'r2'\]"):
        Adversary(plain, "auto", wrong)


def test_short_names(plain):
    adversary = Adversary(plain, "hinge", ["r1", "dragan"], "mixup", "adaptive_augment")
    assert [type(penalty) for penalty in adversary.penalties] == [R1, Dragan]
    assert type(adversary.mixing) is Mixup and type(adversary.augmentation) is AdaptiveAugment
    assert type(Adversary(plain, "auto", "r2").penalties[0]) is R2


def test_an_unknown_loss(plain):
    with pytest.raises(ValueError, match="unknown adversarial loss 'hinges'"):
        Adversary(plain, "hinges", [])


@pytest.mark.backends
def test_what_the_discriminator_sees_is_augmented_in_training(plain):
    augmentation = DiffAugment(("color",))
    adversary = Adversary(plain, NonSaturating(), [], augmentation=augmentation)
    real, fake = images(0), images(1)
    # The same numbers, drawn for the real pictures and the generated ones at once.
    seeds = SeedGenerator(3), SeedGenerator(3)
    both = ops.concatenate([real, fake])
    seen = ops.split(augmentation.apply(both, augmentation.parameters(8, 8, 8, seeds[0])), 2)
    assert np.abs(numpy(seen[0]) - numpy(real)).max() > 0.05
    real_logits, fake_logits = (numpy(plain(x))[:, 0] for x in seen)
    values = numpy(adversary.discriminator_loss(real, fake, {}, True, seeds[1])["loss"])
    np.testing.assert_allclose(values, softplus(-real_logits) + softplus(fake_logits), rtol=1e-4)
    evaluated = numpy(adversary.generator_loss(real, fake, {}, False))
    np.testing.assert_allclose(evaluated, softplus(-numpy(plain(fake))[:, 0]), rtol=1e-5)


def test_what_is_no_augmentation(plain):
    with pytest.raises(TypeError, match=r"\['adaptive_augment', 'diff_augment'\], or None; got 'color'"):
        Adversary(plain, "hinge", [], augmentation="color")


def test_what_cannot_be_mixed(plain):
    with pytest.raises(ValueError, match="partly real.*got the loss Relativistic"):
        Adversary(plain, "relativistic", [], Mixup())
    with pytest.raises(ValueError, match=r"the mixing must be one of \['mixup'\] or an object with mixed; got 0.2"):
        Adversary(plain, "hinge", [], 0.2)


# === One pass ===
@pytest.mark.backends
@pytest.mark.parametrize("told", [False, True])
def test_a_joined_pass_has_the_gradients_of_two(plain, conditional, told):
    discriminator, condition = (conditional, one_hot(0, 1, 1, 2)) if told else (plain, {})
    adversary = Adversary(discriminator, NonSaturating(), [])
    passes, call = [], discriminator.call
    found = {}
    for joins in (True, False):
        assert adversary.joins or not joins
        adversary.joins = joins
        values = discriminator.trainable_variables

        def loss():
            parts = adversary.discriminator_loss(images(0), images(1), condition, True, None)
            return ops.mean(parts["loss"]), parts

        discriminator.call = lambda *args, **kwargs: passes.append(joins) or call(*args, **kwargs)  # noqa: B023
        found[joins] = in_step(lambda: backend.value_and_grad(loss, values), *discriminator.variables)  # noqa: B023
        discriminator.call = call
    assert passes == [True, *[False] * (3 if told else 2)]
    flat, other = (keras.tree.flatten(found[joins]) for joins in (True, False))
    for one, two in zip(flat, other, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-6)


def _discriminator(*layers):
    return keras.Sequential([keras.Input(tiny.SHAPE), *layers, keras.layers.Flatten(), keras.layers.Dense(1)])


class Own(keras.layers.Layer):
    def call(self, x):
        return x - ops.mean(x, axis=0)


def test_what_compares_images_of_a_batch_is_called_for_each_kind():
    layers = keras.layers
    assert Adversary(_discriminator(layers.Conv2D(2, 3), layers.Dropout(0.1), layers.LayerNormalization())).joins
    for layer in (layers.BatchNormalization(), Modulation("batch"), MinibatchStandardDeviation(), Own()):
        assert not Adversary(_discriminator(layer)).joins
        assert not Adversary(_discriminator(keras.Sequential([layer]))).joins
    inputs = keras.Input(tiny.SHAPE)
    x = layers.Flatten()(inputs - ops.mean(inputs, axis=0, keepdims=True))
    assert not Adversary(keras.Model(inputs, layers.Dense(1)(x))).joins
