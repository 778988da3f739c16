import keras
import numpy as np
import pytest
from keras import ops

from kgen.layers import DiffAugment
from kgen.losses import (
    R1,
    R2,
    Dragan,
    GradientPenalty,
    Hinge,
    LeastSquares,
    Minimax,
    Mixup,
    NonSaturating,
    Relativistic,
    Wasserstein,
)
from kgen.models import GAN
from tests.checks import models
from tests.models import tiny

SGD = keras.optimizers.SGD


# === Factories for the checks of every PhasedModel ===
def quiet():
    """With latents that follow from the pictures: nothing is random."""
    gan = tiny.gan()
    gan.sampler.noise = lambda like, training: like[:, 1, 1:5, 0]
    gan.compile(SGD(0.05), penalties=R1(0.1))
    return gan


def conditional():
    gan = tiny.gan(tiny.CLASSES)
    gan.compile(keras.optimizers.Adam(1e-3))
    return gan


def from_global_policy():
    gan = tiny.gan()
    gan.compile(keras.optimizers.Adam(1e-3))
    return gan


@pytest.mark.slow
@pytest.mark.backends
def test_resume(tmp_path):
    models.check_resume(conditional, (tiny.pictures(), tiny.labels()), tmp_path)


@pytest.mark.slow
def test_survival(tmp_path):
    models.check_survival(conditional, (tiny.pictures(27), tiny.labels(27)), tmp_path)


@pytest.mark.slow
def test_replicas(tensorflow_backend):
    models.check_replicas(quiet, tiny.pictures(19))


def test_mixed_precision():
    models.check_mixed_precision(from_global_policy, tiny.pictures(), "mixed_bfloat16")


# === Compiling ===
def test_by_default():
    gan = tiny.gan()
    gan.compile()
    assert [phase.name for phase in gan.phases()] == ["discriminator", "generator"]
    for optimizer in gan.optimizer.optimizers:
        assert isinstance(optimizer, keras.optimizers.Adam) and optimizer.beta_1 == 0.0
        np.testing.assert_allclose(float(optimizer.learning_rate), 1e-3, rtol=1e-6)
    assert type(gan.objective.adversary.loss) is NonSaturating
    assert [(penalty.weight, penalty.every) for penalty in gan.objective.adversary.penalties] == [(1.0, 8)]
    assert list(gan.trackers) == [
        "loss",
        "discriminator_loss",
        "generator_loss",
        "discrimination",
        "penalty",
        "discriminator_accuracy",
    ]


def test_optimizers():
    gan = tiny.gan()
    gan.compile("rmsprop")
    assert [type(o) for o in gan.optimizer.optimizers] == [keras.optimizers.RMSprop] * 2
    assert gan.optimizer.by_phase["generator"] is not gan.optimizer.by_phase["discriminator"]
    gan.compile({"generator": SGD(0.1), "discriminator": "adam"})
    assert [type(gan.optimizer.by_phase[name]).__name__ for name in ("generator", "discriminator")] == ["SGD", "Adam"]
    with pytest.raises(ValueError, match=r"phases are \['discriminator', 'generator'\]; got optimizers for \['gen'\]"):
        gan.compile({"gen": "adam"})


def test_losses_and_penalties():
    gan = tiny.gan()
    loss = NonSaturating()
    gan.compile(loss=loss, penalties=[])
    assert gan.objective.adversary.loss is loss and gan.objective.adversary.penalties == ()
    names = ["loss", "discriminator_loss", "generator_loss", "discriminator_accuracy"]
    assert list(gan.trackers) == names
    gan.compile(loss="non_saturating", penalties=R1(10.0))
    assert [penalty.weight for penalty in gan.objective.adversary.penalties] == [10.0]
    with pytest.raises(
        ValueError, match=r"unknown adversarial loss 'wgan'; choose from \['hinge', 'least_squares', .*\]"
    ):
        gan.compile(loss="wgan")
    with pytest.raises(ValueError, match="unknown penalty 'l2'; choose from"):
        gan.compile(penalties="l2")


def test_what_has_no_meaning_is_refused():
    with pytest.raises(TypeError, match="GAN.compile: beta, weighted_metrics has no meaning for this model"):
        tiny.gan().compile(beta=1.0, weighted_metrics=["mae"])
    with pytest.raises(
        TypeError, match=r"d_optimizer, g_optimizer has no .*give optimizer={'discriminator': ..., 'generator': ...}"
    ):
        tiny.gan().compile(d_optimizer="adam", g_optimizer="adam")
    gan = tiny.gan()
    gan.compile()
    with pytest.raises(ValueError, match="GAN.fit: class_weight has no meaning"):
        gan.fit(tiny.pictures(), class_weight={0: 1.0})


# === Training ===
def step(gan, **learning_rates):
    """One step with these learning rates; the networks that it moved."""
    for phase, rate in learning_rates.items():
        gan.optimizer.by_phase[phase].learning_rate = rate
    parts = {"generator": gan.generator, "discriminator": gan.discriminator, "average": gan.average.network}
    before = {name: tiny.weights(part) for name, part in parts.items()}
    gan.train_on_batch(tiny.pictures(8))
    return {name for name, part in parts.items() if tiny.moved(before[name], part)}


@pytest.fixture(scope="module")
def gan():
    model = models.make(tiny.gan)
    model.compile(SGD(0.1))
    return model


@pytest.mark.backends
def test_each_phase_moves_its_own_network(gan):
    assert step(gan, discriminator=0.1, generator=0.0) == {"discriminator"}
    # The average follows the generator, and nothing else does.
    assert step(gan, discriminator=0.0, generator=0.1) == {"generator", "average"}
    assert step(gan, discriminator=0.1, generator=0.1) == {"discriminator", "generator", "average"}


LOSSES = [NonSaturating, Minimax, LeastSquares, Hinge, Wasserstein, Relativistic]
PENALTIES = [R1, R2, GradientPenalty, Dragan]


@pytest.mark.backends
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_with_every_penalty_moves_its_own_network(loss, penalty):
    model = tiny.gan()
    # JAX compiles a step even so.
    model.compile(SGD(0.1), loss=loss(), penalties=[penalty(1.0)], run_eagerly=True)
    assert step(model, discriminator=0.1, generator=0.0) == {"discriminator"}
    assert step(model, discriminator=0.0, generator=0.1) == {"generator", "average"}
    logs = model.train_on_batch(tiny.pictures(8), return_dict=True)
    assert np.isfinite(list(logs.values())).all() and logs["penalty"] > 0.0


@pytest.mark.backends
def test_a_lazy_penalty_costs_as_much_on_average():
    model = tiny.gan()
    model.compile(SGD(0.0), penalties=[R1(1.0, every=4)])
    constant = tiny.gan()
    constant.compile(SGD(0.0), penalties=[R1(1.0)])
    constant.set_weights(model.get_weights())
    logs = []
    for each in (model, constant):
        history = each.fit(tiny.pictures(32), batch_size=4, epochs=1, shuffle=False, verbose=0).history
        logs.append(history["penalty"][0])
    # 8 batches, of which it sees the first and the fifth, four times each.
    first, fifth = (_penalty(constant, tiny.pictures(32)[i : i + 4]) for i in (0, 16))
    np.testing.assert_allclose(logs[0], (first + fifth) / 2, rtol=1e-3)
    assert logs[0] == pytest.approx(logs[1], rel=0.5)


def _penalty(model, images):
    model.reset_metrics()
    return model.train_on_batch(images, return_dict=True)["penalty"]


@pytest.mark.backends
def test_the_generator_waits_for_the_discriminator():
    model = tiny.gan()
    model.compile(SGD(0.1), loss="wasserstein", penalties=[GradientPenalty()], discriminator_steps=3)
    rates = {"discriminator": 0.1, "generator": 0.1}
    moved = [step(model, **rates) for _ in range(4)]
    assert ["generator" in each for each in moved] == [True, False, False, True]
    assert all("discriminator" in each for each in moved)
    for wrong in (0, 1.5, True):
        with pytest.raises(ValueError, match="GAN.compile: discriminator_steps must be an integer of at least 1"):
            model.compile(discriminator_steps=wrong)


@pytest.mark.backends
def test_mixed_pictures_train_and_are_saved(tmp_path):
    model = tiny.gan(tiny.CLASSES)
    model.compile(
        SGD(0.1),
        loss=Hinge(label_smoothing=0.1),
        mixing=Mixup(0.3),
        penalties=R2(2.0, every=2),
        augmentation=DiffAugment(("color", "translation")),
    )
    history = model.fit(tiny.pictures(), tiny.labels(), batch_size=8, epochs=2, verbose=0).history
    assert np.isfinite(history["discrimination"]).all()
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.objective.adversary.mixing.alpha == 0.3 and again.objective.adversary.loss.label_smoothing == 0.1
    assert [(type(each), each.weight, each.every) for each in again.objective.adversary.penalties] == [(R2, 2.0, 2)]
    assert again.objective.discriminator_steps == 1
    assert tuple(again.objective.adversary.augmentation.policy) == ("color", "translation")
    # Its layer is the adversary's, not the model's: the weights are those of the networks alone.
    assert len(again.weights) == len(tiny.gan(tiny.CLASSES).weights)
    assert np.isfinite(again.fit(tiny.pictures(), tiny.labels(), batch_size=8, verbose=0).history["penalty"]).all()


@pytest.mark.backends
def test_losses_in_the_logs_are_those_of_the_equation(gan):
    gan.sampler.noise = lambda like, training: like[:, 1, 1:5, 0]
    try:
        images = tiny.pictures(8)
        gan.reset_metrics()
        logs = gan.test_on_batch(images, return_dict=True)
    finally:
        del gan.sampler.noise
    real = (images / 127.5 - 1).astype("float32")
    fake = gan.generator(ops.convert_to_tensor(real[:, 1, 1:5, 0]))
    real_logits, fake_logits = (
        np.float64(ops.convert_to_numpy(ops.stop_gradient(gan.discriminator(x))))[:, 0]
        for x in (ops.convert_to_tensor(real), fake)
    )
    discriminator = np.logaddexp(0, -real_logits) + np.logaddexp(0, fake_logits)
    np.testing.assert_allclose(logs["discriminator_loss"], discriminator.mean(), rtol=1e-4)
    np.testing.assert_allclose(logs["discrimination"], logs["discriminator_loss"], rtol=1e-6)
    np.testing.assert_allclose(logs["generator_loss"], np.logaddexp(0, -fake_logits).mean(), rtol=1e-4)


@pytest.mark.backends
def test_a_toy_stays_finite_and_learns_the_colour():
    gan = models.make(tiny.gan, seed=1)
    gan.compile(keras.optimizers.Adam(0.005, beta_1=0.5))
    images = np.broadcast_to(np.array([230, 30, 30], "uint8"), (320, *tiny.SHAPE))
    history = gan.fit(images, batch_size=8, epochs=3, verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values())
    far = np.abs(images - 127.5).mean()
    assert np.abs(gan.generate(16, seed=0).astype(float) - images[0]).mean() < 0.5 * far


# === Conditional ===
@pytest.fixture(scope="module")
def with_labels():
    return conditional()


@pytest.mark.backends
def test_with_labels(with_labels):
    history = with_labels.fit(tiny.pictures(), tiny.labels(), batch_size=8, epochs=2, verbose=0).history
    names = {"loss", "discriminator_loss", "generator_loss", "discrimination", "penalty", "discriminator_accuracy"}
    assert set(history) == names
    assert np.isfinite(list(history.values())).all()
    assert with_labels.generate(labels=[0, 2], seed=0).shape == (2, *tiny.SHAPE)


def test_labels_from_tf_data(with_labels):
    tf = pytest.importorskip("tensorflow")
    steps = int(with_labels.optimizer.iterations)
    dataset = tf.data.Dataset.from_tensor_slices((tiny.pictures(), tiny.labels())).batch(8)
    with_labels.fit(dataset, verbose=0)
    assert int(with_labels.optimizer.iterations) == steps + 2
    with pytest.raises(ValueError, match=r"GAN: labels must be given; call fit\(images, labels\)"):
        with_labels.fit(dataset.map(lambda image, label: image))


# === Saving ===
@pytest.mark.backends
def test_saved_and_loaded(tmp_path, gan):
    gan.compile({"discriminator": SGD(0.1, momentum=0.5), "generator": keras.optimizers.Adam(1e-3)}, penalties=R1(0.3))
    step(gan)
    gan.save(tmp_path / "gan.keras")
    loaded = keras.saving.load_model(tmp_path / "gan.keras")
    assert type(loaded) is GAN and loaded.trained
    np.testing.assert_array_equal(loaded.generate(4, seed=0), gan.generate(4, seed=0))
    for argument in ("latent_dim", "num_classes", "ema_momentum", "seed", "name"):
        assert loaded.get_config()[argument] == gan.get_config()[argument]
    assert [penalty.weight for penalty in loaded.objective.adversary.penalties] == [0.3]
    assert loaded.optimizer.by_phase["discriminator"].momentum == 0.5
    assert isinstance(loaded.optimizer.by_phase["generator"], keras.optimizers.Adam)
    assert int(loaded.optimizer.iterations) == int(gan.optimizer.iterations) == 1
    models.assert_same_state(models.state(gan), models.state(loaded))


def test_saved_before_compiling(tmp_path):
    gan = tiny.gan()
    gan.save(tmp_path / "gan.keras")
    loaded = keras.saving.load_model(tmp_path / "gan.keras")
    assert not loaded.compiled and not loaded.trained
    with pytest.raises(ValueError, match="compile"):
        loaded.fit(tiny.pictures())


@pytest.mark.backends
def test_call_gives_pictures_for_latents(gan):
    latents = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    images = ops.convert_to_numpy(gan(latents))
    expected = ops.convert_to_numpy(gan.average.network(ops.convert_to_tensor(latents)))
    np.testing.assert_allclose(images, expected, atol=1e-6)


# === From an image shape ===
def test_from_image_shape():
    gan = GAN.from_image_shape((32, 16, 1), latent_dim=8, num_classes=4, seed=0)
    assert gan.image_shape == (32, 16, 1) and gan.latent_dim == 8 and gan.num_classes == 4
    assert gan.generator.get_layer("images").activation is keras.activations.tanh
    assert set(gan.generator.input) == {"latents", "pooled"} and set(gan.discriminator.input) == {"images", "pooled"}
    again = GAN.from_config(gan.get_config())
    assert [v.shape for v in again.variables] == [v.shape for v in gan.variables]


@pytest.mark.backends
def test_dense_networks():
    gan = GAN.from_image_shape((8, 8, 1), latent_dim=6, num_classes=3, architecture="perceptron", seed=0)
    gan.compile()
    images, labels = tiny.pictures(8)[..., :1], tiny.labels()[:8]
    assert np.isfinite(list(gan.train_on_batch(images, labels, return_dict=True).values())).all()
    assert gan.generate(labels=[0, 2], seed=0).shape == (2, 8, 8, 1)
    with pytest.raises(ValueError, match="GAN: architecture must be one of 'auto', 'perceptron', .*; got 'dense'"):
        GAN.from_image_shape((8, 8, 1), architecture="dense")


@pytest.mark.backends
def test_two_sequential_networks(tmp_path):
    generator = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(192, activation="tanh"), keras.layers.Reshape(tiny.SHAPE)]
    )
    discriminator = keras.Sequential([keras.Input(tiny.SHAPE), keras.layers.Flatten(), keras.layers.Dense(1)])
    gan = GAN(generator, discriminator, latent_dim=4)
    gan.compile()
    gan.fit(tiny.pictures(8), batch_size=8, verbose=0)
    gan.save(tmp_path / "gan.keras")
    loaded = keras.saving.load_model(tmp_path / "gan.keras")
    assert np.array_equal(loaded.generate(3, seed=0), gan.generate(3, seed=0))
    with pytest.raises(ValueError, match="has no known input shape"):
        GAN(keras.Sequential([keras.layers.Dense(192)]), discriminator, latent_dim=4)


def test_a_discriminator_that_has_nothing_to_do_with_classes():
    with pytest.raises(ValueError, match="GAN: the discriminator .* must take the class as 'pooled'"):
        GAN(tiny.decoder(3), tiny.encoder(1), tiny.LATENT_DIM, num_classes=3)


# === Memory ===
@pytest.mark.slow
@pytest.mark.backends
@pytest.mark.skipif(keras.backend.backend() == "tensorflow", reason="RematScope does not go with TensorFlow's graphs")
def test_activations_that_are_computed_again_change_no_gradient():
    one = tiny.gan()
    with keras.RematScope("full"):
        other = tiny.gan()
    other.set_weights(one.get_weights())
    for model in (one, other):
        model.compile(keras.optimizers.SGD(0.1))
        models.fit(model, tiny.pictures(16), 8, 2)
    for weight, expected in zip(other.get_weights(), one.get_weights(), strict=True):
        np.testing.assert_allclose(weight, expected, atol=1e-6)
