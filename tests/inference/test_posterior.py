import keras
import numpy as np
import pytest
from keras import ops

from kgen.inference.posterior import Posterior, _Draws, image_numbers
from kgen.inputs.pixels import NetworkImages
from kgen.models import VAE
from kgen.progress import Progress
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


# === Latents and back ===
@pytest.mark.backends
def test_encode_and_decode(exact):
    images = exact.pictures(5)
    latents = exact.model.encode(images)
    assert latents.shape == (5, LATENT_DIM) and latents.dtype == np.float32
    decoded = (latents @ exact.weights + exact.means).reshape(5, *SHAPE)
    np.testing.assert_allclose(exact.model.decode(latents), (decoded + 1) * 127.5, atol=0.51)
    np.testing.assert_array_equal(exact.model.reconstruct(images, batch_size=2), exact.model.decode(latents))


@pytest.mark.backends
def test_draws_of_the_posterior_belong_to_the_picture_and_the_seed(exact):
    images = np.concatenate([exact.pictures(3)] * 2)
    drawn = exact.model.encode(images, seed=3)
    np.testing.assert_allclose(drawn[:3], drawn[3:], atol=1e-6)
    np.testing.assert_allclose(exact.model.encode(images[1:2], seed=3), drawn[1:2], atol=1e-6)
    assert np.abs(exact.model.encode(images, seed=4) - drawn).min() > 1e-4
    many = np.stack([exact.model.encode(images[:1], seed=seed)[0] for seed in range(200)])
    precision = 1.0 + np.sum(exact.weights**2, axis=1) / 0.2**2
    np.testing.assert_allclose(many.std(axis=0), precision**-0.5, rtol=0.2)


def test_the_same_picture_in_any_range(exact):
    images = (np.random.default_rng(0).random((3, *SHAPE)) * 255).astype("uint8")
    drawn = exact.model.encode(images, seed=1)
    model = LinearGaussian().model
    for floats in (images / np.float32(255), images / np.float32(127.5) - 1) * 2:
        np.testing.assert_allclose(model.encode(floats, seed=1), drawn, atol=1e-4)


# === A learned prior ===
def two_clusters():
    """A model, and pictures whose latents are far from the standard normal prior, in two places."""
    linear = LinearGaussian()
    latents = np.repeat([[1.0, 0.5], [-1.0, 0.2]], 200, axis=0) + 0.05 * np.random.default_rng(0).normal(size=(400, 2))
    images = (latents @ linear.weights + linear.means).reshape(-1, *SHAPE)
    return linear, images.astype("float32")


@pytest.mark.backends
def test_a_learned_prior_is_what_generate_draws_from(tmp_path):
    linear, images = two_clusters()
    model = linear.model
    before = model.elbo(images, samples=8, batch_size=4096).mean()
    gain = model.fit_prior(images, components=2)
    np.testing.assert_allclose(model.elbo(images, samples=8, batch_size=4096).mean() - before, gain, atol=0.2)
    assert gain > 0.3
    pictures = model.generate(64, seed=0)
    # As near to the pictures as they are to each other.
    distance = np.abs(pictures[:, None] / 127.5 - 1.0 - images[None]).mean(axis=(2, 3, 4)).min(axis=1)
    assert np.quantile(distance, 0.9) < 0.15
    np.testing.assert_array_equal(model.generate(3, seed=0, batch_size=2), pictures[:3])
    np.testing.assert_array_equal(model.interpolate(5, 6, steps=2)[0], model.generate(1, seed=5)[0])

    model.save(tmp_path / "vae.keras")
    model.save_to_preset(tmp_path / "preset")
    for loaded in (keras.saving.load_model(tmp_path / "vae.keras"), VAE.from_preset(tmp_path / "preset")):
        np.testing.assert_array_equal(loaded.generate(8, seed=0), pictures[:8])

    model.compile(keras.optimizers.SGD(0.0))
    model.test_on_batch(images[:4])
    with pytest.warns(UserWarning, match="VAE: training changes the latents, so the prior .* is dropped"):
        model.train_on_batch(images[:4])
    assert model.sampler.prior is None and not np.array_equal(model.generate(8, seed=0), pictures[:8])


def test_a_learned_prior_is_exported(tmp_path, tensorflow_backend):
    import tensorflow as tf

    linear, images = two_clusters()
    linear.model.fit_prior(images, components=2)
    linear.model.export(tmp_path / "saved")
    serve = tf.saved_model.load(tmp_path / "saved").signatures["serving_default"]
    served = serve(seeds=tf.range(5))["images"].numpy()
    np.testing.assert_array_equal(served, linear.model.generate(5, seed=range(5)))


def test_a_prior_for_each_class():
    linear = LinearGaussian(num_classes=3)
    labels = np.arange(300) % 3
    latents = np.array([[2.0, 0.0], [0.0, 2.0], [-2.0, 0.0]])[labels]
    images = (latents @ linear.weights + linear.means[labels]).reshape(-1, *SHAPE)
    linear.model.fit_prior(images.astype("float32").clip(-1, 1), labels, components=1)
    pictures = linear.model.generate(labels=[0] * 20 + [2] * 20, seed=0) / 127.5 - 1.0
    for label, drawn in ((0, pictures[:20]), (2, pictures[20:])):
        np.testing.assert_allclose(drawn.mean(axis=0), images[labels == label][0].clip(-1, 1), atol=0.15)


def test_metrics_measure_pictures_of_the_learned_prior():
    linear, images = two_clusters()
    linear.model.fit_prior(images, components=2)
    batch = {"images": ops.convert_to_tensor(images)}
    drawn = ops.convert_to_numpy(linear.model.counterparts(batch, paired=False)[1])
    assert drawn.shape == images.shape
    assert np.abs(drawn[:, None] - images[None]).mean(axis=(2, 3, 4)).min(axis=1).mean() < 0.08
    paired = ops.convert_to_numpy(linear.model.counterparts(batch, paired=True)[1])
    np.testing.assert_allclose(paired, images, atol=0.3)


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
    assert vae.classify(images, class_shares=[0, 1, 0]).argmax(axis=1).tolist() == [1] * 4


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
    with pytest.raises(ValueError, match="models with num_classes need labels, and others take none"):
        getattr(exact.model, method)(images, [0, 1])
    with pytest.raises(ValueError, match="models with num_classes need labels, and others take none"):
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
        ("fit_prior", {}, "VAE.fit_prior: 10 components need at least 20 images; got 2"),
    ],
)
def test_numbers_out_of_range(exact, method, wrong, message):
    with pytest.raises(ValueError, match=message):
        getattr(exact.model, method)(exact.pictures(2), **wrong)


def test_what_cannot_be_classified(exact, conditional):
    images = exact.pictures(2)
    with pytest.raises(ValueError, match="VAE.classify: this model has no classes; build it with num_classes"):
        exact.model.classify(images)
    with pytest.raises(TypeError, match="VAE.classify: images must be an array"):
        conditional.model.classify("picture.png")
    with pytest.raises(ValueError, match="VAE.classify: samples must be an integer of at least 1; got 0"):
        conditional.model.classify(images, samples=0)
    for shares in ([1.0, 1.0], [1.0, -1.0, 1.0], [0, 0, 0]):
        with pytest.raises(ValueError, match="VAE.classify: class_shares must be 3 numbers of at least 0"):
            conditional.model.classify(images, class_shares=shares)


# === How bounds are computed ===
class Model:
    """Whose weights are what the inputs say, and how often it is asked."""

    def __init__(self):
        self.rows = []
        self.posterior = Posterior(self)
        self.graphs = self

    def in_batches(self, function, inputs, batch_size, verbose):
        assert function == self.posterior.bounds and verbose == 0
        self.rows.append(len(inputs["images"]))
        self.seeds = inputs["seeds"]
        images = inputs["images"][0 : len(inputs["images"])]
        return np.stack([images, np.arange(len(images))], axis=1).astype("float32")


def inputs(count, seed=0):
    images = np.arange(count, dtype="float32")
    return {"images": images, "seeds": np.full(count, seed, "int32"), "indices": np.arange(count, dtype="int32")}


def test_draws_of_a_picture_are_brought_together(monkeypatch):
    model = Model()
    monkeypatch.setattr("kgen.inference.posterior._HELD", 8)
    progress = Progress(5, verbose=0)
    bounds = model.posterior.importance_bounds(inputs(5), 4, 64, progress)
    np.testing.assert_allclose(bounds[:, 0], np.arange(5), atol=1e-6)
    # Two pictures of four draws at a time.
    np.testing.assert_allclose(bounds[:, 1], [1.5, 5.5, 1.5, 5.5, 1.5])
    assert model.rows == [8, 8, 4] and progress.done == 5


def test_every_draw_has_a_seed_of_its_own():
    seeds = []
    for seed in (0, 1, 2, -3):
        model = Model()
        model.posterior.importance_bounds(inputs(1, seed), 100, 64, Progress(1, verbose=0))
        assert model.seeds.dtype == np.int32
        seeds.append(model.seeds)
    assert len(np.unique(np.concatenate(seeds))) == 400


def test_image_numbers():
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 4, 1)).astype("uint8")
    numbers = image_numbers(NetworkImages(images, (0, 255)))
    assert numbers.dtype == np.int32 and len(np.unique(numbers)) == 5
    np.testing.assert_array_equal(image_numbers(NetworkImages(images[2:3], (0, 255))), numbers[2:3])
    np.testing.assert_array_equal(image_numbers(NetworkImages(images / 255.0, (0, 1))), numbers)
    np.testing.assert_array_equal(image_numbers(NetworkImages(ops.convert_to_tensor(images), (0, 255))), numbers)


@pytest.mark.backends
def test_draws_use_the_noise_up_in_order():
    noise = np.arange(24, dtype="float32").reshape(2, 12)
    draws = _Draws(ops.convert_to_tensor(noise))
    zeros = ops.zeros((2, 4))
    np.testing.assert_allclose(ops.convert_to_numpy(draws(zeros, zeros)), noise[:, :4])
    mean = ops.ones((2, 2, 2, 2))
    second = ops.convert_to_numpy(draws(mean, mean * np.log(4.0)))
    np.testing.assert_allclose(second, 1 + 2 * noise[:, 4:].reshape(2, 2, 2, 2), rtol=1e-5)
