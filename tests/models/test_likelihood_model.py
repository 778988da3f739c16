import keras
import numpy as np
import pytest
from keras import ops

from kgen.models import VAE
from tests.checks import models
from tests.models import tiny
from tests.models.linear import LATENT_DIM, SHAPE, LinearGaussian


@pytest.fixture(scope="module")
def exact():
    return LinearGaussian()


@pytest.fixture(scope="module")
def widened():
    """The latents are drawn a third wider than the posterior is: the ELBO is no longer log p(x)."""
    return LinearGaussian(widened=4.0 / 3.0)


@pytest.fixture(scope="module")
def conditional():
    return LinearGaussian(widened=1.2, num_classes=3)


# === Likelihoods ===
@pytest.mark.backends
def test_bounds_under_the_exact_posterior_are_the_likelihood(exact):
    images = exact.pictures(6)
    known = exact.log_likelihood(images)
    np.testing.assert_allclose(exact.model.log_likelihood(images, samples=1), known, atol=1e-3)
    np.testing.assert_allclose(exact.model.elbo(images, samples=512, batch_size=512).mean(), known.mean(), atol=0.05)
    np.testing.assert_allclose(exact.model.anomaly_score(images, samples=2), -known, atol=1e-3)


@pytest.mark.backends
def test_more_draws_tighten_the_bound(widened):
    images = widened.pictures(64)
    known = widened.log_likelihood(images).mean()
    elbo = widened.model.elbo(images, samples=64, batch_size=4096).mean()
    bounds = [widened.model.log_likelihood(images, samples=k, batch_size=4096).mean() for k in (1, 8, 256)]
    # KL of the wider normal distribution from the posterior, in both latents.
    ratio = (4.0 / 3.0) ** 2
    np.testing.assert_allclose(elbo, known - 0.5 * LATENT_DIM * (ratio - 1.0 - np.log(ratio)), atol=0.05)
    np.testing.assert_allclose(bounds[0], elbo, atol=0.15)
    assert elbo < bounds[1] < bounds[2] < known + 0.02
    np.testing.assert_allclose(bounds[2], known, atol=0.05)


def test_bounds_do_not_depend_on_the_batch(widened, monkeypatch):
    images = widened.pictures(5)
    bounds = widened.model.log_likelihood(images, samples=7)
    monkeypatch.setattr("kgen.inference.posterior._HELD", 14)
    np.testing.assert_allclose(widened.model.log_likelihood(images, samples=7, batch_size=3), bounds, atol=1e-4)
    np.testing.assert_allclose(widened.model.log_likelihood(images[3:4], samples=7), bounds[3:4], atol=1e-4)
    assert (widened.model.log_likelihood(images, samples=7, seed=1) != bounds).all()


def test_progress(widened, capsys):
    widened.model.log_likelihood(widened.pictures(3), verbose=1)
    assert "3/3" in capsys.readouterr().out
    widened.model.log_likelihood(widened.pictures(3))
    assert capsys.readouterr().out == ""


def test_strange_pictures_score_higher(exact):
    images = exact.pictures(20)
    strange = np.where(np.arange(6).reshape(SHAPE) % 2, 1.0, -1.0)[None].astype("float32")
    assert exact.model.anomaly_score(strange)[0] > exact.model.anomaly_score(images).max()


@pytest.mark.backends
def test_measuring_does_not_change_training():
    def trained(measured):
        vae = models.make(tiny.vae)
        vae.compile(keras.optimizers.SGD(1e-4))
        vae.train_on_batch(tiny.pictures(8))
        if measured:
            vae.log_likelihood(tiny.pictures(4), samples=3)
            vae.encode(tiny.pictures(4), seed=1)
            vae.denoise(tiny.pictures(2), 0.1, steps=1, samples=2, verbose=0)
        vae.train_on_batch(tiny.pictures(8))
        return tiny.weights(vae)

    for plain, other in zip(trained(False), trained(True), strict=True):
        np.testing.assert_array_equal(plain, other)


# === Classes ===
@pytest.mark.backends
def test_classes_by_bayes_rule(conditional):
    labels = np.arange(60) % 3
    images = conditional.pictures(60, labels)
    known = np.stack([conditional.log_likelihood(images, label) for label in range(3)], axis=1)
    for shares in (None, [1.0, 2.0, 1.0]):
        posterior = np.exp(known) * (shares or [1.0, 1.0, 1.0])
        posterior /= posterior.sum(axis=1, keepdims=True)
        found = conditional.model.classify(images, samples=64, class_shares=shares, batch_size=4096)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, posterior, atol=0.05)
    chosen = conditional.model.classify(images).argmax(axis=1)
    assert np.mean(chosen == known.argmax(axis=1)) > 0.9
    assert conditional.model.classify(images, class_shares=[0, 1, 0]).argmax(axis=1).tolist() == [1] * 60


def test_bounds_under_a_label(conditional):
    images = conditional.pictures(6, np.full(6, 2))
    bounds = conditional.model.log_likelihood(images, np.full(6, 2), samples=256, batch_size=2048)
    np.testing.assert_allclose(bounds, conditional.log_likelihood(images, 2), atol=0.1)


def test_a_classifier_is_asked_unless_samples_are_named():
    parts = tiny.encoder(2 * tiny.LATENT_DIM, tiny.CLASSES), tiny.decoder(tiny.CLASSES)
    vae = VAE(*parts, tiny.LATENT_DIM, num_classes=tiny.CLASSES, discriminator=tiny.classifying_discriminator(), seed=0)
    images = tiny.bands(4)[0]
    x = ops.convert_to_tensor(images / np.float32(127.5) - 1)
    expected = ops.convert_to_numpy(ops.softmax(vae.discriminator(x)["labels"]))
    np.testing.assert_allclose(vae.classify(images), expected, atol=1e-5)
    assert np.abs(vae.classify(images, samples=1) - expected).max() > 0.01


# === At the door ===
@pytest.mark.parametrize("method", ["encode", "reconstruct", "elbo", "log_likelihood", "anomaly_score", "fit_prior"])
def test_what_is_no_picture(exact, conditional, method):
    images = exact.pictures(2)
    with pytest.raises(TypeError, match="images must be an array"):
        getattr(exact.model, method)("picture.png")
    with pytest.raises(ValueError, match=r"images must have shape \(N, 2, 3, 1\); got \(2, 3, 1\)"):
        getattr(exact.model, method)(images[0])
    with pytest.raises(ValueError, match="images must be uint8, or float in"):
        getattr(exact.model, method)(images * 100.0)
    with pytest.raises(ValueError, match="labels are for models with num_classes, and they need them"):
        getattr(exact.model, method)(images, [0, 1])
    with pytest.raises(ValueError, match="labels are for models with num_classes, and they need them"):
        getattr(conditional.model, method)(images)
    with pytest.raises(ValueError, match=r"labels must be in 0 \.\. 2"):
        getattr(conditional.model, method)(images, [0, 3])


@pytest.mark.parametrize(
    "method, wrong, message",
    [
        ("log_likelihood", {"samples": 0}, "VAE.log_likelihood: samples must be an integer of at least 1; got 0"),
        ("elbo", {"samples": 2.0}, "VAE.elbo: samples must be an integer of at least 1; got 2.0"),
        ("encode", {"seed": 0.5}, "VAE.encode: seed must be an integer"),
        ("anomaly_score", {"batch_size": 0}, "batch_size must be an integer of at least 1; got 0"),
        ("fit_prior", {"components": 0}, "VAE.fit_prior: components must be an integer of at least 1; got 0"),
        ("fit_prior", {}, "VAE.fit_prior: 10 components need at least 20 pictures; got 2"),
    ],
)
def test_numbers_out_of_range(exact, method, wrong, message):
    with pytest.raises(ValueError, match=message):
        getattr(exact.model, method)(exact.pictures(2), **wrong)


def test_what_cannot_be_classified(exact, conditional):
    images = exact.pictures(2)
    with pytest.raises(ValueError, match="VAE.classify: this model knows no classes; build it with num_classes"):
        exact.model.classify(images)
    with pytest.raises(TypeError, match="VAE.classify: images must be an array"):
        conditional.model.classify("picture.png")
    with pytest.raises(ValueError, match="VAE.classify: samples must be an integer of at least 1; got 0"):
        conditional.model.classify(images, samples=0)
    for shares in ([1.0, 1.0], [1.0, -1.0, 1.0], [0, 0, 0]):
        with pytest.raises(ValueError, match="VAE.classify: class_shares must be 3 numbers that are not negative"):
            conditional.model.classify(images, class_shares=shares)
