import keras
import numpy as np
import pytest
from keras import ops
from scipy import stats

from kgen import losses
from kgen.losses import R1, Gaussian, Logistic, Mixup, NonSaturating, PixelGaussian
from kgen.models import VAE
from kgen.objectives import ELBO
from tests.checks import models
from tests.models import tiny

SGD = keras.optimizers.SGD
ALL_TERMS = {
    "loss",
    "discriminator_loss",
    "autoencoder_loss",
    "discrimination",
    "discriminator_accuracy",
    "penalty",
    "reconstruction",
    "kl",
    "adversarial",
    "pixel_error",
    "active_units",
}


# === Factories for the checks of every PhasedModel ===
def quiet_vae_gan():
    """Conditional, with a discriminator, and latents that follow from the pictures: nothing is random."""
    vae = tiny.vae_gan(tiny.CLASSES)
    vae.sampler.noise = lambda like, training: like[:, 1, 1:5, 0]
    vae.compile({"discriminator": SGD(0.01), "autoencoder": SGD(1e-3)}, penalties=R1(0.1))
    vae.objective.posterior[True] = tiny.FixedPosterior(0.3)
    return vae


def from_global_policy():
    vae = tiny.vae()
    vae.compile()
    return vae


@pytest.mark.slow
def test_backends_agree():
    models.check_backends_agree(quiet_vae_gan, (tiny.pictures(40), tiny.labels(40)))


def test_mixed_precision():
    models.check_mixed_precision(from_global_policy, tiny.pictures(), "mixed_float16")


def test_evaluation_does_not_change_training():
    models.check_evaluation(from_global_policy, tiny.pictures())


# === Building and compiling ===
@pytest.mark.parametrize(
    "reconstruction, of_class",
    [("auto", Gaussian), ("gaussian", Gaussian), ("logistic", Logistic), (Logistic(), Logistic)],
)
def test_reconstruction(reconstruction, of_class):
    vae = tiny.vae(reconstruction=reconstruction)
    assert type(vae.reconstruction) is of_class
    assert type(VAE.from_config(vae.get_config()).reconstruction) is of_class


def test_unknown_reconstruction():
    with pytest.raises(ValueError, match="unknown reconstruction loss 'l2'"):
        tiny.vae(reconstruction="l2")
    with pytest.raises(ValueError, match="the reconstruction loss must be one of .*; got None"):
        tiny.vae(reconstruction=None)


def test_by_default():
    vae = tiny.vae()
    vae.compile()
    (optimizer,) = vae.optimizer.optimizers
    assert isinstance(optimizer, keras.optimizers.Adam)
    np.testing.assert_allclose(float(optimizer.learning_rate), 1e-3, rtol=1e-6)
    assert (
        vae.reconstruction.sigma == 0.5
        and vae.objective.beta == 1.0
        and vae.objective.free_nats == 0.0
        and vae.objective.adversary is None
    )
    assert list(vae.trackers) == ["loss", "reconstruction", "kl", "pixel_error", "active_units"]


def test_by_default_with_a_discriminator():
    vae = tiny.vae_gan()
    vae.compile()
    assert [phase.name for phase in vae.phases()] == ["discriminator", "autoencoder"]
    assert vae.optimizer.by_phase["discriminator"].beta_1 == 0.5
    assert type(vae.objective.adversary.loss) is NonSaturating and [
        p.weight for p in vae.objective.adversary.penalties
    ] == [1.0]
    assert set(vae.trackers) == ALL_TERMS


def test_arguments_of_compile():
    vae = tiny.vae_gan()
    vae.compile("sgd", beta=0.5, free_nats=0.1, loss="non_saturating", penalties=[], adversarial_weight=3.0)
    assert (vae.objective.beta, vae.objective.free_nats, vae.objective.adversarial_weight) == (0.5, 0.1, 3.0)
    assert vae.objective.adversary.penalties == () and "penalty" not in vae.trackers
    vae.compile({"discriminator": SGD(0.1), "autoencoder": "adam"})
    assert type(vae.optimizer.by_phase["discriminator"]) is SGD
    with pytest.raises(ValueError, match=r"phases are \['discriminator', 'autoencoder'\]; got .* \['autoencoder'\]"):
        vae.compile({"autoencoder": "adam"})


@pytest.mark.parametrize("argument", ["beta", "free_nats", "adversarial_weight"])
def test_negative_weights(argument):
    with pytest.raises(ValueError, match=f"VAE.compile: {argument} must be a number of at least 0; got -1"):
        tiny.vae_gan().compile(**{argument: -1})


@pytest.mark.parametrize(
    "arguments",
    [
        {"loss": "non_saturating"},
        {"penalties": [R1()]},
        {"penalties": []},
        {"mixing": Mixup()},
        {"feature_matching": 1.0},
        {"classification_weight": 2.0},
    ],
)
def test_arguments_of_a_discriminator_that_is_not_there(arguments):
    with pytest.raises(
        ValueError,
        match="VAE.compile: loss, .* and feature_matching need a discriminator; .* without one",
    ):
        tiny.vae().compile(**arguments)


def test_what_has_no_meaning_is_refused():
    with pytest.raises(TypeError, match="VAE.compile: reconstruction, weighted_metrics has no meaning for this model"):
        tiny.vae().compile(weighted_metrics=["mae"], reconstruction="logistic")


# === Training ===
@pytest.fixture(scope="module")
def vae():
    model = models.make(tiny.vae)
    model.compile(keras.optimizers.Adam(0.01))
    return model


@pytest.mark.backends
def test_a_toy_lowers_its_loss_by_half(vae):
    history = vae.fit(tiny.pictures(64), batch_size=16, epochs=20, verbose=0).history
    assert set(history) == {"loss", "reconstruction", "kl", "pixel_error", "active_units"}
    np.testing.assert_allclose(history["loss"], np.add(history["reconstruction"], history["kl"]), rtol=1e-4)
    # But for what not even a perfect reconstruction lowers.
    least = np.prod(tiny.SHAPE) * np.log(0.5 * np.sqrt(2 * np.pi))
    assert history["loss"][-1] - least < 0.5 * (history["loss"][0] - least)


@pytest.mark.backends
def test_losses_in_the_logs_are_those_of_the_equations(vae):
    images = tiny.pictures(8)
    vae.objective.posterior[False], posterior = tiny.FixedPosterior(0.0), vae.objective.posterior[False]
    try:
        vae.reset_metrics()
        logs = vae.test_on_batch(images, return_dict=True)
    finally:
        vae.objective.posterior[False] = posterior
    x = (images / 127.5 - 1).astype("float32")
    mean, log_variance = (
        np.float64(ops.convert_to_numpy(part)) for part in vae.posterior.infer(ops.convert_to_tensor(x), {})[:2]
    )
    decoded = ops.convert_to_numpy(vae.decoder(ops.convert_to_tensor(mean.astype("float32"))))
    assert mean.shape == log_variance.shape == (8, 4)
    reconstruction = -stats.norm.logpdf(x, np.float64(decoded), 0.5).sum(axis=(1, 2, 3)).mean()
    kl = 0.5 * (mean**2 + np.exp(log_variance) - log_variance - 1).sum(axis=1).mean()
    np.testing.assert_allclose(logs["reconstruction"], reconstruction, rtol=1e-4)
    np.testing.assert_allclose(logs["kl"], kl, rtol=1e-4)
    error = 127.5 * np.sqrt(np.square(x - decoded.clip(-1, 1)).mean(axis=(1, 2, 3))).mean()
    np.testing.assert_allclose(logs["pixel_error"], error, rtol=1e-4)
    assert logs["active_units"] == (mean.var(axis=0) > 0.01).sum()
    np.testing.assert_allclose(logs["loss"], reconstruction + kl, rtol=1e-4)


@pytest.mark.backends
def test_beta_and_free_nats_weigh_the_divergence(vae):
    x = ops.convert_to_tensor((tiny.pictures(8) / 127.5 - 1).astype("float32"))
    batch = {"images": x}
    try:
        kls = []
        for beta, free_nats in ((1.0, 0.0), (0.25, 0.0), (1.0, 100.0)):
            vae.use_objective(ELBO(beta=beta, free_nats=free_nats))
            kls.append(ops.convert_to_numpy(ops.stop_gradient(vae.objective.autoencoder_loss(batch, False)["kl"])))
    finally:
        vae.use_objective(ELBO())
    np.testing.assert_allclose(kls[1], 0.25 * kls[0], rtol=1e-5)
    np.testing.assert_allclose(kls[2], np.full(8, 4 * 100.0), rtol=1e-5)


@pytest.mark.backends
def test_reconstructions(vae):
    x = (tiny.pictures(8) / 127.5 - 1).astype("float32")
    images = ops.convert_to_numpy(vae(x))
    mean = vae.posterior.infer(ops.convert_to_tensor(x), {})[0]
    expected = np.clip(ops.convert_to_numpy(vae.average.network(mean)), -1, 1)
    np.testing.assert_allclose(images, expected, atol=1e-5)


@pytest.mark.backends
def test_the_decoder_sees_draws_from_the_posterior(vae):
    batch = {"images": ops.convert_to_tensor((tiny.pictures(8) / 127.5 - 1).astype("float32"))}
    draws = [ops.convert_to_numpy(vae.objective.autoencoder_loss(batch, False)["reconstruction"]) for _ in range(2)]
    assert (draws[0] != draws[1]).any()


def test_logits_are_read_as_pictures():
    vae = tiny.vae(reconstruction="logistic")
    vae.average.updates.assign(1.0)
    logits = ops.convert_to_numpy(vae.average.network(ops.zeros((1, 4))))
    pictures = ops.convert_to_numpy(vae.sampler.synthesize(ops.zeros((1, 4)), {}))
    np.testing.assert_allclose(pictures, np.tanh(logits / 2), atol=1e-6)


# === Reconstruction likelihoods ===
def with_likelihood(reconstruction, **kwargs):
    """A VAE whose decoder gives as many channels as a likelihood reads."""
    channels = getattr(reconstruction, "channels", 1) * tiny.SHAPE[-1]
    decoder = tiny.network("latents", (tiny.LATENT_DIM,), (*tiny.SHAPE[:2], channels))
    return VAE(tiny.encoder(2 * tiny.LATENT_DIM), decoder, tiny.LATENT_DIM, reconstruction, seed=0, **kwargs)


LIKELIHOODS = (
    "bernoulli",
    "gaussian",
    "learned_gaussian",
    "optimal_gaussian",
    "pixel_gaussian",
    "laplace",
    "discretized_logistic",
)


@pytest.mark.backends
@pytest.mark.parametrize("name", LIKELIHOODS)
def test_a_step_with_each_likelihood(name):
    vae = with_likelihood(losses.get("reconstruction loss", name))
    vae.compile()
    before = [tiny.weights(part) for part in (vae.encoder, vae.decoder)]
    logs = vae.train_on_batch(tiny.pictures(8), return_dict=True)
    assert np.isfinite(list(logs.values())).all()
    for weights, part in zip(before, (vae.encoder, vae.decoder)):
        assert tiny.moved(weights, part) and all(np.isfinite(weight).all() for weight in tiny.weights(part))
    assert vae.generate(2, seed=0).shape == (2, *tiny.SHAPE)
    assert vae.predict(tiny.pictures(2), verbose=0).shape == (2, *tiny.SHAPE)


@pytest.mark.backends
def test_a_deviation_that_is_learned_is_the_error_that_is_left(tmp_path):
    keras.utils.set_random_seed(0)
    vae = with_likelihood(losses.LearnedGaussian(0.5))
    # A decoder that can only draw grey: what is left is the noise itself.
    for weight in vae.decoder.weights:
        weight.assign(np.zeros(weight.shape))
    vae.decoder.trainable = False
    noise = np.clip(0.2 * np.random.default_rng(0).normal(size=(64, *tiny.SHAPE)), -1, 1).astype("float32")
    vae.compile(keras.optimizers.Adam(0.05))
    vae.fit(noise, batch_size=64, epochs=60, verbose=0)
    learned = float(vae.reconstruction.deviation())
    np.testing.assert_allclose(learned, np.sqrt(np.mean(noise**2)), rtol=0.05)
    vae.save(tmp_path / "vae.keras")
    loaded = keras.saving.load_model(tmp_path / "vae.keras")
    np.testing.assert_allclose(float(loaded.reconstruction.deviation()), learned, rtol=1e-6)
    np.testing.assert_allclose(loaded.evaluate(noise, verbose=0), vae.evaluate(noise, verbose=0), rtol=1e-4)


def learned_deviation():
    vae = with_likelihood(losses.LearnedGaussian(0.5))
    vae.compile()
    return vae


@pytest.mark.slow
def test_a_learned_deviation_resumes_to_the_bit(tmp_path):
    models.check_resume(learned_deviation, tiny.pictures(), tmp_path)


def test_a_decoder_that_also_gives_the_spread(tmp_path):
    vae = with_likelihood(PixelGaussian(0.05), discriminator=tiny.encoder(1))
    assert vae.image_shape == tiny.SHAPE and vae.decoder.output_shape == (None, 8, 8, 6)
    vae.compile(SGD(1e-5), penalties=[])
    vae.train_on_batch(tiny.pictures(8))
    vae.save(tmp_path / "vae.keras")
    loaded = keras.saving.load_model(tmp_path / "vae.keras")
    assert loaded.reconstruction.min_sigma == 0.05 and loaded.image_shape == tiny.SHAPE
    np.testing.assert_array_equal(loaded.generate(2, seed=0), vae.generate(2, seed=0))


def test_decoders_with_too_few_or_too_many_channels():
    with pytest.raises(
        ValueError,
        match=r"of shape \(8, 8, 3\), but the decoder gives \(8, 8, 3\); PixelGaussian needs \(8, 8, 6\) for them",
    ):
        tiny.vae(reconstruction="pixel_gaussian")
    decoder = with_likelihood(PixelGaussian()).decoder
    with pytest.raises(ValueError, match=r"the decoder gives \(8, 8, 6\); Gaussian needs \(8, 8, 3\) for them"):
        VAE(tiny.encoder(8), decoder, 4)


@pytest.mark.parametrize("reconstruction, channels", [("auto", 1), ("discretized_logistic", 2), (PixelGaussian(), 2)])
def test_channels_from_an_image_shape(reconstruction, channels):
    vae = VAE.from_image_shape((16, 16, 1), latent_dim=2, reconstruction=reconstruction)
    assert vae.image_shape == (16, 16, 1) and vae.decoder.output_shape == (None, 16, 16, channels)


# === Phases ===
def step(vae, **learning_rates):
    """One step with these learning rates; the networks that it moved."""
    for phase, rate in learning_rates.items():
        vae.optimizer.by_phase[phase].learning_rate = rate
    parts = {name: getattr(vae, name) for name in ("encoder", "decoder", "discriminator")}
    parts["average"] = vae.average.network
    before = {name: tiny.weights(part) for name, part in parts.items()}
    vae.train_on_batch(tiny.pictures(8))
    return {name for name, part in parts.items() if tiny.moved(before[name], part)}


@pytest.fixture(scope="module")
def vae_gan():
    model = models.make(tiny.vae_gan)
    model.compile(SGD(1e-3), beta=0.5, penalties=R1(0.3), adversarial_weight=3.0)
    return model


@pytest.mark.backends
def test_each_phase_moves_its_own_networks(vae_gan):
    assert step(vae_gan, discriminator=0.01, autoencoder=0.0) == {"discriminator"}
    assert step(vae_gan, discriminator=0.0, autoencoder=1e-3) == {"encoder", "decoder", "average"}
    assert len(step(vae_gan, discriminator=0.01, autoencoder=1e-3)) == 4


@pytest.mark.backends
def test_the_discriminator_has_its_word_on_samples_of_the_prior(vae_gan):
    real = ops.convert_to_tensor((tiny.pictures(8) / 127.5 - 1).astype("float32"))
    vae_gan.sampler.noise = lambda like, training: like[:, 1, 1:5, 0]
    try:
        terms = vae_gan.objective.autoencoder_loss({"images": real}, False)
    finally:
        del vae_gan.sampler.noise
    fake = ops.clip(vae_gan.decoder(real[:, 1, 1:5, 0]), -1.0, 1.0)
    logits = np.float64(ops.convert_to_numpy(ops.stop_gradient(vae_gan.discriminator(fake))))[:, 0]
    adversarial = ops.convert_to_numpy(ops.stop_gradient(terms["adversarial"]))
    np.testing.assert_allclose(adversarial, 3.0 * np.logaddexp(0, -logits), rtol=1e-4)


@pytest.mark.backends
def test_with_labels():
    vae = tiny.vae(tiny.CLASSES)
    vae.compile()
    history = vae.fit(tiny.pictures(), tiny.labels(), batch_size=8, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    images = vae.generate(labels=[0, 1], seed=[3, 3])
    assert not np.array_equal(images[0], images[1])


# === Saving ===
@pytest.mark.backends
def test_saved_and_loaded(tmp_path, vae_gan):
    vae_gan.save(tmp_path / "vae.keras")
    loaded = keras.saving.load_model(tmp_path / "vae.keras")
    assert type(loaded) is VAE
    objective = loaded.objective
    assert (objective.beta, objective.free_nats, objective.adversarial_weight) == (0.5, 0.0, 3.0)
    assert [penalty.weight for penalty in loaded.objective.adversary.penalties] == [R1(0.3).weight]
    assert all(isinstance(optimizer, SGD) for optimizer in loaded.optimizer.optimizers)
    assert int(loaded.optimizer.iterations) == int(vae_gan.optimizer.iterations)
    models.assert_same_state(models.state(vae_gan), models.state(loaded))
    vae_gan.average.updates.assign(1.0)
    loaded.average.updates.assign(1.0)
    np.testing.assert_array_equal(loaded.generate(4, seed=0), vae_gan.generate(4, seed=0))
    # And where it stopped, it goes on.
    logs = [models.fit(model, tiny.pictures(), 8, 1).history for model in (vae_gan, loaded)]
    assert logs[0] == logs[1] and set(logs[0]) == ALL_TERMS
    models.assert_same_state(models.state(vae_gan), models.state(loaded))


def test_reconstruction_is_saved(tmp_path):
    vae = tiny.vae(reconstruction=Gaussian(0.3))
    vae.save(tmp_path / "vae.keras")
    loaded = keras.saving.load_model(tmp_path / "vae.keras")
    assert loaded.reconstruction.sigma == 0.3 and loaded.discriminator is None and not loaded.compiled


# === From an image shape ===
@pytest.mark.parametrize("adversarial", [False, True])
def test_from_image_shape(adversarial):
    vae = VAE.from_image_shape((16, 32, 1), latent_dim=8, num_classes=4, adversarial=adversarial, seed=0)
    assert vae.image_shape == (16, 32, 1) and vae.latent_dim == 8 and vae.num_classes == 4
    assert vae.encoder.output_shape == (None, 16)
    assert (vae.discriminator is not None) == adversarial


def test_a_strange_picture_does_not_overflow_the_loss():
    vae = tiny.vae()
    vae.compile()
    # An encoder that is far off: its log-variances would be in the thousands.
    vae.encoder.set_weights([1e4 * np.ones_like(weight) for weight in vae.encoder.get_weights()])
    log_variance = ops.convert_to_numpy(vae.posterior.infer(np.ones((1, *tiny.SHAPE), "float32"), {})[1])
    assert log_variance.max() <= 10.0
    assert np.isfinite(vae.evaluate(tiny.pictures(2), verbose=0, return_dict=True)["kl"])
