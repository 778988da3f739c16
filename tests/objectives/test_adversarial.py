import keras
import numpy as np
import pytest
from keras import layers

from kgen.layers import AdaptiveAugment
from kgen.losses import R1, Mixup, NonSaturating
from kgen.models import GAN, VAE
from kgen.objectives import Adversarial
from tests.checks import models
from tests.models import tiny

SGD, Adam = keras.optimizers.SGD, keras.optimizers.Adam


# === An auxiliary classifier ===
@pytest.fixture(scope="module")
def taught():
    gan = models.make(lambda: tiny.ac_gan(ema_momentum=0.9))
    gan.compile(Adam(5e-3, beta_1=0.5))
    gan.history = gan.fit(*tiny.bands(), batch_size=16, epochs=40, verbose=0).history
    return gan


@pytest.mark.backends
def test_generation_and_classification_are_learnt_together(taught):
    images, labels = tiny.bands()
    probabilities = taught.classify(images)
    assert probabilities.shape == (96, tiny.CLASSES) and probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, atol=1e-5)
    assert np.mean(probabilities.argmax(axis=1) == labels) > 0.98
    asked = np.arange(60) % tiny.CLASSES
    # Judged by where the pictures are bright, not by the network that they were to please.
    assert np.mean(tiny.brightest_band(taught.generate(labels=asked, seed=0)) == asked) > 0.9
    assert taught.history["classification"][-1] < 0.1 * taught.history["classification"][0]
    assert taught.evaluate(images, labels, verbose=0, return_dict=True)["classification_accuracy"] > 0.98
    assert taught.history["classification_accuracy"][-1] > 0.98


@pytest.mark.backends
def test_classify_in_batches_of_pictures_of_any_range(taught):
    images, _ = tiny.bands(10)
    expected = taught.discriminator.predict((images / 127.5 - 1.0).astype("float32"), verbose=0)["labels"]
    expected = np.exp(expected) / np.exp(expected).sum(axis=1, keepdims=True)
    taught.image_input.float_range = None
    np.testing.assert_allclose(taught.classify(images, batch_size=4), expected, rtol=1e-4, atol=1e-6)
    for floats in ((images / 255.0).astype("float32"), (images / 127.5 - 1.0).astype("float32")):
        np.testing.assert_allclose(taught.classify(floats, batch_size=64), expected, rtol=1e-4, atol=1e-6)


def test_progress_of_long_work(taught, capsys):
    images, _ = tiny.bands(9)
    taught.classify(images, batch_size=1)
    assert capsys.readouterr().out == ""
    taught.classify(images, batch_size=1, verbose=1)
    assert "9/9" in capsys.readouterr().out


def test_what_cannot_be_classified(taught):
    images, _ = tiny.bands(2)
    with pytest.raises(ValueError, match=r"GAN.classify: images must have shape \(N, 8, 8, 3\); got \(8, 8, 3\)"):
        taught.classify(images[0])
    with pytest.raises(ValueError, match="GAN.classify: images must be uint8, or float"):
        taught.classify(images * 2.0)
    with pytest.raises(ValueError, match="batch_size must be an integer of at least 1; got 0"):
        taught.classify(images, batch_size=0)
    with pytest.raises(ValueError, match=r"GAN.classify: the discriminator has no classifier.*gives \['logits'\]"):
        tiny.gan().classify(images)
    with pytest.raises(ValueError, match="VAE.discriminator_features: this model was built without a discriminator"):
        tiny.vae().discriminator_features  # noqa: B018


@pytest.mark.parametrize(
    "num_classes, told, message",
    [
        (None, False, r"'labels' of shape \(None, 3\), so num_classes must be their length; got None"),
        (4, False, "num_classes must be their length; got 4"),
        (3, True, "a discriminator that classifies must not be told the class"),
    ],
)
def test_classifiers_that_do_not_fit(num_classes, told, message):
    discriminator = tiny.classifying_discriminator()
    if told:
        inputs = {"images": keras.Input(tiny.SHAPE, name="images"), "pooled": keras.Input((3,), name="pooled")}
        discriminator = keras.Model(inputs, discriminator(inputs["images"]))
    with pytest.raises(ValueError, match=f"GAN: .*{message}"):
        GAN(tiny.decoder(num_classes), discriminator, tiny.LATENT_DIM, num_classes=num_classes)


@pytest.mark.backends
def test_a_vae_is_taught_by_a_classifier_too():
    parts = tiny.encoder(2 * tiny.LATENT_DIM, tiny.CLASSES), tiny.decoder(tiny.CLASSES)
    vae = VAE(*parts, tiny.LATENT_DIM, num_classes=tiny.CLASSES, discriminator=tiny.classifying_discriminator(), seed=0)
    vae.compile(classification_weight=2.0, feature_matching=0.1, mixing=Mixup())
    logs = vae.train_on_batch(*tiny.bands(8), return_dict=True)
    assert np.isfinite(list(logs.values())).all() and logs["classification"] > 0.0
    assert vae.classify(tiny.bands(4)[0]).shape == (4, tiny.CLASSES)


# === Classes that the discriminator is told ===
@pytest.mark.backends
def test_pictures_match_the_labels_that_a_projection_saw():
    inputs = {"images": keras.Input(tiny.SHAPE, name="images"), "pooled": keras.Input((tiny.CLASSES,), name="pooled")}
    h = layers.Dense(32, activation="leaky_relu", name="features")(layers.Flatten()(inputs["images"]))
    fit = layers.Dot(axes=1)([layers.Dense(32, use_bias=False)(inputs["pooled"]), h])
    discriminator = keras.Model(inputs, layers.Add()([layers.Dense(1)(h), fit]))

    def make():
        generator = tiny.decoder(tiny.CLASSES, "tanh")
        return GAN(generator, discriminator, tiny.LATENT_DIM, tiny.CLASSES, ema_momentum=0.9, seed=0)

    gan = models.make(make)
    gan.compile(Adam(5e-3, beta_1=0.5))
    gan.fit(*tiny.bands(), batch_size=16, epochs=25, verbose=0)
    asked = np.arange(60) % tiny.CLASSES
    assert np.mean(tiny.brightest_band(gan.generate(labels=asked, seed=0)) == asked) > 0.95


# === Features ===
@pytest.mark.backends
def test_features_of_the_discriminator():
    gan = tiny.ac_gan()
    x = (tiny.pictures(4) / 127.5 - 1.0).astype("float32")
    expected = gan.discriminator.get_layer("features")(x.reshape(4, -1))
    features = gan.discriminator_features(x)
    np.testing.assert_allclose(*(keras.ops.convert_to_numpy(each) for each in (features, expected)), atol=1e-6)


@pytest.mark.backends
def test_feature_matching_moves_the_generator_alone():
    gan = tiny.gan()
    # The last layers are zero: nothing but the features can teach the generator.
    gan.discriminator.layers[-2].kernel.assign(np.zeros((16, 1)))
    for weight in (0.0, 1.0):
        gan.compile({"discriminator": SGD(0.0), "generator": SGD(0.1)}, penalties=[], feature_matching=weight)
        before = tiny.weights(gan.generator), tiny.weights(gan.discriminator)
        gan.train_on_batch(tiny.pictures(8))
        assert tiny.moved(before[0], gan.generator) == (weight > 0.0)
        assert not tiny.moved(before[1], gan.discriminator)
    assert gan.get_compile_config()["feature_matching"] == 1.0


# === Adaptive augmentation ===
def adaptive(images=64, policy=("color", "translation")):
    gan = tiny.gan()
    gan.compile(
        {"discriminator": Adam(0.01), "generator": SGD(0.0)}, augmentation=AdaptiveAugment(policy, images=images)
    )
    return gan


@pytest.mark.backends
def test_a_discriminator_that_knows_its_pictures_gets_them_augmented_until_it_does_not():
    gan = models.make(lambda: adaptive(1000))
    history = gan.fit(tiny.pictures(16), batch_size=8, epochs=40, verbose=0).history
    probability = history["augmentation_probability"]
    assert probability[0] == 0.0 and probability[-1] > 0.2 and history["discriminator_accuracy"][-1] > 0.8
    # Taken away what it knows, it takes every real picture for generated.
    gan.discriminator.layers[-2].kernel.assign(np.zeros((16, 1)))
    gan.discriminator.layers[-2].bias.assign([-1.0])
    gan.optimizer.by_phase["discriminator"].learning_rate = 0.0
    before = float(keras.ops.convert_to_numpy(gan.adaptive_probability.probability))
    again = gan.fit(tiny.pictures(16), batch_size=8, epochs=10, verbose=0).history["augmentation_probability"]
    # 160 pictures, of 1000 from one end to the other.
    assert np.all(np.diff(again) <= 0.0)
    after = float(keras.ops.convert_to_numpy(gan.adaptive_probability.probability))
    np.testing.assert_allclose(after, before - 0.16, atol=1e-5)


def adaptive_and_random():
    gan = tiny.ac_gan()
    gan.compile(Adam(0.01), penalties=R1(0.1, every=2), augmentation=AdaptiveAugment(images=100), feature_matching=0.1)
    return gan


def adaptive_and_quiet():
    """With an augmentation that does nothing, and latents that follow from the pictures: nothing is random."""
    gan = tiny.ac_gan()
    gan.sampler.noise = lambda like, training: like[:, 1, 1:5, 0]
    gan.compile(SGD(0.05), penalties=R1(0.1), augmentation=AdaptiveAugment((), images=100))
    return gan


@pytest.mark.backends
def test_training_goes_on_where_it_stopped(tmp_path):
    data = (tiny.pictures(), tiny.labels())
    gan = models.make(adaptive_and_random)
    models.fit(gan, data, 4, 3)
    gan.save(tmp_path / "gan.keras")
    loaded = keras.saving.load_model(tmp_path / "gan.keras")
    models.assert_same_state(models.state(gan), models.state(loaded))
    logs = [models.fit(model, data, 4, 2).history for model in (gan, loaded)]
    assert logs[0] == logs[1]
    models.assert_same_state(models.state(gan), models.state(loaded))
    state = {v.name: float(keras.ops.convert_to_numpy(v)) for v in gan.adaptive_probability.variables}
    assert 0.0 < state["probability"] < 1.0 and state["batches"] == 0.0


@pytest.mark.slow
@pytest.mark.backends
def test_resume(tmp_path):
    models.check_resume(adaptive_and_random, (tiny.pictures(), tiny.labels()), tmp_path)


@pytest.mark.slow
def test_backends_agree():
    models.check_backends_agree(adaptive_and_quiet, (tiny.pictures(40), tiny.labels(40)))


@pytest.mark.slow
def test_replicas(tensorflow_backend):
    models.check_replicas(adaptive_and_quiet, (tiny.pictures(19), tiny.labels(19)))


def test_weights_saved_before_there_was_such_a_state(tmp_path):
    h5py = pytest.importorskip("h5py")
    gan = tiny.gan()
    gan.save_weights(tmp_path / "gan.weights.h5")
    with h5py.File(tmp_path / "gan.weights.h5", "a") as file:
        del file["adaptive_probability"]
    again = tiny.gan(seed=1)
    again.load_weights(tmp_path / "gan.weights.h5")
    for old, new in zip(tiny.weights(gan.generator), tiny.weights(again.generator)):
        np.testing.assert_array_equal(old, new)


@pytest.mark.backends
def test_compiling_again_without_it():
    gan = adaptive()
    gan.fit(tiny.pictures(), batch_size=8, verbose=0)
    gan.compile()
    assert "augmentation_probability" not in gan.fit(tiny.pictures(), batch_size=8, verbose=0).history
    assert gan.get_compile_config()["augmentation"] is None


def test_config_round_trip():
    augmentation = AdaptiveAugment("cutout", target=0.5, images=1000)
    objective = Adversarial(NonSaturating(), [R1(3.0)], Mixup(0.4), augmentation, 2, 2.0, 0.5)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(objective))
    again.attach(tiny.gan())
    adversary = again.adversary
    assert adversary.mixing.alpha == 0.4 and tuple(adversary.augmentation.policy) == ("cutout",)
    assert type(adversary.loss) is NonSaturating and [penalty.weight for penalty in adversary.penalties] == [3.0]
    assert adversary.is_adaptive and (adversary.augmentation.target, adversary.augmentation.images) == (0.5, 1000)
    assert (again.discriminator_steps, again.classification_weight, again.feature_matching) == (2, 2.0, 0.5)


@pytest.mark.parametrize(("steps", "passes"), [(1, (1, 2)), (2, (2, 2))])
def test_passes_of_a_step(steps, passes):
    """One of the generator for both players; one of the discriminator for both kinds of images, one for the other."""
    gan = tiny.gan()
    gan.compile(penalties=[], discriminator_steps=steps, run_eagerly=True)
    found = []
    for network in (gan.generator, gan.discriminator):
        calls, call = [], network.call
        network.call = lambda *args, call=call, calls=calls, **kwargs: calls.append(1) or call(*args, **kwargs)
        found.append(calls)
    gan.train_on_batch(np.zeros((4, *tiny.SHAPE), "uint8"))
    assert tuple(map(len, found)) == passes
